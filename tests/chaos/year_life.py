"""An episode lived through: its world, everybody's doings in it, and a guard that acts. Records what the judge needs.

XO's clock is the world's. A step of XO's clock is for guard the same as one of its own the other way, so guard's alone is
stepped here; XO's timers do not move with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from guard.decision.brakes import Brake
from guard.errors import XoTimeoutError
from guard.estate.xo_records import Schedule
from guard.gate.look import LOOK_EVERY
from guard.gate.ports import GateXo, XoReads
from guard.gate.watch import BRAKES, CONFIRMED
from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.events import RunKey
from guard.lifecycle.ledger import Ledger
from guard.mechanics.due import due_times, next_storm
from guard.mechanics.fallback import FallbackKind, read_name
from guard.mechanics.zones import resolve
from guard.policy.load import load
from guard.simulator.engine import JobError
from guard.simulator.live import Live
from guard.simulator.shapes import XoObject
from guard.simulator.world import GIB, World
from tests.chaos.acting import XO_WRITES
from tests.chaos.mortal import KilledError, Mortal, methods_of
from tests.chaos.year_plan import Episode, Happening
from tests.ledger.opening import hasty
from tests.stories.driven import A_MOMENT, EVER, Guarded
from tests.stories.in_process import URL, InProcess
from tests.stories.small_world import happens
from tests.virtual_time import run as finished

PORTS = methods_of(GateXo) | methods_of(XoReads)
NETS = timedelta(minutes=25)
"""How long guard is left alone at the end, at least: it has been back for 20 minutes then."""
LONGEST_REST = timedelta(hours=9)
"""What has not ended so long after the last trouble will not."""
FAR_OFF = 10
"""Seconds: with clocks that differ by more guard claims nothing."""
FAR = datetime.max.replace(tzinfo=UTC)
BOOTED = timedelta(seconds=30)
"""So long after its start XO shows its pools again."""
OPERATOR = timedelta(minutes=10)
"""An XO that died of a start storm is restarted by somebody after this."""


@dataclass(frozen=True)
class Trouble:
    """``kind``: down, frozen, clock, slow or lost (guard); xo, rpu, pool. ``detail``: of a death its port call."""

    kind: str
    start: datetime
    end: datetime
    detail: str = ""


@dataclass(frozen=True)
class Change:
    """A schedule's record was written. ``by``: person, rpu, guard, or fallback."""

    at: datetime
    schedule: str
    by: str
    before: XoObject | None
    after: XoObject | None


@dataclass(frozen=True)
class Page:
    """What persons and rolling updates want of a schedule from ``since`` on; None: deleted. ``by``: person or rpu.

    ``either``: its ``enabled`` was not named by somebody who changed it while guard had it off.
    """

    since: datetime
    record: XoObject | None
    by: str = "person"
    either: bool = False

    @property
    def is_on(self) -> bool:
        return self.record is not None and (self.either or bool(self.record["enabled"]))

    @property
    def is_off(self) -> bool:
        return not self.either and not self.is_on


@dataclass(frozen=True)
class Braked:
    """``kind``: hold or bypass; ``schedule``: '' for all; ``until``: when it was over; ``said``: what it was set to."""

    kind: str
    schedule: str
    since: datetime
    until: datetime
    said: datetime

    def is_for(self, kind: str, schedule: str) -> bool:
        return self.kind == kind and self.schedule in ("", schedule)


@dataclass
class Armed:
    """Something that happens at a port call to come: ``left`` calls from now."""

    what: Happening
    left: int


class Fate:
    """Between guard and the rest: time that calls take, deaths and freezes at a call, answers that are lost."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self.is_dead = False
        self.armed: list[Armed] = []
        self.lost: list[int] = []
        self.slow = 0.0
        self.calls = 0

    async def meet(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        if self.is_dead:
            raise KilledError(name)
        self.calls += 1
        due = self._due()
        for one in due:
            if one.what == "freeze":
                self._life.freeze(one.value, name)
            elif one.text == "before":
                self._life.die(one, f"before {name}")
        if name in PORTS:
            await self._take_time()
            if self.is_dead:
                raise KilledError(name)
        answer = await call()
        for one in due:
            if one.what == "kill" and one.text != "before":
                self._life.die(one, f"after {name}")
        if self._is_lost(name):
            self._life.note("lost", self._life.live.now(), self._life.live.now() + timedelta(minutes=3), name)
            raise XoTimeoutError(f"XO did not answer {name} within 30 s")
        return answer

    def _due(self) -> list[Happening]:
        """What strikes at this call."""
        for one in self.armed:
            one.left -= 1
        due = [one.what for one in self.armed if one.left <= 0]
        self.armed = [one for one in self.armed if one.left > 0]
        return due

    def _is_lost(self, name: str) -> bool:
        if name not in XO_WRITES or not self.lost:
            return False
        self.lost[0] -= 1
        if self.lost[0] <= 0:
            self.lost.pop(0)
            return True
        return False

    async def _take_time(self) -> None:
        seconds = self._life.episode.latency * (1 + self.calls % 3)
        if self.slow:
            seconds += self.slow * (self.calls % 5) / 4
        if seconds:
            self._life.live.advance(timedelta(seconds=seconds))
            await asyncio.sleep(seconds)


class Life(Guarded):
    """``will``: schedule id -> what others than guard want of it, from when on.
    ``looks``: (from, to) of guard's looks at XO while its clock was right.

    ``fallbacks``: the id of a fallback's own schedule -> (kind,
    the schedule it is for, due time). ``disarmed``: (schedule id, from, until) while XO has no timer for it.
    """

    def __init__(self, episode: Episode, path: Any) -> None:
        self.episode = episode
        self.world, self.ids = World(lambda: episode.begin), {}
        self._srs: dict[str, XoObject] = {}
        live = self._build()
        self.planned = {self.ids[one.name]: one for one in episode.schedules}
        self.will = {
            key: [Page(datetime.min.replace(tzinfo=UTC), deepcopy(self.world.schedules[key]))] for key in self.planned
        }
        self.changes: list[Change] = []
        self.troubles: list[Trouble] = []
        self.looks: list[tuple[datetime, datetime]] = []
        self.brakes: list[Braked] = []
        self.fallbacks: dict[str, tuple[FallbackKind, str, datetime]] = {}
        self.disarmed: list[tuple[str, datetime, datetime]] = []
        self.writer = "guard"
        self.dead_until: datetime | None = None
        self._rpu_since: datetime | None = None
        self._down_since: datetime | None = None
        self._standing: list[Brake] = []
        self._listen(live)
        self.fate = Fate(self)
        xo = Mortal(InProcess(live, lambda: self.clock()), self.fate, PORTS)
        super().__init__(
            live,
            path,
            xo=xo,
            policy=load(self._policy(), file="guard.toml"),
            ledger_of=lambda one: Mortal(hasty(one), self.fate, methods_of(Ledger)),
        )
        self.last_trouble = self._plan()

    # --- the world

    def _build(self) -> Live:
        world = self.world
        pools = [world.add_pool("paris"), world.add_pool("lyon")]
        self.pools = {}
        nas = world.add_repository("nas", size=4000 * GIB, available=3000 * GIB)
        vault = world.add_repository("vault", size=4000 * GIB, available=3000 * GIB)
        jobs: dict[str, XoObject] = {}
        disks = {}
        for number, one in enumerate(self.episode.schedules):
            pool = self.pools[one.name] = pools[number % 2]
            if one.kind == "mirror":
                job = world.add_job(one.name, type="mirrorBackup", remotes=[vault], sourceRemote=nas["id"])
            elif one.job_of:
                job, self.pools[one.name] = jobs[one.job_of], self.pools[one.job_of]
            else:
                vms = []
                for count in range(one.vms):
                    sr = self._srs[one.name] = world.add_sr(pool, f"{one.name} SR {count}", "nfs", size=500 * GIB)
                    vms.append(world.add_vm(pool, f"{one.name} VM {count}"))
                    disk = world.add_disk(vms[-1], sr, 4 * GIB, usage=GIB)
                    disks.setdefault(one.name, disk)
                job = world.add_job(one.name, vms=vms, remotes=[nas])
            jobs[one.name] = job
            made = world.add_schedule(
                job, one.cron, timezone=one.zone or None, name=one.name, with_settings=one.trouble != "settings"
            )
            self.ids[one.name] = made["id"]
        live = Live(world)
        live.scheduler.storm_cap = 20  # each start is a log: more of them show nothing more
        for one in self.episode.schedules:
            if one.lasts:
                live.rates.jobs[jobs[one.name]["id"]] = GIB / (60 * one.lasts)
            clears = self.episode.begin + timedelta(minutes=one.clears)
            if one.trouble == "chain":
                sr = world.sr_of(disks[one.name])
                live.collector.switch_off(sr)
                world.add_base_copies(disks[one.name], 4)
                happens(live, clears, lambda sr=sr: live.collector.switch_on(sr))
            if one.trouble == "full":
                sr = self._srs[one.name]
                used, sr["physical_usage"] = sr["physical_usage"], sr["size"] - 2**20
                happens(live, clears, lambda sr=sr, used=used: sr.update(physical_usage=used))
        return live

    def _policy(self) -> str:
        text = f'[xo]\nurl = "{URL}"\nzone = "utc"\n[defaults]\ngate = "enforce"\nrecheck_every = "4 min"\n'
        for identity, one in self.planned.items():
            text += (
                f'[[schedule]]\nid = "{identity}"\nclaim = "{one.claim}"\non_uncertain = "{one.on_uncertain}"\n'
                f'overlap = "{one.overlap}"\nmax_defer = "{one.max_defer} min"\n'
            )
        return text

    # --- listening

    def _listen(self, live: Live) -> None:
        """Who wrote what, when XO was away, and when a rolling update went on."""
        write, stop, start, die = live.set_schedule, live.stop_xo, live.start_xo, live.die
        begin, finish = live.updates.start, live.updates._finish

        def written(changes: Mapping[str, Any]) -> None:
            before = deepcopy(live.world.schedules[changes["id"]])
            try:
                write(changes)
            finally:
                self._written(live, changes, before)

        def stopped(down: str = "gone") -> None:
            self._down_since = self._down_since or live.now()
            if self._rpu_since is not None:
                self.note("rpu", self._rpu_since, live.now())
                self._rpu_since = None
            stop(down)

        def started() -> None:
            if live.down and self._down_since is not None:
                self.note("xo", self._down_since, live.now() + BOOTED)
                self._down_since = None
            start()
            self._arm()

        def died() -> None:
            die()
            happens(live, live.now() + OPERATOR, live.start_xo)

        def rolls(pool: XoObject, lasting: timedelta) -> XoObject:
            with self.written_by("rpu"):
                task = begin(pool, lasting)
            self._rpu_since = live.now()
            return task

        def rolled(kept: list[XoObject], task: XoObject) -> None:
            with self.written_by("rpu"):
                finish(kept, task)
            self.note("rpu", self._rpu_since or live.now(), live.now())
            self._rpu_since = None

        live.set_schedule, live.stop_xo, live.start_xo, live.die = written, stopped, started, died
        live.updates.start, live.updates._finish = rolls, rolled

    def written_by(self, who: str) -> Any:
        return _As(self, who)

    def _written(self, live: Live, changes: Mapping[str, Any], before: XoObject) -> None:
        identity = changes["id"]
        after = live.world.schedules[identity]
        named = read_name(after["name"])
        if named is not None:
            self.fallbacks[identity] = (named[1], named[2], named[3])
            return
        own = live.world.own_writes
        called = bool(own) and own[-1].by == "call" and own[-1].at == live.now() and self.writer == "guard"
        by = "fallback" if called and changes.get("enabled") is True else self.writer
        self._arm(identity)
        self.changes.append(Change(live.now(), identity, by, before, deepcopy(after)))
        if by in ("person", "rpu"):
            self._will(identity, changes, before, after, by)

    def _arm(self, identity: str = "") -> None:
        """XO sets the timer of a schedule that is written, and all of them when it boots."""
        now = self.live.now()
        self.disarmed = [
            (one, since, min(until, now) if identity in ("", one) else until) for one, since, until in self.disarmed
        ]

    def _will(self, identity: str, changes: Mapping[str, Any], before: XoObject, after: XoObject, by: str) -> None:
        page = self.will[identity][-1]
        is_held = page.is_on and not before["enabled"]
        if before == after and is_held:
            return  # a write that changes nothing leaves no trace in XO: nobody can honour it (NO_TRACE)
        wanted = deepcopy(after)
        either = is_held and "enabled" not in changes
        if page.record is not None and "enabled" not in changes and not either:
            wanted["enabled"] = page.record["enabled"]
        self.will[identity].append(
            Page(self.live.now(), wanted, by, either or (page.either and "enabled" not in changes))
        )

    def note(self, kind: str, start: datetime, end: datetime, detail: str = "") -> None:
        self.troubles.append(Trouble(kind, start, end, detail))

    # --- what happens

    def _plan(self) -> datetime:
        """Plant what happens to XO and in it, and line up what happens to guard; when the last trouble is over."""
        begin = self.episode.begin
        last = self.episode.end
        self._stops: list[tuple[datetime, Callable[[], Awaitable[None]]]] = []
        for one in self.episode.happenings:
            when = begin + timedelta(seconds=one.at)
            over = when + timedelta(seconds=max(one.value if one.what not in ("form", "step") else 0, one.lasting))
            last = max(last, over)
            if one.what in ("kill", "freeze", "step", "lost", "slow", "hold", "bypass"):
                self._stops.append((when, lambda one=one: self._to_guard(one)))
                if one.what in ("step", "slow") or one.lasting:
                    self._stops.append((when + timedelta(seconds=one.lasting), lambda one=one: self._lift(one)))
            else:
                self._plant(one, when)
        self._stops.sort(key=lambda stop: stop[0])
        clears = [begin + timedelta(minutes=one.clears) for one in self.episode.schedules if one.trouble]
        return max([last, *clears])

    def _plant(self, one: Happening, when: datetime) -> None:
        kept: dict[str, XoObject] = {}
        if one.what == "form":
            opened = max(when - timedelta(seconds=one.value), self.live.now())
            happens(self.live, opened, lambda: kept.update(deepcopy(self.world.schedules.get(self.ids[one.on], {}))))
        happens(self.live, when, lambda: self._act(one, kept))
        for moment in (when, when + timedelta(seconds=one.value), when + timedelta(seconds=310)):
            self.must_look.append(moment + timedelta(seconds=1 + (one.at * 7) % 28))

    def _act(self, one: Happening, kept: XoObject) -> None:
        """To XO, the pool, or by a person. What cannot be done then (a schedule that is gone, a run that bars it) is not."""
        live, lasting = self.live, timedelta(seconds=one.value)
        identity = self.ids[one.on]
        schedule = self.world.schedules.get(identity)
        match one.what:
            case "restart":
                live.restart_xo(lasting)
            case "hang" | "gone":
                live.stop_xo("hangs" if one.what == "hang" else "gone")
                happens(live, live.now() + lasting, live.start_xo)
            case "lose":
                server = self.world.server_of(self.pools[one.on])
                live.lose_pool(server)
                happens(live, live.now() + lasting, lambda: live.regain_pool(server))
                self.note("pool", live.now(), live.now() + lasting + BOOTED)
            case "rpu" if not live.down and self._rpu_since is None:
                try:
                    live.start_rpu(self.pools[one.on], lasting)
                except ValueError:
                    return
            case "rpu":
                return
            case _ if schedule is not None and not live.down:
                self._by_person(one, schedule, kept)

    def _by_person(self, one: Happening, schedule: XoObject, kept: XoObject) -> None:
        identity = schedule["id"]
        with self.written_by("person"):
            match one.what:
                case "enable" | "disable":
                    self.live.set_schedule({"id": identity, "enabled": one.what == "enable"})
                case "recron":
                    self.live.set_schedule({"id": identity, "cron": one.text})
                case "rename":
                    self.live.set_schedule({"id": identity, "name": one.text})
                case "form" if kept:
                    self.live.set_schedule({**kept, "name": one.text or kept["name"]})
                case "delete":
                    self.changes.append(Change(self.live.now(), identity, "person", deepcopy(schedule), None))
                    self.will[identity].append(Page(self.live.now(), None))
                    self.live.scheduler.disarm(identity)
                    del self.world.schedules[identity]
                case "disarm":
                    self.live.scheduler.disarm(identity)
                    self.disarmed.append((identity, self.live.now(), FAR))
                case "run":
                    try:
                        self.live.jobs.run_schedule(schedule, "rest")
                    except JobError:
                        return

    async def _to_guard(self, one: Happening) -> None:
        now, lasting = self.live.now(), timedelta(seconds=one.lasting)
        match one.what:
            case "kill" | "freeze" if one.call:
                self.fate.armed.append(Armed(one, one.call))
            case "kill" if self.dead_until is None:
                self.die(one, "between looks", raises=False)
            case "freeze" if self.dead_until is None:
                self.freeze(one.value, "between looks")
            case "step":
                self.shift += timedelta(seconds=one.value)
                self.note(
                    "clock", now, now + lasting + timedelta(seconds=30), "far" if abs(one.value) > FAR_OFF else "near"
                )
            case "slow":
                self.fate.slow = one.value
                self.note("slow", now, now + lasting + timedelta(seconds=30))
            case "lost":
                self.fate.lost.append(one.call)
            case "hold" | "bypass":
                until = now + timedelta(seconds=one.value)
                target = self.ids[one.on] if one.on else ""
                kind = "hold" if one.what == "hold" else "bypass"
                scope = f"schedule:{target}" if target else "all"
                self._standing.append(
                    Brake(kind=kind, scope=scope, until=until, reason="why not", since=now, by="anna")
                )
                self.brakes.append(Braked(kind, target, now, now + lasting if one.lasting else until, until))
                await self._remember_brakes()

    async def _lift(self, one: Happening) -> None:
        match one.what:
            case "step":
                self.shift -= timedelta(seconds=one.value)
            case "slow":
                self.fate.slow = 0.0
            case _:
                target = self.ids[one.on] if one.on else ""
                scope = f"schedule:{target}" if target else "all"
                self._standing = [kept for kept in self._standing if (kept.kind, kept.scope) != (one.what, scope)]
                now = self.live.now()
                self.brakes = [
                    replace(each, until=min(each.until, now))
                    if (each.kind, each.schedule) == (one.what, target)
                    else each
                    for each in self.brakes
                ]
                await self._remember_brakes()

    async def _remember_brakes(self) -> None:
        """As ``guard hold`` does it: in the file, beside the daemon, alive or not."""
        await self.ledger._port.remember(BRAKES, msgspec.json.encode(self._standing))

    def die(self, one: Happening, detail: str, *, raises: bool = True) -> None:
        if self.dead_until is None:
            self.dead_until = self.live.now() + timedelta(seconds=one.value)
            self.note("down", self.live.now(), self.dead_until, detail)
        self.fate.is_dead = True
        if raises:
            raise KilledError(detail)

    def freeze(self, seconds: float, detail: str) -> None:
        self.note("frozen", self.live.now(), self.live.now() + timedelta(seconds=seconds), detail)
        self.live.advance(timedelta(seconds=seconds))

    # --- living

    def live_through(self) -> None:
        """All that happens, and then peace until everything had its time."""
        finished(self._live_through())

    async def _live_through(self) -> None:
        zones = {key: one.zone if resolve(one.zone or "utc") else "utc" for key, one in self.planned.items()}
        known = {key: f"{one.cron}|{zones[key] or 'utc'}" for key, one in self.planned.items()}
        await self.ledger._port.remember(CONFIRMED, msgspec.json.encode(known))
        await self.ledger._port.mark(dict.fromkeys(known, self.live.now()))
        for when, act in self._stops:
            await self._until(when)
            await act()
        await self._until(self.last_trouble)
        self.fate.armed.clear()
        self.fate.lost.clear()
        if self.dead_until is not None:  # it died late: at a call that was long in coming
            await self._until(self.dead_until)
        if self.live.down:
            self.live.start_xo()
        self.judged_until = self.live.now()
        await self._until(self.judged_until + NETS)
        while self.live.now() < self.judged_until + LONGEST_REST and await self._is_open():
            await self._until(self.live.now() + timedelta(minutes=20))
        while not self._is_quiet(self.live.now()):
            await self._until(self.live.now() + timedelta(minutes=1))

    async def _is_open(self) -> bool:
        return any(key.due <= self.judged_until for key in await self.ledger._port.open_runs())

    def _is_quiet(self, now: datetime) -> bool:
        """No schedule is being claimed or held for a due time at this moment."""
        return not any(
            near or next_storm(page.record["cron"], zone_of(page.record), now - timedelta(minutes=15), now + timedelta(hours=6))
            for page in (pages[-1] for pages in self.will.values())
            if page.record is not None
            for near in [bool(dues_in(page.record, now - timedelta(minutes=7), now + timedelta(minutes=4)))]
        )  # fmt: skip

    async def _until(self, moment: datetime) -> None:
        while self.live.now() < moment:
            if self.dead_until is not None:
                self.live.advance(max(self.live.now(), min(moment, self.dead_until)))
                if self.live.now() < self.dead_until:
                    return
                self.dead_until, self.fate.is_dead = None, False
                self.start()
            began = self.live.now()
            try:
                loop = await self.watch.tick()
            except KilledError:
                continue
            self.ticks += 1
            if self.live.now() - began > A_MOMENT:  # what it saw may be old: the daemon soon looks again
                self.must_look.append(self.live.now() + LOOK_EVERY)
            if not loop.xo_error and abs(self.shift) < timedelta(seconds=30):
                self.looks.append((began, self.live.now()))
            soon = [one for one in self.must_look if one > self.live.now()]
            wake = (loop.wake or moment + self.shift) - self.shift
            self.live.advance(max(self.live.now(), min(moment, max(wake, self.live.now() + A_MOMENT), *soon)))

    def told(self) -> dict[RunKey, DueRun]:
        return {key: run for key, events in self.stories().items() if (run := fold(key, events)) is not None}

    def stories(self) -> dict[RunKey, Any]:
        return dict(finished(self.ledger._port.between(*EVER)))


class _As:
    """Within it a schedule is written by somebody else than guard."""

    def __init__(self, life: Life, who: str) -> None:
        self._life, self._who = life, who

    def __enter__(self) -> None:
        self._before, self._life.writer = self._life.writer, self._who

    def __exit__(self, *_: object) -> None:
        self._life.writer = self._before


def zone_of(record: XoObject) -> str:
    return str(record.get("timezone") or "utc")


def dues_in(record: XoObject, after: datetime, until: datetime) -> list[datetime]:
    """The due times of a record that is enabled."""
    if not record["enabled"]:
        return []
    schedule = msgspec.convert(record, Schedule)
    return [due.at for due in due_times(schedule, zone=zone_of(record), after=after, until=until)]
