"""The codes of what a person and the policy say of a run, and every code of guard together."""

from __future__ import annotations

from collections.abc import Mapping

from guard.finding import Code
from guard.outcomes.codes import ALL_CODES

ON_HOLD = Code(
    id="ON_HOLD",
    title="A person told guard to hold this",
    why="Somebody put a hold on the run, or on a VM, an SR, a pool or a backup repository that it works on. guard starts "
    "nothing against it, not even at the deadline.",
    do="Wait until the hold ends, or end it; its reason and who set it stand beside it.",
)
OUTSIDE_WINDOW = Code(
    id="OUTSIDE_WINDOW",
    title="The policy lets this schedule start at other times only",
    why="A [[window]] of guard's policy is for this schedule, and it is not open: there is an allow window that has ended or "
    "not begun, or a deny window is in force.",
    do="Wait: the run starts when the window opens, unless its deadline passes before. Otherwise change the window in the "
    "policy, the schedule in XO, or start the job in XO by hand.",
)
NO_SLOT = Code(
    id="NO_SLOT",
    title="As many jobs as the policy allows are at work there",
    why="A [[limit]] of guard's policy says how many jobs may work at once on a backup repository, an SR, a pool or in XO, and "
    "so many do already.",
    do="Wait: the run starts when one of them ends, at the latest at its deadline. Raise the limit, or move the schedules "
    "apart, when runs wait for each other night after night.",
)

POLICY_CODES: tuple[Code, ...] = (ON_HOLD, OUTSIDE_WINDOW, NO_SLOT)

EVERY_CODE: Mapping[str, Code] = {**ALL_CODES, **{code.id: code for code in POLICY_CODES}}
