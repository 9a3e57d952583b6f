"""What the simulated XO was asked for and did: the truth that tests judge a client by."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from guard.simulator.backups import Backups

if TYPE_CHECKING:
    from guard.simulator.live import Live


@dataclass
class Start:
    """One start XO made or was asked for, refused ones included. Unpacks as (when, schedule id).

    ``origin``: ``cron`` (XO's own scheduler), ``rest`` (``POST /schedules/{id}/actions/run``), ``rpc`` (a ``runJob``
    call), ``sequence`` (a member of a ``schedule.runSequence``, whoever called that), ``call`` (a job of type call
    itself, a sequence for example). ``via``: for ``call``, cron or rest; for ``sequence``, the id of the schedule of
    the call job, or rpc. ``run_id``: the id of the log, which call jobs do not have. ``vms``: ids asked for in place
    of the job's own.
    """

    at: datetime
    schedule_id: str
    job_id: str
    origin: str
    via: str = ""
    run_id: str | None = None
    vms: tuple[str, ...] | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.at, self.schedule_id))


@dataclass(frozen=True)
class Write:
    """One call that changes something or starts something. ``by``: rest, rpc, call (a call job of XO) or rpu."""

    at: datetime
    by: str
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    user_id: str | None = None


class Journal(Backups):
    """Writes and starts, in the order they came."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.starts: list[Start] = []
        self.writes: list[Write] = []
        """Of clients. A client that only watches leaves it empty."""
        self.own_writes: list[Write] = []
        """Of XO itself: its call jobs and its rolling pool updates."""
        self.live: Live | None = None
        """Set once the world is alive (``guard.simulator.live``)."""
        self.lock = threading.RLock()

    def record_write(self, by: str, method: str, params: Mapping[str, Any], user_id: str | None = None) -> None:
        wrote = Write(self.now(), by, method, dict(params), user_id)
        (self.writes if by in {"rest", "rpc"} else self.own_writes).append(wrote)

    def refuses_once(self) -> bool:
        """Whether this good credential meets a booting XO, which refuses one (observed-on-real-xo.md)."""
        if self.live is None or self.live.refusals == 0:
            return False
        self.live.refusals -= 1
        return True

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One client's turn: everything due has happened, and nobody moves the time meanwhile."""
        with self.lock:
            if self.live is not None:
                self.live.catch_up()
            yield
