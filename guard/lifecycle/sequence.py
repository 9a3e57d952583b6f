"""What a sequence's own story does next: claim its schedule, keep XO's fallback for all of it, give it back. Pure.

The members start by themselves, each at its turn (guard/lifecycle/turn.py, acting.py).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from guard.lifecycle.claiming import (
    TOO_LATE,
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
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import Claiming, End, Ended
from guard.lifecycle.next_step import SETTLED, Record, Wait
from guard.lifecycle.resolution import resolve, standby_at
from guard.lifecycle.turn import DueSequence
from guard.mechanics.fallback import Placed
from guard.units import plural

_NAMED = 5


def next_of_sequence(
    sequence: DueSequence,
    scene: Scene,
    rules: Rules,
    placed: tuple[Placed, ...],
    *,
    lead: timedelta,
    look_every: timedelta,
) -> Record | PlaceClaim | Release | Postpone | Sync | Wait:
    """The next step of a sequence's story that has not ended. ``placed``: all fallbacks that XO shows."""
    run = sequence.own
    soon = Wait(scene.now + look_every)
    if not scene.is_read:
        return soon
    if run.has_claim and run.claim is not None:
        step = claim_step(run, run.claim, scene)
        if step is not None:
            return step
        wanted = _fallback_at(sequence, run.claim.intent, scene.now, placed)
        return give_back(run, scene) if stands_at(scene.fallbacks, wanted) else Sync(wanted)
    if scene.fallbacks:
        return Sync(None)
    if scene.now < run.key.due - lead:
        return Wait(run.key.due - lead)
    if scene.now < run.key.due - TOO_LATE and (reason := _why_claimed(sequence, rules)):
        claiming = claim_intent(run, scene, reason)
        if claiming is not None:
            return claiming
    if scene.now >= run.key.due + SETTLED and all(one.ended is not None for one in sequence.members):
        return Record((_ended(sequence, scene.now),))
    return soon


def _why_claimed(sequence: DueSequence, rules: Rules) -> str:
    """Why XO must not go through it by itself; '' while it may, or not all members are judged."""
    if not all(one.decided is not None for one in sequence.members):
        return ""
    held = [one for one in sequence.members if wants_claim(one, always=False)]
    if held:
        names = ", ".join(one.seen.schedule_name for one in held[:_NAMED])
        return f"{plural(len(held), 'member')} of {len(sequence.members)} would not start whole: {names}."
    return "By policy guard starts it itself." if rules.claim_always and sequence.members else ""


def _fallback_at(sequence: DueSequence, intent: Claiming, now: datetime, placed: tuple[Placed, ...]) -> datetime | None:
    """The minute of the fallback that starts all of it: until a member was started, or each has what it waits for."""
    if sequence.has_begun or now >= intent.start_at:
        return None
    needs = any(_needs_it(one, now, placed) for one in sequence.members)
    return intent.start_at if needs or now < sequence.own.key.due else None


def _needs_it(run: DueRun, now: datetime, placed: tuple[Placed, ...]) -> bool:
    """Whether nothing else in XO would start this member if guard were gone."""
    if run.ended is not None:
        return False
    found = resolve(run, now)
    if found.start is not None:
        return True
    wanted = standby_at(run, now, found)
    own = tuple(one for one in placed if one.fallback.schedule == run.key.schedule and one.fallback.due == run.key.due)
    return wanted is not None and not stands_at(own, wanted)


def _ended(sequence: DueSequence, now: datetime) -> Ended:
    """Who went through it; where nobody did, what became of its members."""
    ends = {one.ended.end for one in sequence.members if one.ended is not None}
    if any(one.run for member in sequence.members for one in member.as_due.intents):
        return Ended(at=now, end=End.RAN if ends <= {End.RAN} else End.RAN_IN_PART)
    if sequence.has_begun or not ends:
        return Ended(at=now, end=End.LEFT_TO_XO)
    return Ended(at=now, end=min(ends))
