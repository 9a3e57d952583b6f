"""What keeps guard from its work at the moment and is about no schedule, for guard status. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from guard.decision.accept import About, accepting
from guard.finding import Code
from guard.lifecycle.loop import CLOCKS_DIFFER, Loop
from guard.outcomes.alarms import CLOCKS_DIFFERENT, GATE_STANDS_ASIDE, LEDGER_DISK_FULL
from guard.policy.accept_schema import AcceptRule
from guard.units import format_duration


@dataclass(frozen=True)
class Condition:
    """``text``: one sentence with its figures."""

    code: Code
    text: str


def conditions(
    loop: Loop | None, *, has_ballast: bool, accepts: Sequence[AcceptRule], now: datetime
) -> tuple[Condition, ...]:
    """What stands as of the last look and was not accepted; ``has_ballast``: the ledger's reserve of disk space is there."""
    found = []
    if loop is not None and loop.stands_aside:
        found.append(Condition(GATE_STANDS_ASIDE, f"guard leaves every start to XO: {loop.stands_aside}"))
    if loop is not None and abs(loop.clock_ahead_s) >= CLOCKS_DIFFER / timedelta(seconds=1):
        found.append(Condition(CLOCKS_DIFFERENT, clocks_differ(loop.clock_ahead_s)))
    if not has_ballast:
        found.append(Condition(LEDGER_DISK_FULL, "the ledger's reserve of disk space is not there"))
    return tuple(one for one in found if accepting(accepts, now, one.code.id, About()) is None)


def clocks_differ(ahead_s: float) -> str:
    """``ahead_s``: seconds that guard's clock is ahead of XO's."""
    return f"guard's clock is {format_duration(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} XO's"
