"""What guard itself did for a due run, in sentences and as documents: claims, starts, doubts, what it gave up."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from guard.lifecycle.events import (
    Claimed,
    Claiming,
    Doubted,
    FollowingUp,
    GaveUp,
    NotStarted,
    Released,
    ReleasedHow,
    Releasing,
    Standby,
    Starter,
    Starting,
    SwitchingOff,
)
from guard.units import format_time, plural, some_of
from guard.views.settings import settings_document, settings_text

Deed = (
    Claiming
    | SwitchingOff
    | Claimed
    | Standby
    | Starting
    | Doubted
    | NotStarted
    | GaveUp
    | FollowingUp
    | Releasing
    | Released
)

STARTED_BY = {
    Starter.XO: "XO started it",
    Starter.GUARD: "guard started it",
    Starter.FALLBACK: "XO's fallback started it",
}
HOW = {
    ReleasedHow.ENABLED: "released: the schedule is enabled again",
    ReleasedHow.BY_OTHERS: "released: the schedule was enabled already, by XO's fallback or a person",
    ReleasedHow.TOUCHED: "released, and left off",
    ReleasedHow.GONE: "released: the schedule was deleted",
    ReleasedHow.NEVER: "not claimed after all: XO keeps it",
}


def deed_sentence(event: Deed, zone: tzinfo) -> str:
    """One deed as a person reads it."""
    match event:
        case Claiming():
            fallback = format_time(event.start_at, zone)
            return f"claims the schedule; XO's fallback starts it at {fallback} if guard is gone: {event.reason}"
        case SwitchingOff():
            return "has XO switch the schedule off"
        case Claimed():
            return "claimed: the schedule is off in XO, both fallbacks stand"
        case Standby(start_at=start_at):
            return f"from now on XO's fallback starts it at {format_time(start_at, zone)} if guard is gone"
        case Starting():
            who = "all VMs" if event.vms is None else plural(len(event.vms), "VM")
            more = f", then to go on with {plural(len(event.along), 'member')} of the sequence" if event.along else ""
            other = f", for this run alone with {settings_text(event.settings)}" if event.settings else ""
            return f"attempt {event.attempt}: asks XO to start {who}{more}{other}"
        case Doubted():
            return f"attempt {event.attempt}: XO's answer was lost: {event.error}"
        case NotStarted():
            return f"attempt {event.attempt} came to nothing: {event.error}"
        case GaveUp():
            who = some_of((one.name for one in event.vms), 5) or "the run"
            return f"{event.end.value}: {who}: {event.reason}"
        case FollowingUp(vms=vms):
            until = max((one.deadline for one in vms if one.deadline is not None), default=None)
            by = f", until {format_time(until, zone)} at most" if until is not None else ""
            who = plural(len(vms), "VM")
            return f"follow-up: {who} to be started once more when the cause is gone{by}: {event.reason}"
        case Releasing():
            return "gives the schedule back"
        case _:
            return HOW[event.how] + (f": {event.reason}" if event.reason else "")


def deed_document(event: Deed) -> dict[str, Any]:
    """One deed's part of ``guard.story/1``."""
    match event:
        case Claiming():
            minutes = [one.isoformat() for one in event.release_at]
            return {"fallback_start_at": event.start_at.isoformat(), "fallback_release_at": minutes}
        case Standby(start_at=start_at):
            return {"fallback_start_at": start_at.isoformat()}
        case Starting():
            vms = None if event.vms is None else list(event.vms)
            along = {"along": list(event.along)} if event.along else {}
            settings = {"settings": settings_document(event.settings)} if event.settings else {}
            return {"attempt": event.attempt, "vms": vms, "reason": event.reason} | along | settings
        case Doubted():
            return {"attempt": event.attempt, "error": event.error}
        case NotStarted():
            return {"attempt": event.attempt, "error": event.error, "sure": event.sure}
        case GaveUp():
            given = [{"id": one.vm, "name": one.name, "codes": list(one.codes)} for one in event.vms]
            return {"vms": given, "whole": event.whole, "end": event.end.value, "reason": event.reason}
        case FollowingUp():
            waiting = [{"id": one.vm, "name": one.name, "codes": list(one.codes)} for one in event.vms]
            return {"vms": waiting, "reason": event.reason}
        case Released():
            return {"how": event.how.value, "reason": event.reason or None}
        case _:
            return {}
