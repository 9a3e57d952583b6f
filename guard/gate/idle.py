"""Entries of the policy that do nothing, kept between looks: a large XO has thousands of schedules to hold them against."""

from __future__ import annotations

from dataclasses import dataclass

from guard.decision.idle import idle_limits, idle_schedules
from guard.estate.estate import Estate
from guard.policy.schema import Policy


class IdleEntries:
    """Worked out anew where the policy, XO's schedules or jobs, or the last whole reading are others than before."""

    def __init__(self) -> None:
        self._seen: _Seen | None = None
        self._told: tuple[str, ...] = ()

    def told(self, policy: Policy, setup: Estate, whole: Estate | None) -> tuple[str, ...]:
        """One sentence each. ``setup``: schedules and jobs as of this look; ``whole``: the last reading of all of XO."""
        seen = _Seen(policy, _read(setup), whole)
        if self._seen is None or not seen.is_like(self._seen):
            self._told = (*idle_schedules(policy, setup), *idle_limits(policy, whole or setup))
        self._seen = seen
        return self._told


@dataclass(frozen=True)
class _Seen:
    policy: Policy
    setup: object
    whole: Estate | None

    def is_like(self, other: _Seen) -> bool:
        return self.policy is other.policy and self.whole is other.whole and self.setup == other.setup


def _read(setup: Estate) -> object:
    """What the sentences follow from; a part's time of reading is another at every look."""
    usable = {name: part.usable for name, part in setup.parts.items()}
    return setup.schedules, setup.jobs, setup.call_jobs, usable
