"""One due run, folded from its events. Illegal orders are refused: they would mean that two guards wrote one story."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import msgspec

from guard.errors import LedgerError
from guard.estate.xo_records import Schedule
from guard.lifecycle.events import (
    BY_HAND,
    Alarmed,
    AnyEvent,
    AttemptEnded,
    Claimed,
    Claiming,
    Decided,
    Doubted,
    Ended,
    FollowingUp,
    GaveUp,
    NotStarted,
    Released,
    Releasing,
    RunKey,
    Seen,
    Standby,
    Started,
    Starting,
    SwitchingOff,
)


@dataclass(frozen=True)
class Attempt:
    """One run of XO's for this due time; ``ended`` None while it goes on."""

    started: Started
    ended: AttemptEnded | None = None


class ClaimState(StrEnum):
    """Where a claim stands: the schedule is being taken, is off, is being given back, or XO has it again."""

    PLACING = "placing"
    HELD = "held"
    RELEASING = "releasing"
    RELEASED = "released"


@dataclass(frozen=True)
class Claim:
    """A schedule taken from XO. ``asked``: guard may have had XO switch it off. ``held``: its record as read back once it was
    off, None before.
    """

    state: ClaimState
    intent: Claiming
    asked: bool = False
    held: Schedule | None = None
    released: Released | None = None

    @property
    def stands(self) -> bool:
        """Whether guard may have the schedule off."""
        return self.state is not ClaimState.RELEASED

    @property
    def off(self) -> Schedule:
        """The schedule's record while guard has it off and nobody touched it."""
        return self.held or msgspec.structs.replace(self.intent.found, enabled=False)


@dataclass(frozen=True)
class Intent:
    """A start that guard asked for. ``run``: the id of XO's run, '' as long as none was seen.

    ``failed``: why it came to nothing. ``doubts``: answers that were lost.
    """

    starting: Starting
    run: str = ""
    failed: NotStarted | None = None
    doubts: tuple[Doubted, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether nobody can tell yet what came of it."""
        return not self.run and self.failed is None


@dataclass(frozen=True)
class FollowUp:
    """One more start for VMs of a due time whose runs are over. ``before``: its story as it stood then."""

    intent: FollowingUp
    before: DueRun


@dataclass(frozen=True)
class DueRun:
    """What is known of one due time. ``seq``: the number of its last event.

    ``intents``: guard's own starts; ``attempts``: the runs XO shows. ``standbys``: the minutes at which a fallback of XO's
    may have started it. ``follow_up``: None as long as none was meant.
    """

    key: RunKey
    seen: Seen
    decided: Decided | None = None
    claim: Claim | None = None
    intents: tuple[Intent, ...] = ()
    standbys: tuple[datetime, ...] = ()
    given_up: tuple[GaveUp, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    alarms: tuple[Alarmed, ...] = ()
    follow_up: FollowUp | None = None
    ended: Ended | None = None
    seq: int = 0

    @property
    def running(self) -> tuple[Attempt, ...]:
        return tuple(one for one in self.attempts if one.ended is None)

    @property
    def open_intent(self) -> Intent | None:
        """The start whose end nobody can tell yet; there is one at most."""
        return self.intents[-1] if self.intents and self.intents[-1].is_open else None

    @property
    def fired_by(self) -> str:
        """The id of the schedule that XO fires for it: a claimed one's, a sequence's, or its own."""
        return self.claim.intent.found.id if self.claim is not None else self.key.via or self.key.schedule

    @property
    def is_sequence(self) -> bool:
        """Whether this is the story of a sequence itself, whose members have their own."""
        return bool(self.seen.members)

    @property
    def is_asked_by_hand(self) -> bool:
        """Whether a person had guard start it, at no due time (guard start)."""
        return self.key.via == BY_HAND and self.decided is not None

    @property
    def as_due(self) -> DueRun:
        """Its story up to a follow-up: what became of the due time as such."""
        return self if self.follow_up is None else self.follow_up.before

    @property
    def has_claim(self) -> bool:
        """Whether its schedule may be off because of guard."""
        return self.claim is not None and self.claim.stands

    @property
    def alarm_codes(self) -> frozenset[str]:
        return frozenset(one.code for one in self.alarms)


def fold(key: RunKey, events: Iterable[AnyEvent]) -> DueRun | None:
    """The due run of these events; None for no event. Raises LedgerError for an order that cannot be."""
    run: DueRun | None = None
    for event in events:
        run = apply(key, run, event)
    return run


def apply(key: RunKey, run: DueRun | None, event: AnyEvent) -> DueRun:
    """One event more. Raises LedgerError."""
    if run is None:
        if not isinstance(event, Seen):
            raise _impossible(key, event, "its story has not begun")
        return DueRun(key=key, seen=event, seq=1)
    if run.ended is not None:
        raise _impossible(key, event, "its story has ended")
    grown = _grown(key, run, event)
    return replace(grown, seq=run.seq + 1)


def _grown(key: RunKey, run: DueRun, event: AnyEvent) -> DueRun:
    match event:
        case Seen():
            raise _impossible(key, event, "it was seen already")
        case Decided():
            return replace(run, decided=event)
        case Started() | AttemptEnded():
            return _with_attempt(run, event)
        case Starting() | NotStarted() | Doubted():
            return _with_intent(run, event)
        case Claiming() | SwitchingOff() | Claimed() | Releasing() | Released():
            return _with_claim(run, event)
        case Standby():
            return replace(run, standbys=(*run.standbys, event.start_at))
        case GaveUp():
            return replace(run, given_up=(*run.given_up, event))
        case Alarmed():
            return replace(run, alarms=(*run.alarms, event))
        case FollowingUp():
            return _with_follow_up(run, event)
        case _:
            return replace(run, ended=event)


def _with_attempt(run: DueRun, event: Started | AttemptEnded) -> DueRun:
    if isinstance(event, Started):
        if any(one.started.run == event.run for one in run.attempts):
            raise _impossible(run.key, event, f"run {event.run} was seen already")
        grown = replace(run, attempts=(*run.attempts, Attempt(event)))
        return _with_intent(grown, event) if event.attempt else grown
    if not any(one.started.run == event.run for one in run.running):
        raise _impossible(run.key, event, f"no run {event.run} goes on")
    attempts = tuple(replace(one, ended=event) if one.started.run == event.run else one for one in run.attempts)
    return replace(run, attempts=attempts)


def _with_intent(run: DueRun, event: Starting | Started | NotStarted | Doubted) -> DueRun:
    last = run.open_intent
    if isinstance(event, Starting):
        if last is not None or event.attempt != len(run.intents) + 1:
            raise _impossible(run.key, event, f"attempt {len(run.intents)} is the last one")
        return replace(run, intents=(*run.intents, Intent(event)))
    if last is None or last.starting.attempt != event.attempt:
        raise _impossible(run.key, event, f"attempt {event.attempt} is not under way")
    match event:
        case Started():
            grown = replace(last, run=event.run)
        case NotStarted():
            grown = replace(last, failed=event)
        case Doubted():
            grown = replace(last, doubts=(*last.doubts, event))
    return replace(run, intents=(*run.intents[:-1], grown))


def _with_follow_up(run: DueRun, event: FollowingUp) -> DueRun:
    if run.follow_up is not None:
        raise _impossible(run.key, event, "it was followed up already")
    if not run.attempts or run.running or run.open_intent is not None:
        raise _impossible(run.key, event, "its run is not over")
    return replace(run, follow_up=FollowUp(event, run))


def _with_claim(run: DueRun, event: Claiming | SwitchingOff | Claimed | Releasing | Released) -> DueRun:
    if isinstance(event, Claiming):
        if run.claim is not None:
            raise _impossible(run.key, event, "it was claimed already")
        claim = Claim(ClaimState.PLACING, event)
        return replace(run, claim=claim, standbys=(*run.standbys, event.start_at))
    if run.claim is None or not run.claim.stands:
        raise _impossible(run.key, event, "it is not claimed")
    match event:
        case SwitchingOff():
            claim = replace(run.claim, asked=True)
        case Claimed():
            claim = replace(run.claim, state=ClaimState.HELD, held=event.held)
        case Releasing():
            claim = replace(run.claim, state=ClaimState.RELEASING)
        case Released():
            claim = replace(run.claim, state=ClaimState.RELEASED, released=event)
    return replace(run, claim=claim)


def _impossible(key: RunKey, event: AnyEvent, why: str) -> LedgerError:
    return LedgerError(
        f"The ledger's story of {key.schedule} due {key.due:%Y-%m-%d %H:%M} UTC holds {type(event).__name__} though {why}; "
        "was it edited, or written by two guards?"
    )
