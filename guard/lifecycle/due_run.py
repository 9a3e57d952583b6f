"""One due run, folded from its events. Illegal orders are refused: they would mean that two guards wrote one story."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from guard.errors import LedgerError
from guard.lifecycle.events import Alarmed, AnyEvent, AttemptEnded, Decided, Ended, RunKey, Seen, Started


@dataclass(frozen=True)
class Attempt:
    """One run of XO's for this due time; ``ended`` None while it goes on."""

    started: Started
    ended: AttemptEnded | None = None


@dataclass(frozen=True)
class DueRun:
    """What is known of one due time. ``seq``: the number of its last event."""

    key: RunKey
    seen: Seen
    decided: Decided | None = None
    attempts: tuple[Attempt, ...] = ()
    alarms: tuple[Alarmed, ...] = ()
    ended: Ended | None = None
    seq: int = 0

    @property
    def running(self) -> tuple[Attempt, ...]:
        return tuple(one for one in self.attempts if one.ended is None)

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
        case Started():
            if any(one.started.run == event.run for one in run.attempts):
                raise _impossible(key, event, f"run {event.run} was seen already")
            return replace(run, attempts=(*run.attempts, Attempt(event)))
        case AttemptEnded():
            if not any(one.started.run == event.run for one in run.running):
                raise _impossible(key, event, f"no run {event.run} goes on")
            attempts = tuple(replace(one, ended=event) if one.started.run == event.run else one for one in run.attempts)
            return replace(run, attempts=attempts)
        case Alarmed():
            return replace(run, alarms=(*run.alarms, event))
        case _:
            return replace(run, ended=event)


def _impossible(key: RunKey, event: AnyEvent, why: str) -> LedgerError:
    return LedgerError(
        f"The ledger's story of {key.schedule} due {key.due:%Y-%m-%d %H:%M} UTC holds {type(event).__name__} though {why}; "
        "was it edited, or written by two guards?"
    )
