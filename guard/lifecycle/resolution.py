"""What the last decision means now for the VMs of a due run that were not started yet. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from guard.checks.clock_change import DST_STORM
from guard.checks.overlap import JOB_RUNNING
from guard.decision.verdict import Action, Held, Verdict
from guard.finding import Harm
from guard.lifecycle.due_run import Attempt, DueRun, FollowUp
from guard.lifecycle.events import ReleasedHow, Starter
from guard.lifecycle.follow_up_causes import UNSEEN, UNSEEN_FOR
from guard.lifecycle.next_step import SETTLED
from guard.lifecycle.standby import fallback_minute, safe_minute
from guard.mechanics.fallback import whole_minute
from guard.outcomes.alarms import XO_DID_NOT_FIRE

# of a sequence's member that waits for its turn: its fallback stands so far ahead, and is moved on so long before
TURN_AFTER, MOVED_BEFORE = timedelta(hours=2), timedelta(minutes=30)


@dataclass(frozen=True)
class Resolution:
    """What is to be done now with the VMs that were not started yet.

    ``start``: these VMs, None for nothing, () for all the job takes. ``wait``: until their deadline.
    ``give_up``: starting them would do harm. ``covered``: another run covers the whole due time.
    """

    start: tuple[str, ...] | None = None
    wait: tuple[Held, ...] = ()
    give_up: tuple[Held, ...] = ()
    waits_until: datetime | None = None
    refused: bool = False
    covered: bool = False

    @property
    def is_over(self) -> bool:
        return self.start is None and self.waits_until is None and not (self.give_up or self.refused or self.covered)


def is_ours(run: DueRun) -> bool:
    """Whether guard answers for this due time's start: it was claimed until the due time, XO did not fire, or it is
    followed up.

    A sequence's member also where that holds for the sequence (guard/lifecycle/turn.py).
    """
    if XO_DID_NOT_FIRE.id in run.alarm_codes or run.follow_up is not None:
        return True
    if run.intents or (run.key.via and run.standbys):
        return True
    if run.claim is None:
        return False
    released = run.claim.released
    if released is None:
        return True
    if released.how is ReleasedHow.BY_OTHERS:  # enabled so close to the due time, XO may be about to fire
        return released.at >= run.key.due + SETTLED
    return released.at >= run.key.due and released.how is not ReleasedHow.NEVER


def resolve(run: DueRun, now: datetime) -> Resolution:
    """What the last decision means at this moment for the VMs that were not started yet."""
    if run.follow_up is not None:
        return _of_follow_up(run, run.follow_up, now)
    if run.decided is None:
        return Resolution() if is_started(run) else Resolution(start=())
    if any(one.whole for one in run.given_up) or _whole_started(run):
        return Resolution()
    verdict = run.decided.verdict
    if verdict.action is Action.SKIP and not is_started(run):
        return Resolution(covered=True)
    gone = out_of(run)
    start = [vm for vm in verdict.start_vms if vm not in gone]
    wait: list[Held] = []
    give_up: list[Held] = []
    for one in verdict.held:
        if one.vm in gone:
            continue
        if one.deadline is not None and now < one.deadline:
            wait.append(one)
        elif one.deadline is None or one.harm is not Harm.NONE:
            give_up.append(one)
        else:
            start.append(one.vm)
    if not verdict.held and not verdict.start_vms:
        if gone:  # all that is left of it left the job: nothing, and not the whole job
            return Resolution()
        return _whole(verdict, now, is_started=is_started(run))
    everything = not (gone or wait or give_up)
    return Resolution(
        start=() if start and everything else tuple(start) or None,
        wait=tuple(wait),
        give_up=tuple(give_up),
        waits_until=min((one.deadline for one in wait if one.deadline is not None), default=None),
    )


def _whole(verdict: Verdict, now: datetime, *, is_started: bool) -> Resolution:
    """Of a run without VMs of its own (mirror jobs, a pattern that matches none)."""
    if is_started:
        return Resolution()
    if verdict.action is Action.START:
        return Resolution(start=())
    until = verdict.deadline
    if verdict.action is Action.REFUSE or until is None:
        return Resolution(refused=True)
    if now < until:
        return Resolution(waits_until=until)
    return Resolution(start=()) if verdict.harm is Harm.NONE else Resolution(refused=True)


def _of_follow_up(run: DueRun, follow_up: FollowUp, now: datetime) -> Resolution:
    """Of the VMs that are to be started once more: at the deadline those that still must wait are given up, as XO's log
    has said of them already what it had to say.
    """
    rest = not_followed_yet(run, follow_up)
    if not rest:
        return Resolution()
    decided = run.decided
    judged = decided.verdict if decided is not None and decided is not follow_up.before.decided else None
    ends = [one.deadline for one in rest if one.deadline is not None]
    ends += [judged.deadline] if judged is not None and judged.deadline is not None else []
    until = min(ends, default=now)
    if now >= until:
        return Resolution(give_up=rest, waits_until=until)
    if judged is None:
        return Resolution(wait=rest, waits_until=until)
    may_start = judged.start_vms if judged.action in (Action.START, Action.START_SOME) else ()
    held = {one.vm: one for one in judged.held}
    early = tuple(one for one in rest if now < earliest(follow_up, one))
    start = tuple(one.vm for one in rest if one.vm in may_start and one not in early)
    others = [one for one in rest if one.vm not in may_start and one not in early]
    return Resolution(
        start=start or None,
        wait=(
            *early,
            *(held[one.vm] for one in others if one.vm in held and held[one.vm].deadline is not None),
        ),
        give_up=tuple(
            held.get(one.vm, msgspec.structs.replace(one, codes=()))
            for one in others
            if one.vm not in held or held[one.vm].deadline is None
        ),
        waits_until=until,
    )


def not_followed_yet(run: DueRun, follow_up: FollowUp) -> tuple[Held, ...]:
    """The VMs that still wait for their second start."""
    before = follow_up.before
    given, intents = run.given_up[len(before.given_up) :], run.intents[len(before.intents) :]
    others = [one for one in run.attempts[len(before.attempts) :] if not one.started.attempt and not _was_refused(one)]
    if any(one.whole for one in given) or any(one.started.vms is None for one in others):
        return ()
    gone = {vm for intent in intents if intent.run for vm in intent.starting.vms or ()}
    gone |= {vm for one in others for vm in one.started.vms or ()} | {one.vm for each in given for one in each.vms}
    return tuple(one for one in follow_up.intent.vms if one.vm not in gone)


def earliest(follow_up: FollowUp, one: Held) -> datetime:
    """When a VM may start again at the earliest."""
    at = follow_up.intent.at
    return at if UNSEEN.isdisjoint(one.codes) else at + UNSEEN_FOR


def _was_refused(attempt: Attempt) -> bool:
    """Whether XO refused the run because the job was running already: it took no VM."""
    ended = attempt.ended
    return ended is not None and not ended.outcome.vms and JOB_RUNNING.id in {one.code for one in ended.outcome.causes}


def standby_at(run: DueRun, now: datetime, found: Resolution) -> datetime | None:
    """The minute at which XO's fallback shall start the whole schedule; None for not at all.

    It starts all VMs: so there is one only while nothing was started, and only where every waiting VM has harm none.
    """
    if run.open_intent is not None or is_started(run) or found.is_over:
        return None
    claim = run.claim
    if claim is not None and claim.stands and (now < run.key.due or found.start is not None):
        return claim.intent.start_at if now < claim.intent.start_at else None
    if found.waits_until is None or found.give_up:
        return None
    storm_only = waits_for_storm(found)
    verdict = run.decided.verdict if run.decided is not None else None
    harmless = all(one.harm is Harm.NONE for one in found.wait) and (verdict is None or verdict.harm is Harm.NONE)
    if not harmless and not storm_only:
        return None
    return fallback_minute(run.seen.cron, run.seen.zone, run.key.due if storm_only else found.waits_until)


def waits_for_storm(found: Resolution) -> bool:
    """Whether all that waits does so for the end of a gap of the clocks alone."""
    return bool(found.wait) and all(set(one.codes) == {DST_STORM.id} for one in found.wait)


def until_its_turn(run: DueRun, now: datetime) -> datetime:
    """The minute at which XO's fallback starts a sequence's member whose turn guard waits for; moved on while guard lives."""
    if run.standbys and run.standbys[-1] > now + MOVED_BEFORE:
        return run.standbys[-1]
    return safe_minute(run.seen.cron, run.seen.zone, whole_minute(now + TURN_AFTER))


def expected_standby(run: DueRun, now: datetime) -> datetime | None:
    """When the fallback that by the ledger is in XO would start it; None where none should be there."""
    found = resolve(run, now)
    if run.follow_up is None and run.key.via and found.start is not None and run.standbys and run.standbys[-1] > now:
        return run.standbys[-1]
    return standby_at(run, now, found)


def out_of(run: DueRun) -> frozenset[str]:
    """The VMs of a due run that were started for it by name, by a person too, or given up; of one that is followed up all
    but those that still wait for their second start.
    """
    if run.follow_up is not None:
        before = run.follow_up.before
        outcomes = [one.ended.outcome for one in before.attempts if one.ended is not None]
        known = {one.vm.id for each in outcomes for one in each.vms} | {
            vm for each in outcomes for vm in each.unattempted
        }
        known |= {*out_of(before), *(before.decided.vms if before.decided is not None else ())}
        return frozenset(known - {one.vm for one in not_followed_yet(run, run.follow_up)})
    started = {vm for intent in run.intents if intent.run for vm in intent.starting.vms or ()}
    chosen = {vm for attempt in run.attempts for vm in attempt.started.vms or ()}
    return frozenset(started | chosen | {one.vm for given in run.given_up for one in given.vms})


def is_started(run: DueRun) -> bool:
    return bool(run.attempts) or any(one.run for one in run.intents)


def _whole_started(run: DueRun) -> bool:
    """Whether all VMs were: guard asked for the whole, or XO started it."""
    by_xo = any(
        one.started.vms is None and (not one.started.attempt or one.started.by is Starter.FALLBACK)
        for one in run.attempts
    )
    return by_xo or any(one.run and one.starting.vms is None for one in run.intents)
