"""Sequences: whose turn it is among the members of one due time. Pure.

A sequence is one schedule of XO's whose job (type ``call``, ``schedule.runSequence``) runs other schedules one after
another, and stops at the first that fails as a job (xo-api.md 6). Its own story holds the claim, each member's story its
decision, its starts and its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from guard.lifecycle.due_run import ClaimState, DueRun, Intent
from guard.lifecycle.events import Starter
from guard.lifecycle.next_step import SETTLED
from guard.lifecycle.resolution import is_ours, is_started, resolve

LONGEST = timedelta(hours=24)
"""After so long the turn of a member comes no more."""
FRESH = timedelta(minutes=10)
"""A member judged longer ago is judged anew at its own turn, and not left to XO before."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class DueSequence:
    """One due time of a sequence. ``own``: its own story; ``members``: theirs, in order; all as they stand now.

    ``is_off``: XO shows its schedule as disabled. ``goes_on``: XO itself is going through it, because its timer fired, its
    fallback did, or a person asked.
    """

    own: DueRun
    members: tuple[DueRun, ...]
    is_off: bool = False
    goes_on: bool = False

    def is_ours(self, now: datetime) -> bool:
        """Whether guard answers for its start: surely not XO, and the due time has come."""
        claim, due = self.own.claim, self.own.key.due
        if now < due or (claim is not None and claim.state is ClaimState.PLACING):
            return False
        is_on = claim is not None and claim.stands and not self.is_off  # not noted yet: XO may be about to fire
        return is_ours(self.own) and (not is_on or now >= due + SETTLED)

    @property
    def has_begun(self) -> bool:
        """Whether any member was started, by whomever."""
        return any(map(is_started, self.members))


@dataclass(frozen=True)
class Turn:
    """Where one member stands.

    ``ours``: guard answers for the sequence. ``has_come``: this one may be started now; ``since``: from when on, as far as
    those before it are concerned. ``entrusted``: guard had XO run it after an earlier one, and XO may still come to it.
    ``begun``: a member was started. ``along``: the ids of the schedules that XO can run after this one in the same call.
    ``first``: none comes before it. ``standbys``: when the sequence's own fallback starts all of it; ``through``: who
    started the sequence, None for XO's timer or a person.
    """

    ours: bool
    has_come: bool
    since: datetime
    entrusted: bool = False
    begun: bool = False
    along: tuple[str, ...] = ()
    first: bool = False
    standbys: tuple[datetime, ...] = ()
    through: Starter | None = None


def turn_of(run: DueRun, sequence: DueSequence, now: datetime, xo_now: datetime) -> Turn:
    """Where a member of the sequence stands. A member that waits for its own cause has given up its place: it is started
    when none of the others runs.
    """
    at = next(number for number, one in enumerate(sequence.members) if one.key == run.key)
    before, others = sequence.members[:at], [one for one in sequence.members if one.key != run.key]
    asked = next((intent for one in before for intent in one.intents if _asks_for(intent, run)), None)
    is_busy = sequence.goes_on or any(one.running or one.open_intent is not None for one in others)
    is_behind = any(_is_pending(one, now) for one in before)
    since = _settled(before)
    has_come = not is_busy and not is_behind and now >= since
    return Turn(
        ours=sequence.is_ours(min(now, xo_now)),
        has_come=has_come,
        since=since,
        entrusted=asked is not None and not has_come,
        begun=sequence.has_begun,
        along=tuple(_along(sequence.members[at + 1 :], now)),
        first=not before,
        standbys=sequence.own.standbys,
        through=_through(sequence, asked, now),
    )


def _is_pending(run: DueRun, now: datetime) -> bool:
    """Whether it is still to be started in its place."""
    return run.ended is None and resolve(run, now).start is not None


def _asks_for(intent: Intent, run: DueRun) -> bool:
    return run.key.schedule in intent.starting.along and intent.failed is None


def _settled(before: tuple[DueRun, ...]) -> datetime:
    """From when on XO would have begun the next one, where it is XO that goes through the sequence."""
    over = [attempt.ended.at for one in before for attempt in one.attempts if attempt.ended is not None]
    alone = [intent.run for one in before for intent in one.intents if intent.run and not intent.starting.along]
    by_guard_alone = all(attempt.started.run in alone for one in before for attempt in one.attempts)
    return max(over) + (timedelta() if by_guard_alone else SETTLED) if over else _LONG_AGO


def _along(later: tuple[DueRun, ...], now: datetime) -> Iterator[str]:
    """The members that XO can go on with by itself: up to the next that is to be started in part, or judged anew."""
    for one in later:
        if one.ended is not None or is_started(one):
            continue
        start = resolve(one, now).start
        if start is None:  # taken out: it waits for its own cause, or was given up
            continue
        if start or one.intents or one.decided is None or now - one.decided.at >= FRESH:
            return
        yield one.key.schedule


def _through(sequence: DueSequence, asked: Intent | None, now: datetime) -> Starter | None:
    if asked is not None:
        return Starter.GUARD
    by_guard = any(one.intents for one in sequence.members)
    has_fired = is_ours(sequence.own) and any(at <= now for at in sequence.own.standbys)
    return Starter.FALLBACK if has_fired and not by_guard else None
