"""What one value of [notify.tiers] must be: a known state or code, and one of three words."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from guard.policy.codes import EVERY_CODE
from guard.policy.tiers_schema import NEVER_PAGED, STATES, TIERS, TOLD_BY_CHANNELS, Tier

_Report = Callable[[str, object, str], None]


def read_tiers(table: Mapping[str, Any], report: _Report) -> dict[str, Tier]:
    """State or code -> tier. Calls ``report(key path, value, what is wrong and what would be right)`` for every problem."""
    found: dict[str, Tier] = {}
    for key, value in table.items():
        path = f"notify.tiers.{key}"
        if key not in STATES and key not in EVERY_CODE:
            report(path, value, f"unknown state or code{_near(key)}; expected one of {', '.join(STATES)}, or a code")
        elif key in TOLD_BY_CHANNELS:
            report(path, value, "is told by the channels among themselves; expected another code, or nothing")
        elif value not in TIERS:
            report(path, value, f"expected one of {', '.join(TIERS)}")
        elif value == "page" and key in NEVER_PAGED:
            report(path, value, "nothing is lost yet; expected digest or record")
        else:
            found[key] = value
    return found


def _near(key: str) -> str:
    words = (*STATES, *EVERY_CODE)
    near = difflib.get_close_matches(key, words, n=1) or difflib.get_close_matches(key.upper(), words, n=1)
    return f", did you mean {near[0]}?" if near else ""
