"""guard capture."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TextIO

from guard.cli import files, source
from guard.errors import CaptureError
from guard.estate.capture import to_bytes


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    del stdout
    try:
        target = files.check_target(arguments.file)  # before XO is asked for everything
        policy = source.read_policy(arguments.config)
        data = to_bytes(source.read_xo(policy, stderr, env))
        files.write_whole(target, data)
    except (OSError, ValueError) as error:
        raise CaptureError(f"{arguments.file or '(no name)'}: cannot be written ({error})") from error
    stderr.write(f"guard: {len(data)} bytes written to {arguments.file}; secrets are left out\n")
    return 0
