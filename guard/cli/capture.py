"""guard capture."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from guard.cli import source
from guard.errors import CaptureError
from guard.estate.capture import to_bytes


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    del stdout
    estate = source.read_xo(source.read_policy(arguments.config), stderr, env)
    data = to_bytes(estate)
    target = Path(arguments.file)
    part = target.with_name(target.name + ".part")  # a full disk must not leave half a capture under the real name
    try:
        part.write_bytes(data)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CaptureError(f"{arguments.file}: cannot be written ({error})") from error
    stderr.write(f"guard: {len(data)} bytes written to {arguments.file}; secrets are left out\n")
    return 0
