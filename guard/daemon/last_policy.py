"""The daemon remembers what of its policy is needed to give back what it holds, for the day the file is broken."""

from __future__ import annotations

from collections.abc import Callable

from guard.lifecycle.ledger import Ledger
from guard.policy.last_good import kept_of
from guard.policy.schema import Policy

POLICY_XO = "policy_xo"
"""The ledger's document."""


class LastPolicy:
    """``policy_of`` gives the policy in force, which a reload may replace."""

    def __init__(self, ledger: Ledger, policy_of: Callable[[], Policy]) -> None:
        self._ledger, self._policy_of = ledger, policy_of
        self._kept: Policy | None = None

    async def keep(self) -> None:
        """Write it where it is another one than the last time. Raises LedgerError, and tries again at the next call."""
        policy = self._policy_of()
        if policy is not self._kept:
            await self._ledger.remember(POLICY_XO, kept_of(policy))
            self._kept = policy
