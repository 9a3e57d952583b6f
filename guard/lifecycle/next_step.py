"""What to do next about one due run: a pure function of its story and of what XO shows now.

Start-up, reload, a clock that stepped and a machine that slept all come back here with whatever is true then; there is
no recovery code anywhere else. In observe mode guard only looks: it predicts, sees the run, and tells how it ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from guard.checks.overlap import JOB_STUCK
from guard.finding import Scope, ScopeKind
from guard.lifecycle.due_run import Attempt, DueRun
from guard.lifecycle.events import Alarmed, AnyEvent, AttemptEnded, End, Ended, Started, Starter
from guard.mechanics.zones import zone_or_utc
from guard.outcomes.alarms import SCHEDULE_DISABLED, START_UNCERTAIN, XO_DID_NOT_FIRE
from guard.outcomes.outcome import Outcome, Times
from guard.units import format_duration, format_time

EARLY = timedelta(seconds=5)  # XO's clock may be this much behind guard's
SETTLED = timedelta(seconds=70)  # a minute for XO to fire, and the 10 s for which it caches its list of logs
QUIET = timedelta(minutes=30)  # without progress for so long, a run may be stuck
UNUSUAL_HOURS = timedelta(hours=24)  # without samples, only a run longer than this is stuck
GONE = timedelta(hours=24)  # so old, a run that XO lists no longer is not just late in a list
ENOUGH_SAMPLES = 5
LONGEST_CALL = timedelta(minutes=5)  # so long a guard start may still be waiting for XO's answer
STARTED_LATE = timedelta(hours=6)  # what XO did not fire is not started by guard later than this


@dataclass(frozen=True)
class LogSeen:
    """One run as XO's logs show it. ``outcome`` None while it goes on; ``progress_at``: when its tasks last moved;
    ``vms``: the ids of those it takes, () as long as XO does not tell.
    """

    run: str
    began: datetime
    outcome: Outcome | None
    progress_at: datetime | None = None
    vms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """What XO shows of one due run at ``now``.

    ``logs_at``: when the logs were read, None while XO cannot be reached. ``logs``: the runs that belong to this due time.
    ``fires``: whether XO's schedule still fires then; None where that cannot be told. ``sequence_runs``: whether the
    sequence it comes through goes on; ``through``: who started that, None for XO's timer or a person; ``standbys``: when
    its fallback does. ``usual_s``: P95 of the schedule's past runs, None with too few. ``unread``: guard could not read XO
    when it was due.
    """

    now: datetime
    logs_at: datetime | None
    logs: tuple[LogSeen, ...] = ()
    fires: bool | None = True
    sequence_runs: bool = False
    through: Starter | None = None
    standbys: tuple[datetime, ...] = ()
    usual_s: float | None = None
    unread: bool = False


@dataclass(frozen=True)
class Wait:
    """Nothing to do before ``until``."""

    until: datetime


@dataclass(frozen=True)
class Evaluate:
    """Predict on fresh facts, and record it."""


@dataclass(frozen=True)
class Record:
    """Append these events."""

    events: tuple[AnyEvent, ...]


Step = Wait | Evaluate | Record


def next_step(
    run: DueRun,
    seen: Observed,
    *,
    lead: timedelta,
    look_every: timedelta,
    acts: bool = False,
    rescues: bool = False,
) -> Step:
    """The next step of a due run that has not ended. ``lead``: how long before the due time the prediction is made.

    ``acts``: the policy says enforce; ``rescues``: guard may start what XO did not: such a run is told and goes on
    (guard/lifecycle/acting.py).
    """
    found = news(run, seen)
    if found:
        return Record(found)
    decide_at = run.key.due - lead  # of a sequence, all members at once: which of them are due is known then
    if seen.now < decide_at:
        return Wait(decide_at)
    if run.decided is None and not run.attempts and seen.now < run.key.due:
        return Evaluate()
    starts = sorted((run.seen.expected_at, *run.seen.starts))
    settled = starts[-1] + SETTLED
    if seen.now < settled:
        # between the starts of a night that has two, nothing can begin
        ahead = next((one - EARLY for one in starts if one - EARLY > seen.now), settled)
        idle = not run.running and len(run.attempts) == sum(1 for one in run.seen.starts if one - EARLY <= seen.now)
        return Wait(ahead if run.attempts and idle else min(seen.now + look_every, settled))
    if run.running:
        return Wait(seen.now + look_every)
    is_sure = seen.logs_at is not None and seen.logs_at >= settled
    if run.is_asked_by_hand:
        return _by_hand(run, seen, look_every)
    if run.attempts and (is_sure or len(run.seen.starts) == 1):  # where XO starts it twice, a second run may be unseen
        return Record((Ended(at=seen.now, end=End.LEFT_TO_XO if acts else End.OBSERVED),))
    if not is_sure or seen.sequence_runs:
        return Wait(seen.now + look_every)
    missed = _missed(run, seen)
    in_time = seen.now < run.key.due + STARTED_LATE
    return Record(missed[:1] if rescues and in_time and isinstance(missed[0], Alarmed) else missed)


def _by_hand(run: DueRun, seen: Observed, look_every: timedelta) -> Wait | Record:
    """The end of what a person had guard start: whoever did so was told at once, so nothing of it is an alarm."""
    given = run.given_up[-1] if run.given_up else None
    if any(one.run for one in run.intents):
        if given is None:
            return Record((Ended(at=seen.now, end=End.RAN),))
        return Record((Ended(at=seen.now, end=End.RAN_IN_PART, code=given.code, reason=given.reason),))
    if run.attempts:
        return Record((Ended(at=seen.now, end=End.OBSERVED, reason="Another run of the job was first."),))
    intent = run.intents[-1] if run.intents else None
    since = run.key.due if intent is None else intent.doubts[-1].at if intent.doubts else intent.starting.at
    patience = LONGEST_CALL if intent is not None and intent.is_open and not intent.doubts else SETTLED
    if seen.logs_at is None or seen.logs_at < since + patience:
        return Wait(seen.now + look_every)
    if intent is None:
        told, code = "guard start ended before it asked XO, so nothing was started.", ""
    elif intent.failed is not None:
        told, code = f"guard start came to nothing: {intent.failed.error}", ""
    elif intent.doubts:
        told, code = "XO's answer to guard start was lost, and XO shows no run of it.", START_UNCERTAIN.id
    else:
        told, code = "guard start died before it recorded XO's answer, and XO shows no run of it.", ""
    return Record((Ended(at=seen.now, end=End.MISSED, code=code, reason=told),))


def news(run: DueRun, seen: Observed) -> tuple[AnyEvent, ...]:
    """Runs that began, runs that ended, and one that does not move, oldest first."""
    known = {one.started.run: one for one in run.attempts}
    intent = run.open_intent
    standbys = () if run.follow_up is not None else (*run.standbys, *seen.standbys)  # none is for a follow-up
    events: list[AnyEvent] = []
    for log in sorted(seen.logs, key=lambda one: one.began):
        attempt = known.get(log.run)
        if attempt is None:
            number = 0
            if intent is not None and log.run not in intent.starting.known:
                number, intent = intent.starting.attempt, None
            by = starter(standbys, log.began, number)
            if by is Starter.XO and seen.through is not None:
                by = seen.through
            chosen = chosen_of(run, log.vms) if by is Starter.XO else None
            events.append(Started(at=seen.now, run=log.run, began=log.began, by=by, attempt=number, vms=chosen))
        if log.outcome is not None and (attempt is None or attempt.ended is None):
            events.append(AttemptEnded(at=seen.now, run=log.run, outcome=log.outcome))
        elif attempt is not None and attempt.ended is None and JOB_STUCK.id not in run.alarm_codes:
            events += _stuck(run, attempt, log, seen)
    return (*events, *_gone(run, seen))


def chosen_of(run: DueRun, vms: Collection[str]) -> tuple[str, ...] | None:
    """The VMs of a run that takes fewer than are due, as a person can ask for in XO; None for all, or not known."""
    due = run.as_due.decided  # what is judged for a follow-up are only those that wait for it
    if due is None or not vms or not set(vms) < set(due.vms):
        return None
    return tuple(vms)


def starter(standbys: Iterable[datetime], began: datetime, attempt: int) -> Starter:
    """XO's fallback where the run began in a minute of it; else guard, where it is an ``attempt`` of its (not 0); else XO,
    or a person, which cannot be told apart.
    """
    if any(timedelta() <= began - at < timedelta(minutes=1) for at in standbys):
        return Starter.FALLBACK
    return Starter.GUARD if attempt else Starter.XO


def _gone(run: DueRun, seen: Observed) -> list[AnyEvent]:
    """Runs that went on when last seen and that XO's list no longer holds: somebody deleted the log, or restored XO."""
    listed = {log.run for log in seen.logs}
    return [
        AttemptEnded(
            at=seen.now,
            run=one.started.run,
            outcome=Outcome(
                run=one.started.run,
                job=Scope(ScopeKind.JOB, run.seen.job, run.seen.job_name),
                schedule=run.key.schedule,
                status="unknown",
                times=Times(),
                sent_bytes=0,
                vms=(),
                unattempted=(),
                causes=(),
            ),
        )
        for one in run.running
        if seen.logs_at is not None and one.started.run not in listed and seen.now - one.started.began > GONE
    ]


def _stuck(run: DueRun, attempt: Attempt, log: LogSeen, seen: Observed) -> list[AnyEvent]:
    took = seen.now - attempt.started.began
    quiet_since = log.progress_at or attempt.started.began
    limit = UNUSUAL_HOURS if seen.usual_s is None else timedelta(seconds=3 * seen.usual_s)
    if seen.now - quiet_since < QUIET or took <= limit:
        return []
    usually = "" if seen.usual_s is None else f", usually at most {format_duration(seen.usual_s)}"
    quiet = format_duration((seen.now - quiet_since).total_seconds())
    text = (
        f"The run of {run.seen.job_name} that began {format_time(attempt.started.began, _zone(run))} goes on for "
        f"{format_duration(took.total_seconds())}{usually}, and its log shows no step for {quiet}: it may be stuck, or one large "
        "transfer. No time limit of XO's ends it."
    )
    return [Alarmed(at=seen.now, code=JOB_STUCK.id, text=text)]


def _zone(run: DueRun) -> tzinfo:
    """The schedule's own zone: what an administrator set in XO, and what the plan tells."""
    return zone_or_utc(run.seen.zone)


def _why_missed(run: DueRun, seen: Observed) -> str:
    if seen.unread:
        return "guard could not read XO at that time, so most likely XO was down; else its scheduler is not armed"
    if run.seen.late:
        return "guard did not look at XO at that time; XO was down too, or its scheduler is not armed"
    return "it was down, or its scheduler is not armed"


def _missed(run: DueRun, seen: Observed) -> tuple[AnyEvent, ...]:
    when = format_time(run.seen.expected_at, _zone(run))
    if seen.fires is False:
        reason = (
            f"Schedule {run.seen.schedule_name} is disabled, changed or deleted now; XO started no run due at {when}."
        )
        return (Ended(at=seen.now, end=End.MISSED, code=SCHEDULE_DISABLED.id, reason=reason),)
    reason = (
        f"XO started no run of {run.seen.schedule_name} ({run.seen.job_name}), due at {when}: {_why_missed(run, seen)}"
        f"{', or the sequence before it stopped' if run.key.via else ''}."
    )
    return (
        Alarmed(at=seen.now, code=XO_DID_NOT_FIRE.id, text=reason),
        Ended(at=seen.now, end=End.MISSED, code=XO_DID_NOT_FIRE.id, reason=reason),
    )
