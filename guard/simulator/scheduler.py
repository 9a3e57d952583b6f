"""XO's scheduler in driven time (@xen-orchestra/cron's Job; failure-modes.md 7, dst-nights.md).

One timer per enabled schedule, set for ``xo_next`` of the moment it is set: at boot, after each start, when the schedule
is written, and again after 2^31-1 ms. Nothing that was missed is made up for. When the next start is not in the future,
XO starts at once and asks again: it starts again and again, until it dies of it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from guard.mechanics.cron import CronError, xo_next
from guard.simulator.engine import JobError
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import Event

if TYPE_CHECKING:
    from guard.simulator.live import Live

LONGEST_TIMER = timedelta(milliseconds=2**31 - 1)
"""What a timer of Node.js can wait."""
LATENESS = timedelta(milliseconds=5)
"""How late XO's timers are: runs were seen to start 4 to 13 ms after their minute began."""
AT_ONCE = timedelta(milliseconds=1)


class Scheduler:
    """The timers of one xo-server process.

    ``storm_cap``: after so many starts in a row without a moment between them XO dies. ``zone``: the server's own,
    which schedules with the zone ``local`` follow.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._timers: dict[str, Event] = {}
        self._rushed: dict[str, int] = {}
        self.storm_cap = 200
        self.zone = "utc"
        self.refused: list[str] = []
        """Ids of schedules whose expression XO could not read at boot; those after it have no timer either."""

    def boot(self) -> None:
        """Arm every enabled schedule. An expression XO cannot read ends the loop: later schedules stay unarmed."""
        for identity in list(self._timers):
            self.disarm(identity)
        self.refused.clear()
        for schedule in list(self._live.world.schedules.values()):
            try:
                self._renew(schedule)
            except CronError:
                self.refused.append(schedule["id"])
                return

    def written(self, schedule_id: str) -> None:
        """A schedule was created, changed or deleted: its timer is set anew at once. Raises CronError."""
        self.disarm(schedule_id)
        schedule = self._live.world.schedules.get(schedule_id)
        if schedule is not None:
            self._renew(schedule)

    def disarm(self, schedule_id: str) -> None:
        """Planted fault: ``enabled`` stays true and nothing fires, until the schedule is written or XO restarts."""
        timer = self._timers.pop(schedule_id, None)
        self._rushed.pop(schedule_id, None)
        if timer is not None:
            timer.cancel()

    def armed(self, schedule_id: str) -> bool:
        """Whether XO has a timer for it, which no API tells."""
        return schedule_id in self._timers

    def _renew(self, schedule: XoObject) -> None:
        self._timers.pop(schedule["id"], None)
        if not schedule["enabled"] or self._live.down:
            return
        live, now = self._live, self._live.now()
        due = xo_next(schedule["cron"], self._zone_of(schedule), now)
        if due - now >= LONGEST_TIMER:
            timer = live.timeline.at(now + LONGEST_TIMER, lambda: self._renew(schedule), live.xo)
        elif due > now:
            self._rushed.pop(schedule["id"], None)
            timer = live.timeline.at(due + LATENESS, lambda: self._fire(schedule), live.xo)
        else:
            self._rushed[schedule["id"]] = self._rushed.get(schedule["id"], 0) + 1
            timer = live.timeline.at(now + AT_ONCE, lambda: self._fire(schedule), live.xo)
        self._timers[schedule["id"]] = timer

    def _zone_of(self, schedule: XoObject) -> str:
        zone = str(schedule.get("timezone") or "utc")
        return self.zone if zone == "local" else zone

    def _fire(self, schedule: XoObject) -> None:
        if self._rushed.get(schedule["id"], 0) > self.storm_cap:
            self._live.die()
            return
        with suppress(JobError):  # its job is gone: XO notes that in its own log only
            self._live.jobs.run_schedule(schedule, "cron")
        self._renew(schedule)
