"""guard explain."""

from __future__ import annotations

import difflib
from argparse import Namespace
from collections.abc import Mapping
from typing import TextIO

from guard.checks import CODES
from guard.errors import UsageError
from guard.views.explain import codes_text, explain_text


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    del stderr, env
    if arguments.code is None:
        stdout.write(codes_text(CODES))
        return 0
    code = CODES.get(arguments.code.upper())
    if code is None:
        near = difflib.get_close_matches(arguments.code.upper(), CODES, n=1)
        raise UsageError(
            f"{arguments.code} is no code of guard" + (f"; did you mean {near[0]}?" if near else "; see guard explain")
        )
    stdout.write(explain_text(code))
    return 0
