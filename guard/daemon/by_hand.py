"""guard start: a person has guard start a schedule's job now, beside the daemon or without it.

The daemon watches the run to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from guard.assess import Situation
from guard.decision.brakes import read_brakes
from guard.errors import ConflictError, LedgerError, XoError
from guard.gate.hands import LOOK_BACK, Hands, Shown
from guard.gate.ports import GateXo
from guard.gate.watch import BRAKES
from guard.ledger.sqlite import SqliteLedger
from guard.lifecycle.acting import Start
from guard.lifecycle.by_hand import Done, Judged, Wish, first_events, judge, told_reason
from guard.lifecycle.due_run import DueRun, apply, fold
from guard.lifecycle.events import BY_HAND, AnyEvent, RunKey
from guard.policy.schema import Policy
from guard.units import whole_ms


class Story:
    """The story of one start by hand, written beside the daemon."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger

    async def append(self, run: DueRun, *events: AnyEvent) -> DueRun | None:
        """The grown run; None when the daemon wrote first: it saw the run begin. Raises LedgerError."""
        try:
            await self._ledger.append(run.key, run.seq, *events)
        except ConflictError:
            return None
        for event in events:
            run = apply(run.key, run, event)
        return run

    async def begin(self, key: RunKey, *events: AnyEvent) -> DueRun:
        """Raises LedgerError."""
        await self._ledger.append(key, 0, *events)
        return await self.load(key)

    async def load(self, key: RunKey) -> DueRun:
        run = fold(key, await self._ledger.load(key))
        if run is None:
            raise LedgerError("The ledger lost the story of this start")
        return run


async def look(ledger: SqliteLedger, xo: GateXo, policy: Policy, wish: Wish, clock: Callable[[], datetime]) -> Judged:
    """Read XO and judge. Writes nothing. Raises UsageError, XoError, LedgerError."""
    brakes = read_brakes(await ledger.recall(BRAKES))
    estate = await xo.estate()
    return judge(estate, policy, wish, Situation(brakes=brakes), clock())


async def start(ledger: SqliteLedger, xo: GateXo, judged: Judged, clock: Callable[[], datetime]) -> Done:
    """Have XO start what ``judged`` lets start. Raises XoError where nothing was written yet, LedgerError."""
    seen_now = await _others(xo, judged, clock())
    if isinstance(seen_now, Done):
        return seen_now
    at = whole_ms(clock())
    story = Story(ledger)
    run = await story.begin(RunKey(judged.schedule.id, at, BY_HAND), *first_events(judged, at))
    # what ran before is nothing that somebody began meanwhile
    hands = Hands(xo, story.append, clock=clock, instance=ledger.instance, elsewhere=lambda _: seen_now)
    try:
        grown = await hands.start(
            run,
            Start(judged.start_vms, told_reason(judged.wish), settings=judged.settings),
            judged.job.type,
            Shown(timedelta(), {}, ()),
        )
    except XoError as error:
        return Done(await story.load(run.key), str(error))
    except LedgerError as error:
        raise LedgerError(
            f"{error}. XO may have been asked all the same: look there whether {judged.job.name} runs"
        ) from error
    told = grown if grown is not None else await story.load(run.key)
    if told.intents:
        return Done(told)
    return Done(
        told, told.ended.reason if told.ended is not None else "The job began to run before guard could start it."
    )


async def _others(xo: GateXo, judged: Judged, now: datetime) -> frozenset[str] | Done:
    """The job's runs of the last day; or why it must not be started after all. Reading all of XO takes its time."""
    setup = await xo.setup()
    job, schedule = setup.job_by_id.get(judged.job.id), setup.schedule_by_id.get(judged.schedule.id)
    if job is None or schedule is None or schedule.job_id != judged.job.id:
        return Done(error="The schedule or its job was changed or deleted while guard looked; run it again.")
    logs = await xo.runs_of(judged.job.id, now - LOOK_BACK)
    if job.run_id or any(log.status == "pending" for log in logs):
        return Done(error=f"Job {judged.job.name} runs by now, and XO runs a job once at a time (JOB_RUNNING).")
    return frozenset(log.id for log in logs)
