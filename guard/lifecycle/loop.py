"""What the daemon's last look left behind, for guard status. Data only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from guard.estate.xo_records import Schedule

STANDS = timedelta(hours=24)  # how long an alarm is shown that nothing else ends
CLOCKS_DIFFER = timedelta(seconds=30)  # a due time's minute is not sure any more


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A run that goes on: how many of its VMs are done, and the bytes its finished transfers sent."""

    schedule: str
    job_name: str
    run: str
    began: datetime
    vms: int
    vms_done: int
    sent_bytes: int


class SwitchedOff(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that was on at one look and off at the next, ``at``; ``deleted``: XO lists it no longer."""

    schedule: str
    name: str
    at: datetime
    deleted: bool = False


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """One look. ``xo_error``: why XO could not be read, '' when it could; ``unread_since``: since when.

    ``next_due``: when XO fires next, ``next_due_of``: what, as job / schedule. ``wake``: before then nothing is expected to
    happen. ``switched_off``: and not on again. ``more_running``: runs XO knows of whose log was not read. ``unwatched``: why a
    schedule's due times are unknown. ``idle_entries``: what of the policy does nothing, a sentence each. ``stands_aside``: why
    guard acts on nothing although the policy says enforce, '' where it does. ``clock_ahead_s``: how far guard's clock is ahead
    of XO's.
    """

    at: datetime
    xo_error: str = ""
    unread_since: datetime | None = None
    next_due: datetime | None = None
    next_due_of: str = ""
    running: tuple[Progress, ...] = ()
    more_running: int = 0
    unwatched: tuple[str, ...] = ()
    idle_entries: tuple[str, ...] = ()
    switched_off: tuple[SwitchedOff, ...] = ()
    wake: datetime | None = None
    stands_aside: str = ""
    clock_ahead_s: float = 0.0


def gone_off(schedules: Iterable[Schedule], before: Iterable[Schedule], now: datetime) -> tuple[SwitchedOff, ...]:
    """Those that were on at the last look and are off or gone now."""
    current = {one.id: one for one in schedules}
    found = [(was, current.get(was.id)) for was in before if was.enabled]
    return tuple(
        SwitchedOff(schedule=was.id, name=(now_is or was).name, at=now, deleted=now_is is None)
        for was, now_is in found
        if now_is is None or not now_is.enabled
    )


def still_off(told: Iterable[SwitchedOff], schedules: Iterable[Schedule], now: datetime) -> tuple[SwitchedOff, ...]:
    """Of those told before: what is off still, and what went within a day."""
    current = {one.id: one for one in schedules}
    return tuple(
        one for one in told if (not current[one.schedule].enabled if one.schedule in current else now - one.at < STANDS)
    )
