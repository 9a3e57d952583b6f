"""What happened to a due run, as a message: the reason with its numbers, what a person does, and what guard does next. Pure.

A message names at most ``MOST_NAMES`` VMs and ``MOST_LINES`` causes; all of them are in ``guard why``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from guard.decision.decide import XO_WOULD_CRASH
from guard.decision.verdict import Action
from guard.finding import Level
from guard.lifecycle.accepted import (
    alarm_is_accepted,
    is_accepted_outcome,
    loud_causes,
    loud_findings,
    loud_held,
    predicted,
)
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import (
    BY_HAND,
    Alarmed,
    AnyEvent,
    AttemptEnded,
    Decided,
    End,
    Ended,
    FollowingUp,
    GaveUp,
    Started,
)
from guard.lifecycle.follow_up import deadline_of
from guard.lifecycle.follow_up_causes import FollowedBy, followed_by
from guard.outcomes.alarms import RUN_EXPIRED, RUN_REFUSED, START_UNCERTAIN, XO_DID_NOT_FIRE
from guard.outcomes.causes import Cause
from guard.outcomes.outcome import Outcome
from guard.units import format_duration, format_time, plural
from guard.views.deeds import STARTED_BY
from guard.views.message_parts import NOTHING_MORE, Context, Told, by_hand, composed, do_of, due_of, name_of, names_of
from guard.views.messages_ahead import decided
from guard.views.story import outcome_sentence
from guard.views.zones import event_in_zone, run_in_zone

_ALARM_STATE = {RUN_REFUSED.id: "refused", RUN_EXPIRED.id: "expired"}
QUIET_ENDS = {End.RAN: "ran", End.LEFT_TO_XO: "left_to_xo", End.OBSERVED: "observed", End.COVERED: "covered"}


def told_of(run: DueRun, event: AnyEvent, context: Context) -> Told | None:
    """The message of an event that was just recorded; ``run`` holds it. None where there is nothing to tell.

    Whoever starts a run by hand is at it: nothing of it is a page.
    """
    told = _told(run_in_zone(run, context.zone), event_in_zone(event, run, context.zone), context)
    return replace(told, urgent=False) if told is not None and run.key.via == BY_HAND else told


def _told(run: DueRun, event: AnyEvent, context: Context) -> Told | None:
    match event:
        case Started():
            return _started(run, event, context)
        case AttemptEnded():
            return _attempt_ended(run, event, context)
        case Alarmed():
            return _alarmed(run, event, context)
        case Decided() if run.follow_up is None and event.verdict.action is not Action.START:
            return decided(run, event, context)
        case FollowingUp() | GaveUp() if run.follow_up is not None:
            return _follow_up(run, event, context)
        case Ended() if not run.is_sequence:
            return _ended(run, event, context)
    return None


# --- runs of XO's


def _started(run: DueRun, event: Started, context: Context) -> Told:
    who = plural(len(event.vms), "VM") if event.vms is not None else "the run"
    reason = f"{STARTED_BY[event.by]}: XO runs it since {format_time(event.began, context.zone)}."
    return Told("start", f"{name_of(run)} began", composed(reason, then=f"guard watches {who} to its end."))


def _attempt_ended(run: DueRun, event: AttemptEnded, context: Context) -> Told:
    outcome = event.outcome
    sentence = outcome_sentence(outcome)
    if outcome.status == "success":
        then = "nothing is left to be done for this due time."
        return Told("success", f"{name_of(run)} succeeded", composed(sentence, then=then))
    loud = loud_causes(run, outcome, context.accepts, event.at)
    codes = tuple(dict.fromkeys(one.code for one in loud))
    lost_all = outcome.status == "failure" and not any(one.status == "success" for one in outcome.vms)
    state = outcome.status if outcome.status in ("interrupted", "skipped") else "failure"
    if lost_all and not _passes(outcome, loud):
        state = "failure_of_all"
    details = [f"{one.scope.name or one.scope.id}: {one.code}: {one.text}" for one in loud]
    return Told(
        state,
        f"{name_of(run)}: {outcome.status}",
        composed(
            f"Due {due_of(run, context)}: {sentence}",
            details,
            to_do=(_do_about(run, one) for one in loud),
            then=_after_failure(run, event, loud, context),
        ),
        codes=codes,
        mark=(*codes, *sorted({one.scope.id for one in loud})),
        silent=is_accepted_outcome(run, outcome, context.accepts, event.at),
    )


def _do_about(run: DueRun, cause: Cause) -> str:
    """What the prediction of this very run said to do about it; else what there is to do about its code."""
    found = predicted(run, cause)
    return found.remedy if found is not None else do_of(cause.code)


def _passes(outcome: Outcome, causes: Sequence[Cause]) -> bool:
    """Whether any cause clears without a person, so that a later start may well succeed."""
    sent = any(one.targets for one in outcome.vms)
    found = {followed_by((one.code,), transferred=sent) for one in causes}
    return not found.isdisjoint({FollowedBy.START, FollowedBy.FULL})


def _after_failure(run: DueRun, event: AttemptEnded, causes: Sequence[Cause], context: Context) -> str:
    acts = run.decided is not None and run.decided.acts and context.follow_up and run.follow_up is None
    starts = any(followed_by((one.code,), transferred=False) is FollowedBy.START for one in causes)
    if acts and starts and event.at < deadline_of(run):
        until = format_time(deadline_of(run), context.zone)
        return f"what XO had not begun to save, guard starts once more as soon as its cause is gone, until {until} at most."
    return f"{NOTHING_MORE}; the next one takes these VMs again. Earlier: {by_hand(run)}."


# --- alarms


def _alarmed(run: DueRun, event: Alarmed, context: Context) -> Told:
    silent = alarm_is_accepted(run, event, context.accepts, event.at)
    title = f"{name_of(run)}: {event.code}"
    state = _ALARM_STATE.get(event.code, "alarm")
    if event.code == RUN_REFUSED.id and run.given_up:
        return _refused(run, run.given_up[-1], title, context, event.at, silent=silent)
    if event.code == XO_DID_NOT_FIRE.id:
        until = format_time(deadline_of(run), context.zone)
        then = f"guard sets the schedule's timer anew and starts the run itself, at the latest at {until}."
        return Told("rescued", title, composed(event.text, then=then), codes=(event.code,), silent=silent)
    then = {
        RUN_EXPIRED.id: f"{NOTHING_MORE}; the next one takes these VMs again. Earlier: {by_hand(run)}.",
        "JOB_STUCK": "guard goes on watching it, and tells how it ends; it stops no run. Until then XO starts this job not again.",
        "SCHEDULE_LEFT_OFF": "guard leaves it off. Nothing of it is due, or backed up, until somebody enables it.",
    }.get(event.code, "guard goes on with this due time.")
    if event.code == START_UNCERTAIN.id:
        again = any(one.code == START_UNCERTAIN.id for one in run.given_up)
        state = "missed" if again else "alarm"
        until = format_time(deadline_of(run), context.zone)
        then = (
            f'{NOTHING_MORE}, by on_uncertain = "skip". By hand: {by_hand(run)}.'
            if again
            else f"guard starts it again, at the latest at {until}."
        )
    return Told(
        state,
        title,
        composed(event.text, to_do=[do_of(event.code)], then=then),
        codes=(event.code,),
        mark=(event.code,),
        silent=silent,
    )


def _refused(run: DueRun, given: GaveUp, title: str, context: Context, at: datetime, *, silent: bool) -> Told:
    held = loud_held(run, given.vms, at)
    blocks = [one for one in loud_findings(run, at) if one.level is Level.BLOCK]
    codes = tuple(
        dict.fromkeys(code for one in held for code in one.codes) or dict.fromkeys(one.code for one in blocks)
    )
    findings = [one for one in loud_findings(run, at) if one.code in codes]
    if XO_WOULD_CRASH.intersection(codes):
        then = f"Once it is mended: {by_hand(run)}."
    else:
        then = f"To start against it: {by_hand(run, ' --override ' + ','.join(codes) + ' --reason TEXT')}."
    who = names_of(held)
    return Told(
        "refused",
        title,
        composed(
            f"Due {due_of(run, context)}, not started: {who}. {given.reason}",
            to_do=(one.remedy for one in findings),
            then=f"{NOTHING_MORE}; the next one is judged anew. {then}",
        ),
        codes=codes,
        umbrella=RUN_REFUSED.id,
        mark=(*sorted(codes), *sorted(one.vm for one in held)),
        silent=silent,
    )


def _follow_up(run: DueRun, event: FollowingUp | GaveUp, context: Context) -> Told:
    title = f"{name_of(run)}: follow-up"
    codes = tuple(dict.fromkeys(code for one in event.vms for code in one.codes))
    mark = (type(event).__name__, *sorted(one.vm for one in event.vms))
    if isinstance(event, GaveUp):
        reason = f"Due {due_of(run, context)}, not started once more: {names_of(event.vms)}. {event.reason}"
        then = f"{NOTHING_MORE}; the next one takes these VMs again. Earlier: {by_hand(run)}."
        return Told("follow_up", title, composed(reason, to_do=map(do_of, codes), then=then), codes, mark=mark)
    until = format_time(
        max((one.deadline for one in event.vms if one.deadline), default=deadline_of(run)), context.zone
    )
    every = format_duration(context.recheck_every.total_seconds())
    then = f"guard judges them every {every} and starts them when the cause is gone, until {until} at most."
    return Told(
        "follow_up", title, composed(f"Due {due_of(run, context)}: {event.reason}", then=then), codes, mark=mark
    )


# --- ends


def _ended(run: DueRun, event: Ended, context: Context) -> Told:
    title = f"{name_of(run)}: {event.end.value}"
    codes = (event.code,) if event.code else ()
    if event.end in QUIET_ENDS:
        text = composed(
            event.reason or f"Due {due_of(run, context)}: {event.end.value}.", then="nothing is left to be done."
        )
        return Told(QUIET_ENDS[event.end], title, text, codes)
    was_told = _was_told(run, event)
    then = f"{NOTHING_MORE}; the next one takes these VMs again. Earlier: {by_hand(run)}."
    return Told(
        event.end.value,
        title,
        composed(event.reason or f"Due {due_of(run, context)}.", to_do=map(do_of, codes), then=then),
        codes,
        mark=(event.end.value, *codes),
        silent=was_told or _is_accepted_end(run, event, context),
    )


def _was_told(run: DueRun, event: Ended) -> bool:
    """Whether the alarm of what was given up said it already."""
    said = {End.REFUSED: RUN_REFUSED.id, End.RAN_IN_PART: RUN_REFUSED.id, End.EXPIRED: RUN_EXPIRED.id}
    if event.end is End.MISSED:
        return event.code == START_UNCERTAIN.id and START_UNCERTAIN.id in run.alarm_codes
    return said[event.end] in run.alarm_codes


def _is_accepted_end(run: DueRun, event: Ended, context: Context) -> bool:
    alarm = Alarmed(at=event.at, code=event.code, text=event.reason)
    return bool(event.code) and alarm_is_accepted(run, alarm, context.accepts, event.at)
