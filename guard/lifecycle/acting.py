"""What to do next about a due run that guard may act on: claim, start, wait, give up, give back. Pure.

The steps follow from the story and from what XO shows at this moment, so a guard that died at any point goes on from
here. A step that talks to XO (``PlaceClaim``, ``Start``, ``Reconcile``, ``Release``, ``Sync``) is carried out by
guard/gate/hands.py, which writes the intent into the ledger first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from guard.decision.verdict import Action
from guard.estate.xo_records import Schedule
from guard.lifecycle.due_run import Claim, ClaimState, DueRun, Intent
from guard.lifecycle.events import (
    Alarmed,
    AnyEvent,
    Claimed,
    Claiming,
    End,
    Ended,
    GaveUp,
    NotStarted,
    ReleasedHow,
    Started,
    Starter,
)
from guard.lifecycle.next_step import (
    SETTLED,
    STARTED_LATE,
    Evaluate,
    Observed,
    Record,
    Step,
    Wait,
    news,
    next_step,
    starter,
)
from guard.lifecycle.resolution import FALLBACK_AFTER, Resolution, is_started, resolve, standby_at
from guard.lifecycle.standby import may_enable, release_minutes, safe_minute
from guard.mechanics.fallback import FallbackKind, Placed, at_minutes
from guard.outcomes.alarms import RUN_EXPIRED, RUN_REFUSED, START_UNCERTAIN, XO_DID_NOT_FIRE

TOO_LATE = timedelta(seconds=5)  # no claim is begun or gone on with so shortly before XO fires
RELEASE_AFTER = timedelta(seconds=3)  # by XO's clock: in the minute of a due time XO looks strictly beyond it
SETTLE = timedelta(seconds=75)  # after a lost answer; a run that XO began shows in its newest list well before
RETRY = timedelta(minutes=1)
STALE = timedelta(minutes=2)  # no run is given up on a decision older than this
GRACE = timedelta(minutes=10)  # a start that was not possible at the deadline is tried a little longer


@dataclass(frozen=True)
class Rules:
    """The policy's part: who acts, and how."""

    claim_always: bool
    on_uncertain: str
    recheck_every: timedelta


@dataclass(frozen=True)
class Scene:
    """What XO shows of the schedule that fires a due run. All of it was read after the story's last event.

    ``is_read``: False while XO cannot be reached, the rest means nothing then. ``xo_now``: the time of XO's clock.
    ``record``: the schedule, None when it is gone. ``running``: the id of the run of its job that goes on, ''.
    ``fallbacks``: guard's own for this due time. ``aside``: why guard must not claim, '' when it may; ``bypass``: guard
    must let go. ``rolling``: a rolling pool update goes on. ``changed``: something that a waiting run may wait for
    changed since it was last decided. ``next_began``: the schedule's next due time has come. ``new_runs``: the runs of
    an open attempt, None where they were not asked for yet.
    """

    now: datetime
    is_read: bool
    xo_now: datetime
    record: Schedule | None = None
    running: str = ""
    fallbacks: tuple[Placed, ...] = ()
    aside: str = ""
    bypass: bool = False
    rolling: bool = False
    changed: bool = False
    next_began: bool = False
    new_runs: tuple[tuple[str, datetime], ...] | None = None


@dataclass(frozen=True)
class PlaceClaim:
    """Put both fallbacks, read them back, switch the schedule off, read it back."""


@dataclass(frozen=True)
class Start:
    """Have XO run it for these VMs; None: for all the job takes."""

    vms: tuple[str, ...] | None
    reason: str
    rearm: bool = False


@dataclass(frozen=True)
class Reconcile:
    """Ask XO for the runs of an attempt of which nobody knows what came."""


@dataclass(frozen=True)
class Release:
    """Give the schedule back, or note that XO has it."""

    how: ReleasedHow


@dataclass(frozen=True)
class Sync:
    """Bring XO's starting fallback to ``start_at``, or remove it (None)."""

    start_at: datetime | None


Act = Step | PlaceClaim | Start | Reconcile | Release | Sync


def next_act(run: DueRun, seen: Observed, scene: Scene, rules: Rules, *, lead: timedelta, look_every: timedelta) -> Act:
    """The next step of a due run that has not ended, of a schedule with gate = enforce."""
    found = news(run, seen)
    if found:
        return Record(found)
    soon = Wait(scene.now + look_every)
    if not is_ours(run) and not run.has_claim:
        if scene.is_read and scene.fallbacks:
            return Sync(None)
        may_start = scene.is_read and not scene.aside and not scene.bypass
        step = next_step(run, seen, lead=lead, look_every=look_every, acts=True, rescues=may_start)
        return _with_claim(run, scene, rules) or step if isinstance(step, Wait) else step
    if not scene.is_read:
        return soon
    if run.open_intent is not None:
        return _settle(run.open_intent, run, scene, rules, look_every)
    if run.has_claim and run.claim is not None:
        step_of_claim = _claim_step(run, run.claim, scene)
        if step_of_claim is not None:
            return step_of_claim
    return _after_due(run, scene, rules, look_every)


def is_ours(run: DueRun) -> bool:
    """Whether guard answers for this due time's start: it was claimed until the due time, or XO did not fire."""
    if XO_DID_NOT_FIRE.id in run.alarm_codes:
        return True
    if run.intents:
        return True
    if run.claim is None:
        return False
    released = run.claim.released
    if released is None:
        return True
    if released.how is ReleasedHow.BY_OTHERS:  # enabled so close to the due time, XO may be about to fire
        return released.at >= run.key.due + SETTLED
    return released.at >= run.key.due and released.how is not ReleasedHow.NEVER


def wants_claim(run: DueRun, rules: Rules) -> bool:
    """Whether XO must not start it by itself."""
    if run.decided is None:
        return False
    return rules.claim_always or run.decided.verdict.action is not Action.START


def _with_claim(run: DueRun, scene: Scene, rules: Rules) -> Record | None:
    """The intent to claim, where it is due and allowed."""
    record = scene.record
    if not wants_claim(run, rules) or not scene.is_read or run.claim is not None or run.attempts:
        return None
    if scene.aside or scene.bypass or scene.rolling or record is None or not record.enabled:
        return None
    if scene.xo_now >= run.key.due - TOO_LATE or scene.now >= run.key.due - TOO_LATE:
        return None
    start_at = safe_minute(run.seen.cron, run.seen.zone, run.key.due + FALLBACK_AFTER)
    claiming = Claiming(
        at=scene.now,
        found=record,
        start_at=start_at,
        release_at=release_minutes(run.seen.cron, run.seen.zone, start_at),
        reason=run.decided.verdict.sentence if run.decided is not None else "",
    )
    return Record((claiming,))


# --- the claim


def _claim_step(run: DueRun, claim: Claim, scene: Scene) -> Act | None:
    """What the claim needs before anything else is done; None for nothing."""
    record = scene.record
    if record is None:
        return Release(ReleasedHow.GONE)
    is_off = record == msgspec.structs.replace(claim.intent.found, enabled=False)
    if claim.state is ClaimState.PLACING:
        late = max(scene.xo_now, scene.now) >= run.key.due - TOO_LATE
        if is_off and (late or _stand(claim, scene)):
            return Record((Claimed(at=scene.now, held=record),))
        if scene.bypass or late or (not is_off and record != claim.intent.found):
            return Release(ReleasedHow.NEVER if record.enabled else ReleasedHow.TOUCHED)
        return PlaceClaim()
    if record.enabled:
        return Release(ReleasedHow.ENABLED if claim.state is ClaimState.RELEASING else ReleasedHow.BY_OTHERS)
    if record != claim.held:
        return Release(ReleasedHow.TOUCHED) if scene.xo_now >= run.key.due else Wait(run.key.due)
    if scene.bypass and scene.xo_now < run.key.due - TOO_LATE:
        return Release(ReleasedHow.ENABLED)
    if scene.now < run.key.due:
        return Wait(run.key.due)
    if scene.xo_now < run.key.due:  # by XO's clock it is still to come
        return Wait(scene.now + (run.key.due - scene.xo_now))
    return None


def _stand(claim: Claim, scene: Scene) -> bool:
    """Whether both fallbacks of the claim are in XO as they shall be."""
    wanted = {
        (FallbackKind.START, at_minutes([claim.intent.start_at])),
        (FallbackKind.RELEASE, at_minutes(claim.intent.release_at)),
    }
    return wanted <= {(one.fallback.kind, one.fallback.cron) for one in scene.fallbacks if one.armed}


def _give_back(run: DueRun, scene: Scene) -> Wait | Release:
    """When the schedule may be enabled: never in or before a minute in which XO's next date is not in the future."""
    at = run.key.due + RELEASE_AFTER
    if scene.xo_now < at:
        return Wait(scene.now + (at - scene.xo_now))
    if scene.rolling or not may_enable(run.seen.cron, run.seen.zone, scene.xo_now):
        return Wait(scene.now + RETRY)
    return Release(ReleasedHow.ENABLED)


# --- at and after the due time


def _after_due(run: DueRun, scene: Scene, rules: Rules, look_every: timedelta) -> Act:
    found = resolve(run, scene.now)
    step = _act(run, scene, rules, found, look_every)
    if isinstance(step, Evaluate) and run.has_claim:
        back = _give_back(run, scene)
        if isinstance(back, Release):  # judging takes a whole reading, which may be long, or fail
            return back
    if step is not None and not isinstance(step, Wait):
        return step
    wanted = standby_at(run, scene.now, found)
    if not _stands_at(scene, wanted):
        return Sync(wanted)
    if run.has_claim:
        back = _give_back(run, scene)
        if isinstance(back, Release):
            return back
        return back if step is None or back.until < step.until else step
    if step is not None:
        return step
    if run.running:
        return Wait(scene.now + look_every)
    return Record((_ended(run, scene.now),))


def _stands_at(scene: Scene, wanted: datetime | None) -> bool:
    crons = [one.fallback.cron for one in scene.fallbacks if one.fallback.kind is FallbackKind.START]
    return crons == ([] if wanted is None else [at_minutes([wanted])])


def _act(run: DueRun, scene: Scene, rules: Rules, found: Resolution, look_every: timedelta) -> Act | None:
    """Start, wait or give up; None when nothing is left to be done about the start."""
    if found.is_over:
        return None
    if run.decided is None:
        return Evaluate() if scene.now <= _deadline(run) + GRACE else _expired(run, scene)
    if scene.next_began:
        vms, what = (found.wait, "the VMs that waited") if is_started(run) else ((), "this one")
        text = f"The schedule's next due time came first and covers {what}."
        return Record((GaveUp(at=scene.now, vms=vms, whole=True, end=End.COVERED, reason=text),))
    if (
        scene.now > _deadline(run) + GRACE
        and not (scene.running and is_started(run))
        and scene.now > run.decided.at + GRACE
    ):
        return _expired(run, scene)  # it could not be judged either: gone from XO, or XO cannot be read whole
    if scene.running and is_started(run):  # judged now, its own run would stand in the way of the rest
        return Wait(scene.now + look_every)
    decided_ago = scene.now - run.decided.at
    if found.covered or found.refused or found.give_up:
        # what was judged before the deadline may hold no longer
        return Evaluate() if decided_ago >= STALE else Record(_gave_up(run, scene.now, found))
    if decided_ago >= rules.recheck_every or (scene.changed and decided_ago >= RETRY):
        return Evaluate()
    if found.start is not None:
        return _start(run, scene, found.start, look_every)
    until = found.waits_until or scene.now
    return Wait(min(until, run.decided.at + rules.recheck_every, scene.now + look_every))


def _start(run: DueRun, scene: Scene, vms: tuple[str, ...], look_every: timedelta) -> Act:
    if scene.now > _deadline(run) + GRACE:
        return _expired(run, scene)
    if scene.running:  # XO would log a failure
        return Wait(scene.now + look_every)
    failed = run.intents[-1].failed if run.intents else None
    if failed is not None and scene.now < failed.at + RETRY:
        return Wait(failed.at + RETRY)
    claimed = run.claim is not None and run.claim.released is None
    reason = run.decided.verdict.sentence if run.decided is not None else ""
    return Start(vms or None, reason, rearm=not claimed and XO_DID_NOT_FIRE.id in run.alarm_codes and not run.intents)


def _expired(run: DueRun, scene: Scene) -> Record:
    text = "The deadline passed and no start was possible" + (": the job kept running." if scene.running else ".")
    return Record(
        (
            GaveUp(at=scene.now, vms=(), whole=True, end=End.EXPIRED, code=RUN_EXPIRED.id, reason=text),
            Alarmed(at=scene.now, code=RUN_EXPIRED.id, text=f"{run.seen.schedule_name}: {text}"),
        )
    )


def _deadline(run: DueRun) -> datetime:
    verdict = run.decided.verdict if run.decided is not None else None
    known = [one.deadline for one in (verdict.held if verdict else ()) if one.deadline is not None]
    last = verdict.deadline if verdict is not None and verdict.deadline is not None else run.key.due + STARTED_LATE
    return max([*known, last])


def _gave_up(run: DueRun, now: datetime, found: Resolution) -> tuple[AnyEvent, ...]:
    verdict = run.decided.verdict if run.decided is not None else None
    sentence = verdict.sentence if verdict is not None else ""
    if found.covered:
        return (GaveUp(at=now, vms=(), whole=True, end=End.COVERED, reason=sentence),)
    codes = list(dict.fromkeys(code for one in found.give_up for code in one.codes))
    whole = found.refused or (found.start is None and not found.wait)
    given = GaveUp(
        at=now, vms=found.give_up, whole=whole, end=End.REFUSED, code=codes[0] if codes else "", reason=sentence
    )
    who = ", ".join(one.name for one in found.give_up[:5]) or "all of it"
    text = f"{run.seen.schedule_name} ({run.seen.job_name}): not started: {who}. {sentence}"
    return given, Alarmed(at=now, code=RUN_REFUSED.id, text=text)


# --- a start of which nobody knows


def _settle(intent: Intent, run: DueRun, scene: Scene, rules: Rules, look_every: timedelta) -> Act:
    starting = intent.starting
    # the fallback is removed before XO is asked: where it still stands, XO was not asked
    unasked = any(one.fallback.kind is FallbackKind.START and one.armed for one in scene.fallbacks)
    has_fired = any(at <= scene.now for at in run.standbys)
    if scene.new_runs is None and (has_fired or not unasked):
        return Reconcile()
    if unasked and not scene.new_runs:
        told = "guard stopped before it asked XO."
        return Record((NotStarted(at=scene.now, attempt=starting.attempt, error=told),))
    if scene.new_runs:
        identity, began = scene.new_runs[0]
        by = starter(run, began, starting.attempt)
        return Record((Started(at=scene.now, run=identity, began=began, by=by, attempt=starting.attempt),))
    since = intent.doubts[-1].at if intent.doubts else starting.at
    if scene.now < since + SETTLE:
        return Wait(min(since + SETTLE, scene.now + look_every))
    told = "XO's answer was lost, and no run of it showed afterwards"
    events: list[AnyEvent] = [NotStarted(at=scene.now, attempt=starting.attempt, error=f"{told}.", sure=False)]
    if rules.on_uncertain == "skip":
        text = f"{told}; by policy it is not started again."
        events.append(GaveUp(at=scene.now, vms=(), whole=True, end=End.MISSED, code=START_UNCERTAIN.id, reason=text))
    else:
        text = f"{told}; it is started again."
    events.append(Alarmed(at=scene.now, code=START_UNCERTAIN.id, text=f"{run.seen.schedule_name}: {text}"))
    return Record(tuple(events))


# --- the end


def _ended(run: DueRun, now: datetime) -> Ended:
    given = run.given_up[-1] if run.given_up else None
    if any(one.run for one in run.intents):
        in_part = any(one.end is not End.COVERED for one in run.given_up)
        return Ended(
            at=now,
            end=End.RAN_IN_PART if in_part else End.RAN,
            code=given.code if given is not None and in_part else "",
            reason=given.reason if given is not None and in_part else "",
        )
    if run.attempts:
        by = run.attempts[0].started.by
        told = "XO's fallback started it while guard was away." if by is Starter.FALLBACK else ""
        return Ended(at=now, end=End.LEFT_TO_XO, reason=told)
    if given is not None:
        return Ended(at=now, end=given.end, code=given.code, reason=given.reason)
    return Ended(at=now, end=End.MISSED, code=XO_DID_NOT_FIRE.id, reason="Nobody started it.")
