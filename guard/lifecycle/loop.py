"""What the daemon's last look left behind, for guard status. Data only."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

STANDS = timedelta(hours=24)  # how long an alarm is shown that nothing else ends


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

    ``next_due``: when XO fires next. ``wake``: before then nothing is expected to happen. ``switched_off``: and not on
    again. ``more_running``: runs XO knows of whose log was not read. ``unwatched``: why a schedule's due times are unknown.
    """

    at: datetime
    xo_error: str = ""
    unread_since: datetime | None = None
    next_due: datetime | None = None
    running: tuple[Progress, ...] = ()
    more_running: int = 0
    unwatched: tuple[str, ...] = ()
    switched_off: tuple[SwitchedOff, ...] = ()
    wake: datetime | None = None
