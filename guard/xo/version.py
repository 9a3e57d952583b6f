"""Which xo-server versions guard works with. XO 5.113 brought every route used here (xo-api.md section 10)."""

from __future__ import annotations

import re

from guard.errors import XoAnswerError, XoTooOldError
from guard.http import shortened

MINIMUM = (5, 193, 1)


def check_version(version: str) -> None:
    """Raises XoTooOldError below xo-server 5.193.1, XoAnswerError for something that is no version."""
    found = re.match(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?!\d)", version, re.ASCII)
    if found is None:
        raise XoAnswerError(f"XO gave {shortened(repr(version))} as its version; expected something like 5.207.2")
    if tuple(map(int, found.groups())) < MINIMUM:
        raise XoTooOldError(
            f"This is xo-server {shortened(version)}; guard needs 5.193.1 or later (XO 5.113). Update XO, then try again"
        )
