"""What the state folder itself tells guard status: whether a daemon runs on it, and who may get at it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from guard.views.status import OK, UNKNOWN, WARNING
from guard.views.text import clean, wrap


def running_lines(runs: bool | None) -> list[str]:
    """Said first where nobody looks any more. ``runs``: None where that could not be seen, and nothing is said."""
    if runs is not False:
        return []
    told = "No daemon runs on this folder (systemctl start guard). What follows was so when the last one looked."
    return wrap(told, "  ", first="")


def nagios(code: int, line: str, runs: bool | None, troubles: Sequence[str]) -> tuple[int, str]:
    """``guard status --nagios`` with that: unknown where no daemon runs, as for an old look; a warning for a folder that
    others may get at, where nothing else is wrong.
    """
    text, mark, perfdata = line.partition("|")
    if runs is False:
        before = text.removeprefix("GUARD ")
        then = before.removeprefix("UNKNOWN - ") if code == UNKNOWN else f"at the last look: {before}"
        return UNKNOWN, f"GUARD UNKNOWN - no daemon runs on this folder; {then}{mark}{perfdata}"
    if code == OK and troubles:
        told = clean(troubles[0]).replace("|", "/")
        return WARNING, f"GUARD WARNING - {told}{mark}{perfdata}"
    return code, line
