"""What the daemon's last look left behind, for guard status. Data only."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A run that goes on: how many of its VMs are done, and the bytes its finished transfers sent."""

    schedule: str
    job_name: str
    run: str
    began: datetime
    vms: int
    vms_done: int
    sent_bytes: int


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """One look. ``xo_error``: why XO could not be read, '' when it could; ``unread_since``: since when.

    ``next_due``: when XO fires next. ``wake``: before then nothing is expected to happen.
    """

    at: datetime
    xo_error: str = ""
    unread_since: datetime | None = None
    next_due: datetime | None = None
    running: tuple[Progress, ...] = ()
    wake: datetime | None = None
