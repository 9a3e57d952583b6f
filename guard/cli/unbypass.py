"""guard unbypass."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TextIO

from guard.cli import brakes


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    return brakes.take("bypass", arguments, stdout, stderr, env)
