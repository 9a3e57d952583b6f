"""Entry of the command line: errors become one sentence on stderr and an exit code, here and only here."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import TextIO

from guard.cli.parser import build_parser
from guard.errors import GuardError, PolicyError
from guard.views.text import clean


def main(argv: Sequence[str], stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    """Run one command. Returns the exit code: 0, 1 for an error, 2 with ``--exit-code`` when something is held."""
    try:
        arguments = build_parser().parse_args(argv)
        command = importlib.import_module(f"guard.cli.{arguments.command}")  # lazily: help must not load the client
        code: int = command.execute(arguments, stdout, stderr, env)
    except GuardError as error:
        problems = error.problems if isinstance(error, PolicyError) else [str(error)]
        for problem in problems:
            print(f"guard: {clean(problem)}", file=stderr)  # XO's own words are in it
        return 1
    except SystemExit as done:  # argparse, after --help and --version
        return int(done.code or 0)
    except KeyboardInterrupt:
        return 130
    return code


def run() -> None:
    """The console script."""
    gc.disable()  # a command lives for seconds and holds its records to the end: collecting would only walk them
    nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  stands for a closed stream to the end
    stdout, stderr = sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (stdout, stderr):
        if isinstance(stream, TextIOWrapper):  # a VM's name must not end a plan where the locale cannot spell it
            stream.reconfigure(errors="backslashreplace")
    told = StringIO()
    code = main(sys.argv[1:], told, stderr, os.environ)
    try:
        stdout.write(told.getvalue())
        stdout.flush()
    except BrokenPipeError:  # the reader has seen enough; what was found out still counts
        os.dup2(nowhere.fileno(), 1)
    except OSError as error:
        print(f"guard: the output cannot be written ({error.strerror})", file=stderr)
        os.dup2(nowhere.fileno(), 1)
        code = 1
    sys.exit(code)
