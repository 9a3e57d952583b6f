"""Entry of the command line: errors become one sentence on stderr and an exit code, here and only here."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from typing import TextIO

from guard.cli.parser import build_parser
from guard.errors import GuardError
from guard.views.text import clean


def main(argv: Sequence[str], stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    """Run one command. Returns the exit code: 0, 1 for an error, 2 with ``--exit-code`` when something is held."""
    try:
        arguments = build_parser().parse_args(argv)
        command = importlib.import_module(f"guard.cli.{arguments.command}")  # lazily: help must not load the client
        code: int = command.execute(arguments, stdout, stderr, env)
    except GuardError as error:
        for line in str(error).splitlines():
            print(f"guard: {clean(line)}", file=stderr)  # XO's own words are in it
        return 1
    except SystemExit as done:  # argparse, after --help and --version
        return int(done.code or 0)
    except KeyboardInterrupt:
        return 130
    return code


def run() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a VM's name must not end a plan where the locale cannot spell it
            stream.reconfigure(errors="backslashreplace")
    gc.disable()  # a command lives for seconds and holds its records to the end: collecting would only walk them
    try:
        code = main(sys.argv[1:], sys.stdout, sys.stderr, os.environ)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
