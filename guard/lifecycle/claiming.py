"""Taking a schedule from XO before its due time and giving it back after: the steps of a claim. Pure.

The same for a schedule of its own and for a sequence's (guard/lifecycle/acting.py, sequence.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from guard.decision.verdict import Action
from guard.estate.xo_records import Schedule
from guard.lifecycle.due_run import Claim, ClaimState, DueRun
from guard.lifecycle.events import Claimed, Claiming, ReleasedHow
from guard.lifecycle.next_step import Record, Wait
from guard.lifecycle.standby import fallback_minute, may_enable, release_minutes, safe_minute
from guard.lifecycle.turn import Turn
from guard.mechanics.cron import xo_next
from guard.mechanics.fallback import FallbackKind, Placed, at_minutes

TOO_LATE = timedelta(seconds=5)  # no claim is begun or gone on with so shortly before XO fires
RELEASE_AFTER = timedelta(seconds=3)  # by XO's clock: in the minute of a due time XO looks strictly beyond it
RETRY = timedelta(minutes=1)
# of the fallback that enables the schedule, while a rolling update goes on
POSTPONED_BEFORE, POSTPONED_BY = timedelta(minutes=3), timedelta(minutes=20)


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
    an open attempt, None where they were not asked for yet. ``turn``: of a sequence's member. ``above``: the fallbacks
    of the sequence it belongs to.
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
    turn: Turn | None = None
    above: tuple[Placed, ...] = ()


@dataclass(frozen=True)
class PlaceClaim:
    """Put both fallbacks, read them back, switch the schedule off, read it back."""


@dataclass(frozen=True)
class Release:
    """Give the schedule back, or note that XO has it."""

    how: ReleasedHow


@dataclass(frozen=True)
class Postpone:
    """Have XO's fallback enable the schedule at other minutes."""

    release_at: tuple[datetime, ...]


@dataclass(frozen=True)
class Sync:
    """Bring XO's starting fallback to ``start_at``, or remove it (None)."""

    start_at: datetime | None


def wants_claim(run: DueRun, *, always: bool) -> bool:
    """Whether XO must not start it by itself. What shall be different in this run alone, XO's timer knows nothing of."""
    if run.decided is None:
        return False
    verdict = run.decided.verdict
    return always or verdict.action is not Action.START or bool(verdict.settings)


def is_at_hand(run: DueRun, now: datetime, xo_now: datetime) -> bool:
    """Whether by guard's clock or XO's it is due so soon that nothing is switched off any more."""
    return max(now, xo_now) >= run.key.due - TOO_LATE


def claim_intent(run: DueRun, scene: Scene, reason: str) -> Record | None:
    """The intent to claim, where it is allowed and there is time. ``reason``: why XO must not start it by itself."""
    record = scene.record
    if not scene.is_read or run.claim is not None or run.attempts:
        return None
    if scene.aside or scene.bypass or scene.rolling or record is None or not record.enabled:
        return None
    if is_at_hand(run, scene.now, scene.xo_now):
        return None
    start_at = fallback_minute(run.seen.cron, run.seen.zone, run.key.due)
    claiming = Claiming(
        at=scene.now,
        found=record,
        start_at=start_at,
        release_at=release_minutes(run.seen.cron, run.seen.zone, start_at),
        reason=reason,
    )
    return Record((claiming,))


def claim_step(run: DueRun, claim: Claim, scene: Scene) -> Record | Release | PlaceClaim | Wait | None:
    """What the claim needs before anything else is done; None for nothing."""
    record = scene.record
    if record is None:
        return Release(ReleasedHow.GONE)
    is_off = record == claim.off
    if claim.state is ClaimState.PLACING:
        late = is_at_hand(run, scene.now, scene.xo_now)
        if is_off and not claim.asked:  # somebody else's hand
            return Release(ReleasedHow.TOUCHED)
        if is_off and (late or _stand(claim, scene)):
            return Record((Claimed(at=scene.now, held=record),))
        if scene.bypass or late or (not is_off and record != claim.intent.found):
            return Release(ReleasedHow.NEVER if record.enabled else ReleasedHow.TOUCHED)
        return PlaceClaim()
    if record.enabled:
        return Release(ReleasedHow.ENABLED if claim.state is ClaimState.RELEASING else ReleasedHow.BY_OTHERS)
    if not is_off:
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


def stands_at(fallbacks: tuple[Placed, ...], wanted: datetime | None) -> bool:
    """Whether the one fallback that starts it acts at that minute; None: whether there is none."""
    crons = [one.fallback.cron for one in fallbacks if one.fallback.kind is FallbackKind.START]
    return crons == ([] if wanted is None else [at_minutes([wanted])])


def give_back(run: DueRun, scene: Scene) -> Wait | Release | Postpone:
    """When the schedule may be enabled: never in or before a minute in which XO's next date is not in the future, nor during
    a rolling update, which XO's own fallback must not undo either.
    """
    at = run.key.due + RELEASE_AFTER
    if scene.xo_now < at:
        return Wait(scene.now + (at - scene.xo_now))
    if scene.rolling:
        crons = [one.fallback.cron for one in scene.fallbacks if one.fallback.kind is FallbackKind.RELEASE]
        if any(xo_next(cron, "utc", scene.xo_now) <= scene.xo_now + POSTPONED_BEFORE for cron in crons):
            later = safe_minute(run.seen.cron, run.seen.zone, scene.xo_now + POSTPONED_BY)
            return Postpone(release_minutes(run.seen.cron, run.seen.zone, later))
        return Wait(scene.now + RETRY)
    if not may_enable(run.seen.cron, run.seen.zone, scene.xo_now):
        return Wait(scene.now + RETRY)
    return Release(ReleasedHow.ENABLED)
