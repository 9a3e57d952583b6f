"""What to do next about a due run that guard may act on: claim, start, wait, give up, give back. Pure.

The steps follow from the story and from what XO shows at this moment, so a guard that died at any point goes on from
here. A step that talks to XO (``PlaceClaim``, ``Start``, ``Reconcile``, ``Release``, ``Sync``) is carried out by
guard/gate/hands.py, which writes the intent into the ledger first.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from guard.finding import Level
from guard.lifecycle.claiming import (
    RETRY,
    PlaceClaim,
    Postpone,
    Release,
    Rules,
    Scene,
    Sync,
    claim_intent,
    claim_step,
    give_back,
    stands_at,
    wants_claim,
)
from guard.lifecycle.due_run import DueRun, FollowUp, Intent
from guard.lifecycle.events import Alarmed, AnyEvent, End, Ended, GaveUp, NotStarted, Started, Starter
from guard.lifecycle.follow_up import NONE, Chances, StartAgain, intent, next_of_follow_up
from guard.lifecycle.next_step import (
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
from guard.lifecycle.resolution import (
    Resolution,
    is_ours,
    is_started,
    resolve,
    standby_at,
    until_its_turn,
    waits_for_storm,
)
from guard.lifecycle.standby import safe_minute
from guard.lifecycle.turn import LONGEST
from guard.mechanics.fallback import FallbackKind
from guard.outcomes.alarms import RUN_EXPIRED, RUN_REFUSED, START_UNCERTAIN, XO_DID_NOT_FIRE

SETTLE = timedelta(seconds=75)  # after a lost answer; a run that XO began shows in its newest list well before
STALE = timedelta(minutes=2)  # no run is given up on a decision older than this
SHORTEST_TURN = timedelta(hours=1)  # of a sequence's member, whose turn may come after its own deadline
MOST_REASONS = 3  # told with what was given up; all of them are in the story
COVERED_WITHIN = timedelta(seconds=5)  # after the due time the run that was foretold to cover it must be there
A_MOMENT = timedelta(seconds=2)
GRACE = timedelta(minutes=10)  # a start that was not possible at the deadline is tried a little longer


@dataclass(frozen=True)
class Start:
    """Have XO run it for these VMs; None: for all the job takes. ``rearm``: set XO's timer anew first.

    ``along``: the ids of schedules that XO goes on with by itself, of a sequence's members. ``standbys``: when a fallback
    of XO's may have started it. ``settings``: as in ``Verdict``.
    """

    vms: tuple[str, ...] | None
    reason: str
    rearm: bool = False
    along: tuple[str, ...] = ()
    standbys: tuple[datetime, ...] = ()
    settings: Mapping[str, Mapping[str, int | bool]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reconcile:
    """Ask XO for the runs of an attempt of which nobody knows what came."""


Act = Step | PlaceClaim | Start | Reconcile | Release | Postpone | Sync


def next_act(
    run: DueRun,
    seen: Observed,
    scene: Scene,
    rules: Rules,
    *,
    lead: timedelta,
    look_every: timedelta,
    chances: Chances = NONE,
) -> Act:
    """The next step of a due run that has not ended, of a schedule with gate = enforce. ``chances``: of a follow-up."""
    found = news(run, seen)
    if found:
        return Record(found)
    soon = Wait(scene.now + look_every)
    if not _answers_for(run, scene) and not run.has_claim:
        if scene.is_read and scene.fallbacks:
            return Sync(None)
        may_start = scene.is_read and not scene.aside and not scene.bypass
        step = next_step(run, seen, lead=lead, look_every=look_every, acts=True, rescues=may_start)
        if isinstance(step, Record) and any(isinstance(one, Ended) for one in step.events):
            return intent(run, scene, chances) or step
        return _claimed(run, scene, rules) or step if isinstance(step, Wait) else step
    if not scene.is_read:
        return soon
    if run.open_intent is not None:
        return _settle(run.open_intent, run, scene, rules, look_every)
    if run.has_claim and run.claim is not None:
        step_of_claim = claim_step(run, run.claim, scene)
        if step_of_claim is not None:
            return step_of_claim
    return _after_due(run, scene, rules, look_every, chances)


def _answers_for(run: DueRun, scene: Scene) -> bool:
    return is_ours(run) or (scene.turn is not None and scene.turn.ours)


def _claimed(run: DueRun, scene: Scene, rules: Rules) -> Record | None:
    """The intent to claim; of a sequence its own story has it."""
    if run.decided is None or run.key.via or not wants_claim(run, always=rules.claim_always):
        return None
    return claim_intent(run, scene, run.decided.verdict.sentence)


# --- at and after the due time


def _after_due(run: DueRun, scene: Scene, rules: Rules, look_every: timedelta, chances: Chances) -> Act:
    found = resolve(run, scene.now)
    step = (
        _act(run, scene, rules, found, look_every)
        if run.follow_up is None
        else _follow_up(run, run.follow_up, scene, rules, found, look_every, chances)
    )
    if isinstance(step, Evaluate) and run.has_claim:
        back = give_back(run, scene)
        if not isinstance(back, Wait):  # judging takes a whole reading, which may be long, or fail
            return back
    if step is not None and not isinstance(step, Wait):
        return step
    wanted = _standby(run, scene, found)
    if not stands_at(scene.fallbacks, wanted):
        return Sync(wanted)
    if run.has_claim:
        back = give_back(run, scene)
        if not isinstance(back, Wait):
            return back
        return back if step is None or back.until < step.until else step
    if step is not None:
        return step
    if run.running:
        return Wait(scene.now + look_every)
    return intent(run, scene, chances) or Record((_ended(run, scene.now),))


def _follow_up(
    run: DueRun,
    follow_up: FollowUp,
    scene: Scene,
    rules: Rules,
    found: Resolution,
    look_every: timedelta,
    chances: Chances,
) -> Act | None:
    step = next_of_follow_up(run, follow_up, found, scene, rules, chances, look_every)
    if not isinstance(step, StartAgain):
        return step
    settings = run.decided.verdict.settings if run.decided is not None else {}
    return Start(step.vms, step.reason, settings=settings)


def _standby(run: DueRun, scene: Scene, found: Resolution) -> datetime | None:
    turn = scene.turn
    if turn is None or turn.has_come or found.start is None or run.follow_up is not None:
        return standby_at(run, scene.now, found)
    # XO goes on with it by itself, or the sequence's own fallback starts all of it
    return until_its_turn(run, scene.now) if turn.begun and not turn.entrusted else None


def _act(run: DueRun, scene: Scene, rules: Rules, found: Resolution, look_every: timedelta) -> Act | None:
    """Start, wait or give up; None when nothing is left to be done about the start."""
    if found.is_over:
        return None
    is_late = _is_late(run, scene)
    if scene.turn is not None and not scene.turn.has_come and (run.decided is None or found.start is not None):
        return Wait(scene.now + look_every) if scene.now < run.key.due + LONGEST else _expired(run, scene)
    if scene.next_began:
        vms, what = (found.wait, "the VMs that waited") if is_started(run) else ((), "this one")
        text = f"The schedule's next due time came first and covers {what}."
        return Record((GaveUp(at=scene.now, vms=vms, whole=True, end=End.COVERED, reason=text),))
    if run.decided is None:
        return _expired(run, scene) if is_late else Evaluate()
    if is_late and not (scene.running and is_started(run)) and scene.now > run.decided.at + GRACE:
        return _expired(run, scene)  # it could not be judged either: gone from XO, or XO cannot be read whole
    if scene.running and is_started(run):  # judged now, its own run would stand in the way of the rest
        return Wait(scene.now + look_every)
    decided_ago = scene.now - run.decided.at
    if found.covered or found.refused or found.give_up:
        return _give_up(run, scene, found, run.decided.at)
    if decided_ago >= rules.recheck_every or (scene.changed and decided_ago >= RETRY):
        return Evaluate()
    if found.start is not None:
        return _start(run, scene, found.start, look_every)
    until = min(found.waits_until or scene.now, run.decided.at + rules.recheck_every, scene.now + look_every)
    return _wait_out_storm(run, run.decided.at, scene, until) if waits_for_storm(found) else Wait(until)


def _wait_out_storm(run: DueRun, decided_at: datetime, scene: Scene, until: datetime) -> Wait | Evaluate:
    """Judged anew at the first minute after the gap of the clocks, before XO's fallback acts."""
    over = safe_minute(run.seen.cron, run.seen.zone, run.key.due)
    if decided_at < over <= scene.xo_now:
        return Evaluate()
    return Wait(min(until, over) if scene.now < over else until)


def _give_up(run: DueRun, scene: Scene, found: Resolution, decided_at: datetime) -> Wait | Evaluate | Record:
    if found.covered and not scene.running and decided_at < run.key.due:  # foretold, and by now it should be there
        last = run.key.due + COVERED_WITHIN
        return Wait(min(last, scene.now + A_MOMENT)) if scene.now < last else Evaluate()
    # what was judged before the deadline may hold no longer
    return Evaluate() if scene.now - decided_at >= STALE else Record(_gave_up(run, scene.now, found))


def _start(run: DueRun, scene: Scene, vms: tuple[str, ...], look_every: timedelta) -> Act:
    if _is_late(run, scene):
        return _expired(run, scene)
    if scene.running:  # XO would log a failure
        return Wait(scene.now + look_every)
    if scene.rolling:  # hosts reboot
        return Wait(scene.now + RETRY)
    failed = run.intents[-1].failed if run.intents else None
    if failed is not None and scene.now < failed.at + RETRY:
        return Wait(failed.at + RETRY)
    turn = scene.turn
    is_held = (run.claim is not None and run.claim.released is None) or (turn is not None and turn.ours)
    did_not_fire = XO_DID_NOT_FIRE.id in run.alarm_codes and not run.intents and (turn is None or turn.first)
    return Start(
        vms or None,
        run.decided.verdict.sentence if run.decided is not None else "",
        rearm=did_not_fire and not is_held,
        along=turn.along if turn is not None and not vms else (),
        standbys=_standbys(run, scene),
        settings=run.decided.verdict.settings if run.decided is not None else {},
    )


def _standbys(run: DueRun, scene: Scene) -> tuple[datetime, ...]:
    if run.follow_up is not None:  # no fallback is for it, and the minutes of those there were are past
        return ()
    return run.standbys if scene.turn is None else (*run.standbys, *scene.turn.standbys)


def _expired(run: DueRun, scene: Scene) -> Record:
    text = "The deadline passed and no start was possible" + (": the job kept running." if scene.running else ".")
    return Record(
        (
            GaveUp(at=scene.now, vms=(), whole=True, end=End.EXPIRED, code=RUN_EXPIRED.id, reason=text),
            Alarmed(at=scene.now, code=RUN_EXPIRED.id, text=f"{run.seen.schedule_name}: {text}"),
        )
    )


def _is_late(run: DueRun, scene: Scene) -> bool:
    """By both clocks: one that is ahead must not give up what has just come due."""
    return min(scene.now, scene.xo_now) > _deadline(run, scene) + GRACE


def _deadline(run: DueRun, scene: Scene) -> datetime:
    verdict = run.decided.verdict if run.decided is not None else None
    known = [one.deadline for one in (verdict.held if verdict else ()) if one.deadline is not None]
    last = (
        verdict.deadline
        if verdict is not None and verdict.deadline is not None
        else run.seen.expected_at + STARTED_LATE
    )
    by_turn = [scene.turn.since + SHORTEST_TURN] if scene.turn is not None else []
    return max([*known, last, *by_turn])


def _gave_up(run: DueRun, now: datetime, found: Resolution) -> tuple[AnyEvent, ...]:
    sentence = run.decided.verdict.sentence if run.decided is not None else ""
    if found.covered:
        return (GaveUp(at=now, vms=(), whole=True, end=End.COVERED, reason=sentence),)
    codes = list(dict.fromkeys(code for one in found.give_up for code in one.codes))
    whole = found.refused or (found.start is None and not found.wait)
    sentence = " ".join(dict.fromkeys((sentence, *_figures(run, {one.vm for one in found.give_up}))))
    given = GaveUp(
        at=now, vms=found.give_up, whole=whole, end=End.REFUSED, code=codes[0] if codes else "", reason=sentence
    )
    who = ", ".join(one.name for one in found.give_up[:5]) or "all of it"
    text = f"{run.seen.schedule_name} ({run.seen.job_name}): not started: {who}. {sentence}"
    return given, Alarmed(at=now, code=RUN_REFUSED.id, text=text)


def _figures(run: DueRun, vms: AbstractSet[str]) -> list[str]:
    """What stands against these VMs, with the numbers: a person who is paged wants them at once."""
    findings = run.decided.verdict.findings if run.decided is not None else ()
    against = [
        one.summary
        for one in findings
        if one.level in (Level.BLOCK, Level.UNKNOWN) and (not one.holds or not vms or not vms.isdisjoint(one.holds))
    ]
    return list(dict.fromkeys(against))[:MOST_REASONS]


# --- a start of which nobody knows


def _settle(intent: Intent, run: DueRun, scene: Scene, rules: Rules, look_every: timedelta) -> Act:
    starting = intent.starting
    # the fallback is removed before XO is asked: where it still stands, XO was not asked
    own = (*scene.fallbacks, *scene.above)
    unasked = any(one.fallback.kind is FallbackKind.START and one.armed for one in own)
    standbys = _standbys(run, scene)
    has_fired = any(at <= scene.now for at in standbys)
    if scene.new_runs is None and (has_fired or not unasked):
        return Reconcile()
    if unasked and not scene.new_runs:
        told = "guard stopped before it asked XO."
        return Record((NotStarted(at=scene.now, attempt=starting.attempt, error=told),))
    if scene.new_runs:
        identity, began = scene.new_runs[0]
        by = starter(standbys, began, starting.attempt)
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
    """A follow-up changes nothing of who started what was due."""
    run = run.as_due
    given = run.given_up[-1] if run.given_up else None
    if any(one.run for one in run.intents) or any(one.started.by is Starter.GUARD for one in run.attempts):
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
