"""What the ledger says that guard holds in XO at this moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from guard.decision.brakes import read_brakes
from guard.gate.predict import rules_as_told
from guard.gate.watch import BRAKES
from guard.ledger.sqlite import SqliteLedger
from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.ledger import Ledger
from guard.lifecycle.resolution import expected_standby, is_ours
from guard.policy.schema import Policy
from guard.views.doings import Doings, doings

_SERVED = timedelta(minutes=1)  # after its minute a fallback starts nothing any more


async def open_due_runs(ledger: Ledger) -> list[DueRun]:
    """Every due run whose story goes on. Raises LedgerError."""
    found = [fold(key, await ledger.load(key)) for key in await ledger.open_runs()]
    return [run for run in found if run is not None]


def claimed(runs: Iterable[DueRun]) -> list[DueRun]:
    """Those whose schedule guard may have off."""
    return [run for run in runs if run.has_claim]


def is_unsettled(run: DueRun, now: datetime) -> bool:
    """Whether a guard that went away may have left something that must go: a claim, or a fallback nobody wants any more.

    The ledger does not tell when a fallback was removed, so this is true until its minute has passed.
    """
    if run.has_claim:
        return True
    if not run.standbys or now > run.standbys[-1] + _SERVED:
        return False
    return not is_ours(run) or expected_standby(run, now) is None


async def read_doings(ledger: SqliteLedger, runs: Sequence[DueRun], policy: Policy, now: datetime) -> Doings:
    """What of ``runs`` guard holds, with the brakes. Raises LedgerError."""
    return doings(
        runs,
        now,
        brakes=read_brakes(await ledger.recall(BRAKES)),
        instance=ledger.instance,
        recheck_of=lambda run: rules_as_told(policy, run).recheck_every,
    )
