"""A world that lives: XO's scheduler, its runs, the collectors of the SRs and the pools, in driven time.

::

    world = World(lambda: datetime(2026, 11, 24, 20, tzinfo=UTC))      # or any clock, a virtual loop's for example
    ...                                                                # pools, jobs, schedules
    live = Live(world)                                                 # from now on world.now() is live.now()
    live.advance(datetime(2026, 11, 25, 8, tzinfo=UTC))                # a night goes by

Without ``advance`` the world follows the clock it was made with: faces catch up before they answer, and ``drive`` keeps
it going on an asyncio loop. Parts: ``timeline`` (what happens when), ``scheduler``, ``jobs`` (who runs), ``engine``,
``vm_backup`` and ``export`` (a run), ``repository`` (archives and room), ``garbage`` (coalesce), ``scans``, ``probes``,
``pools_in_time``, ``config`` (XO's files), ``planted`` (faults), ``pace`` (speeds), ``log_cache``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from guard.simulator.config import LOOKS_EVERY, BrokenConfigError, Config
from guard.simulator.engine import JobError, listed_ids
from guard.simulator.engine import is_chosen as matches_job
from guard.simulator.garbage import GarbageCollector
from guard.simulator.jobs import Jobs, Run
from guard.simulator.log_cache import LogCache
from guard.simulator.log_tasks import LogTasks
from guard.simulator.pace import Guests, Pace, Rates
from guard.simulator.planted import Planted
from guard.simulator.pools_in_time import Pools, RollingUpdates
from guard.simulator.probes import Probes
from guard.simulator.repository import Shelf
from guard.simulator.scans import Scans
from guard.simulator.scheduler import Scheduler
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import Event, Life, Steps, Timeline
from guard.simulator.vm_snapshots import TOLERANCE
from guard.simulator.world import World

__all__ = ["Live"]


class Live:
    """The moving parts of one world. ``tolerance``: ``maxUncoalescedVdis``.

    ``down``: "" while XO serves, ``hangs`` when it takes connections and never answers, ``gone`` when it takes none.
    ``refusals``: requests with a credential that the booting XO still answers with 401.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.timeline = Timeline(world.now)
        world.lock = self.timeline.lock
        world.now = self.timeline.now
        self.outside = Life()
        self.xo = Life()
        self.down = ""
        self.dies_as = "hangs"
        """What becomes of ``down`` when a storm kills XO."""
        self.refusals = 0
        self.tolerance = TOLERANCE
        self.calls: list[Run] = []
        """What clients wait for, runs left out: whoever moves the time has to move it for them."""
        self.on_down: list[Callable[[], None]] = []
        """Told when xo-server goes away: open connections are lost then."""
        self.pace = Pace()
        self.rates = Rates()
        self.planted = Planted()
        self.config = Config(self._watch_config)
        self.guests = Guests(world)
        self.tasks = LogTasks(self.timeline)
        self.cache = LogCache(world)
        self.jobs = Jobs(self)
        self.scheduler = Scheduler(self)
        self.pools = Pools(self)
        self.updates = RollingUpdates(self)
        self.collector = GarbageCollector(self)
        self.scans = Scans(self)
        self.probes = Probes(self)
        self._shelves: dict[str, Shelf] = {}
        self._boot: Event | None = None
        self._next_look: Event | None = None
        world.live = self
        world.on_vdi_deleted = self.collector.kick
        self.jobs.adopt()
        world.on_schedule_added = lambda schedule: self.scheduler.written(schedule["id"])
        self.scheduler.boot()

    # --- time

    def now(self) -> datetime:
        return self.timeline.now()

    def advance(self, to: datetime | timedelta) -> None:
        """Let everything happen up to a moment (aware), or for a while, in order of time."""
        self.timeline.advance(self.now() + to if isinstance(to, timedelta) else to)
        with self.timeline.lock:
            self.guests.write_all()

    def catch_up(self) -> None:
        """Let everything happen that the world's own clock has passed."""
        self.timeline.catch_up()

    async def drive(self, speed: float = 1.0) -> None:
        """Keep the world up with the clock it was made with, for as long as this task lives.

        ``speed``: seconds that clock moves in one second of the running loop.
        """
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            loop.call_soon_threadsafe(changed.set)

        self.timeline.on_earlier = tell
        while True:
            changed.clear()
            self.catch_up()
            upcoming = self.timeline.next_at
            wait = None if upcoming is None else max(0.0, (upcoming - self.now()).total_seconds() / speed)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), wait)

    # --- xo-server as a process

    def stop_xo(self, down: str = "gone") -> None:
        """xo-server is killed: its timers and runs are gone, and what they had in memory."""
        self.xo.alive = False
        self.xo = Life()
        if self._boot is not None:
            self._boot.cancel()
        self.down = down
        self.refusals = 0
        self.rates.forget()
        self.cache.clear()
        for run in self.jobs.running.values():
            run.job.pop("runId", None)
        self.jobs.running.clear()
        self.calls.clear()
        for shelf in self._shelves.values():
            shelf.forget_locks()
        for log in [*self.world.logs.values(), *self.world.xo_tasks.values()]:
            if log["status"] == "pending":
                log["status"] = "interrupted"
        if down == "gone":
            for told in self.on_down:
                told()

    def start_xo(self) -> None:
        """xo-server boots: timers are set, pools connect 10 s later, and one valid credential is refused.

        Does nothing while it runs. With a configuration that cannot be read it ends at once, and stays gone.
        """
        if not self.down:
            return
        try:
            self.config.load()
        except BrokenConfigError as error:
            self.config.warnings.append(str(error))
            self.down = "gone"
            return
        self._watch_config()
        self.down = ""
        self.refusals = 1
        self.pools.boot()
        self.scheduler.boot()

    def _watch_config(self) -> None:
        """From now on XO looks at its files again and again, if it has any."""
        if self._next_look is not None:
            self._next_look.cancel()
        if self.config.folder is not None:
            self._next_look = self.timeline.after(LOOKS_EVERY, self._look_at_config, self.xo)

    def _look_at_config(self) -> None:
        self.config.reload()
        self._watch_config()

    def restart_xo(self, downtime: timedelta = timedelta(seconds=30)) -> None:
        """Kill it now and boot it after ``downtime``. What was due meanwhile is not made up for."""
        self.stop_xo()
        self._boot = self.timeline.at(self.now() + downtime, self.start_xo, self.outside)

    def die(self) -> None:
        """What a start storm ends in: nothing answers any more until somebody restarts XO."""
        self.stop_xo(self.dies_as)

    # --- pools

    def lose_pool(self, server: XoObject) -> None:
        """XAPI stops answering; XO still shows the pool for five minutes (``Pools.lose``)."""
        self.pools.lose(server)

    def regain_pool(self, server: XoObject) -> None:
        """XAPI answers again; its objects are back 10 s later."""
        self.pools.regain(server)

    def start_rpu(self, pool: XoObject, lasting: timedelta) -> XoObject:
        """A rolling pool update, as its XO task (``RollingUpdates.start``)."""
        return self.updates.start(pool, lasting)

    # --- what goes on in XO

    def shelf(self, repository_id: str) -> Shelf:
        """The archives and locks on one backup repository."""
        if repository_id not in self._shelves:
            self._shelves[repository_id] = Shelf(self, self.world.repositories[repository_id])
        return self._shelves[repository_id]

    def set_schedule(self, changes: Mapping[str, Any]) -> None:
        """Write into a schedule's record and set its timer anew. Raises CronError with the record written."""
        schedule = self.world.schedules[changes["id"]]
        schedule |= {key: value for key, value in changes.items() if value is not None}
        for key in [key for key, value in changes.items() if value is None]:
            schedule.pop(key, None)
        self.scheduler.written(schedule["id"])

    def run_for_task(self, schedule: XoObject, task: XoObject) -> None:
        """A run somebody asked for by REST: its XO task ends with it, as a failure for job-level errors only."""
        try:
            run = self.jobs.run_schedule(schedule, "rest")
        except JobError as error:
            self.end_xo_task(task, error.result)
            return
        run.on_end(lambda: self.end_xo_task(task, run.error))

    def end_xo_task(self, task: XoObject, error: XoObject | None) -> None:
        moment = self.tasks.moment()
        task |= {"status": "success" if error is None else "failure", "end": moment, "updatedAt": moment}
        if error is not None:
            task["result"] = error

    def run_sequence(self, schedule_ids: list[str]) -> Sequence:
        """``schedule.runSequence`` of a client."""
        sequence = Sequence()
        self.timeline.spawn(sequence.steps(self, schedule_ids), self.xo)
        return sequence

    def vms_of(self, job: XoObject) -> list[str]:
        """The VMs a backup job is for, connected or not."""
        listed = listed_ids(job["vms"])
        if listed is not None:
            return listed
        vms = self.world.objects.get("VM", {}).values()
        return [vm["id"] for vm in vms if matches_job(vm, job["vms"], job["id"])]


class Sequence(Run):
    """A sequence a client waits for."""

    def __init__(self) -> None:
        super().__init__({}, {}, None, {})

    def steps(self, live: Live, schedule_ids: list[str]) -> Steps:
        error: XoObject | None = None
        try:
            yield from live.jobs.sequence(schedule_ids, "rpc")
        except JobError as failed:
            error = failed.result
        self.end(error)
