"""What is said where the policy's file is broken and a command goes on without it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from guard.units import plural
from guard.views.text import clean

_OK, _WARNING = 0, 1


def warnings(problems: Sequence[str]) -> list[str]:
    """One line for each problem, and what is done about it; none where there is none."""
    if not problems:
        return []
    goes_on = "goes on with [xo] of the policy that was last in force"
    return [*(f"warning: {clean(one)}" for one in problems), f"warning: {goes_on}"]


def nagios(code: int, line: str, problems: Sequence[str]) -> tuple[int, str]:
    """``guard status --nagios``, made a warning where the file is broken: the daemon would not come back from a restart.

    What is worse already stays as it is.
    """
    if not problems or code != _OK:
        return code, line
    told = clean(f"the policy has {plural(len(problems), 'error')}: {problems[0]}").replace("|", "/")
    mark, perfdata = line.partition("|")[1:]
    return _WARNING, f"GUARD WARNING - {told}{mark}{perfdata}"
