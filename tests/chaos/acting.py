"""A night in which guard acts, its ports under a fate, and what must be true of it whatever died when.

Judged by the simulated XO's own record of starts and by its schedule table; the ledger only says what was in doubt.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
from guard.errors import XoTimeoutError
from guard.gate.ports import GateXo, XoReads
from guard.gate.watch import CONFIRMED
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import End, Ended, Starter
from guard.lifecycle.ledger import Ledger
from guard.mechanics.fallback import read_name
from guard.policy.load import load
from guard.simulator.live import Live
from guard.simulator.world import GIB, World
from tests.chaos.mortal import KilledError, Mortal, methods_of
from tests.ledger.opening import hasty
from tests.stories.driven import Guarded
from tests.stories.in_process import URL, InProcess
from tests.stories.invariants import again_by_follow_up, again_without_reason
from tests.stories.small_world import happens
from tests.virtual_time import run as finished

START = datetime(2026, 11, 24, 21, 58, 40, tzinfo=UTC)
END = START + timedelta(minutes=45)
ALL_DUE = START + timedelta(minutes=10)
QUIET = timedelta(minutes=5)
"""So long after the last end nothing may happen any more."""
NETS = timedelta(minutes=20)
"""After it the nets have had their time."""
FOLLOWED = START.replace(hour=22, minute=4, second=0)
"""When the run is due whose VM XO skips."""
DEADLINE = timedelta(minutes=12)
LATE = timedelta(minutes=14)
"""How long after a deadline a start may still come: the fallback's three minutes, and guard's own tries."""
TURNS = timedelta(minutes=5)
"""How much later a sequence's member may start: XO gets a minute to go on with each by itself."""
XO_WRITES = frozenset({"set_enabled", "put_fallback", "move_fallback", "drop_fallback", "start", "run_sequence"})
PORTS = methods_of(GateXo) | methods_of(XoReads)
POLICY_TEXT = f"""
[xo]
url = "{URL}"
zone = "utc"
[defaults]
gate = "enforce"
max_defer = "12 min"
recheck_every = "4 min"
[[schedule]]
name = "always"
claim = "always"
"""
POLICY = load(POLICY_TEXT, file="guard.toml")


def acting_world(seed: int = 0) -> Live:
    """One schedule that guard always starts, one that waits for its chain, one in part, one refused, one left to XO, one
    that XO skips, so that it is followed up, and a sequence of three: of its second one VM waits, or, by ``seed``, all of
    its first, or nothing.

    ``seed`` moves their minutes, and how long the waiting one has to wait, which may be beyond its deadline.
    """
    chance = random.Random(seed)
    world = World(lambda: START)

    def cron(usual: int) -> str:
        return f"{usual if not seed else chance.randrange(6)} 22 * * *"

    pool = world.add_pool("paris")
    nas = world.add_repository("nas", size=1000 * GIB, available=900 * GIB)

    def planned(name, cron, vms=1, enabled=True, **options):
        sr = world.add_sr(pool, f"{name} SR", "nfs", size=500 * GIB)
        found = [world.add_vm(pool, f"{name} VM {number}") for number in range(1, vms + 1)]
        for vm in found:
            world.add_disk(vm, sr, 2 * GIB, usage=GIB // 4)
        job = world.add_job(name, vms=found, remotes=[nas])
        return sr, found, world.add_schedule(job, cron, name=name, enabled=enabled, **options)

    planned("always", cron(0))
    slow_sr, slow, _ = planned("waits", cron(0))
    part_sr, part, _ = planned("partly", cron(1), vms=2)
    planned("refused", cron(1), with_settings=False)
    planned("left alone", cron(2))
    again_sr, again, _ = planned("again", f"{FOLLOWED.minute} {FOLLOWED.hour} * * *")
    members = [planned(name, "0 0 1 jan *", vms, enabled=False) for name, vms in (("one", 1), ("two", 2), ("three", 1))]
    world.add_sequence("in a row", [schedule for _, _, schedule in members], cron=cron(3))
    held = [(members[1][0], members[1][1][1])]
    if seed:
        held = [held, [(members[0][0], members[0][1][0])], []][chance.randrange(3)]
    live = Live(world)
    for sr, vm in ((slow_sr, slow[0]), (part_sr, part[1]), *held):
        live.collector.switch_off(sr)
        world.add_base_copies(world.disks_of(vm)[0], 4)
    happens(live, FOLLOWED - timedelta(seconds=5), lambda: _spoil(live, again_sr, again[0]))
    happens(live, FOLLOWED + timedelta(minutes=1), lambda: live.collector.switch_on(again_sr))
    clears = timedelta(minutes=9 if not seed else chance.randrange(4, 25))
    for sr in (slow_sr, *(sr for sr, _ in held)):
        happens(live, START + clears, lambda sr=sr: live.collector.switch_on(sr))
    return live


def _spoil(live: Live, sr, vm) -> None:
    """What nobody could foretell: XO skips this VM."""
    live.collector.switch_off(sr)
    live.world.add_base_copies(live.world.disks_of(vm)[0], 4)


class Acting(Guarded):
    """A guard that acts under one fate; ``downtimes``: how long it is away after each death, in turn."""

    def __init__(self, live, path, fate, downtimes=(timedelta(),), policy=POLICY):
        self.fate, self.downtimes = fate, downtimes
        xo = Mortal(InProcess(live), fate, PORTS)
        super().__init__(
            live, path, xo=xo, policy=policy, ledger_of=lambda one: Mortal(hasty(one), fate, methods_of(Ledger))
        )

    def live_through(self, until):
        finished(self._confirm())
        finished(self._live_through(until))
        self.fate.retire()

    async def _confirm(self):
        """guard saw these schedules before this night, and real starts agreed with it."""
        known = {
            one["id"]: f"{one['cron']}|{one.get('timezone') or 'utc'}" for one in self.live.world.schedules.values()
        }
        await self.ledger._port.remember(CONFIRMED, msgspec.json.encode(known))
        await self.ledger._port.mark(dict.fromkeys(known, self.live.now()))

    async def _live_through(self, until):
        while self.live.now() < until:
            try:
                await self.go(min(until, self.live.now() + QUIET))
                if self.fate.deaths and self.live.now() > ALL_DUE and not await self.ledger._port.open_runs():
                    await self.go(min(until, self.live.now() + QUIET))
                    return  # nothing is left that could begin
            except KilledError:
                self.live.advance(self.downtimes[(self.fate.deaths - 1) % len(self.downtimes)])
                until = max(until, self.live.now() + NETS)
                self.fate.revive()
                self.start()


def broken(guarded, live: Live) -> list[str]:
    """Every invariant that does not hold, as a sentence."""
    world, found = live.world, []
    stories = {key: fold(key, events) for key, events in guarded.stories().items()}
    was_away = max(guarded.downtimes) >= DEADLINE
    sequences = [run for run in stories.values() if run.is_sequence]
    members = {one for run in sequences for one in run.seen.members}
    for schedule in world.schedules.values():
        name = schedule["name"]
        if not schedule["enabled"] and schedule["id"] not in members:
            found.append(f"schedule {name} is left disabled")
    found += [f"fallback {job['name']} is left" for job in world.call_jobs.values() if read_name(job["name"])]
    for schedule in [one for one in world.schedules.values() if read_name(one["name"]) is None]:
        mine = [run for key, run in stories.items() if key.schedule == schedule["id"]]
        ends = [run.ended for run in mine if run.ended is not None]
        if len(mine) != 1 or len(ends) != 1:
            found.append(f"{schedule['name']}: {len(mine)} stories, {len(ends)} ends")
            continue
        (run,) = mine
        if not run.is_sequence:
            found += _starts(world, schedule, run, ends[0], list(stories.values()), guarded_was_away=was_away)
    return found + again_without_reason(world, guarded.stories())


def _starts(world, schedule, run, ended: Ended, stories, *, guarded_was_away: bool) -> list[str]:
    """One start for each VM, in time; none where it was refused; two only where the ledger says it was in doubt."""
    name, found = schedule["name"], []
    real = [one for one in world.starts if one.schedule_id == schedule["id"] and not _refused(world, one)]
    taken: Counter = Counter()
    listed = world.jobs[schedule["jobId"]]["vms"]["id"]
    everything = [listed] if isinstance(listed, str) else listed["__or"]
    for one in real:
        taken.update(one.vms or everything)
    asked = [(one.intents, one.key.schedule == schedule["id"]) for one in stories]
    doubts = sum(
        1
        for intents, own in asked
        for one in intents
        if (own or schedule["id"] in one.starting.along) and one.failed is not None and not one.failed.sure
    )
    above = next((one for one in stories if schedule["id"] in one.seen.members), run)
    by_fallback = any(one.started.by is Starter.FALLBACK for one in run.attempts)
    if above.claim is not None and above.claim.held is None and by_fallback:
        doubts += 1  # guard died for long between the fallback's placing and the schedule's switching off: both fire
    if above is not run and run.standbys and guarded_was_away:
        doubts += 1  # guard died for long between a member's own fallback and the removal of the sequence's: both fire
    again = again_by_follow_up(run)  # whether these were right, again_without_reason tells
    if any(count - again[vm] > 1 + doubts for vm, count in taken.items()):
        found.append(
            f"{name}: started {dict(taken)} with {doubts} doubts: {[(str(s.at), s.origin, s.vms) for s in real]}"
        )
    deadline = run.key.due + DEADLINE + LATE + (TURNS if above is not run else timedelta())
    if name == "refused":
        return found
    if set(taken) != set(everything) and not (guarded_was_away and End.EXPIRED in {one.end for one in run.given_up}):
        found.append(f"{name}: never started {set(everything) - set(taken)}, end {ended.end}")
    is_excused = above is not run and guarded_was_away  # a member's own fallback is two hours ahead of its turn
    if real and max(one.at for one in real) > deadline and not is_excused:
        found.append(f"{name}: started late, at {max(one.at for one in real)}")
    away = any(one.end is End.EXPIRED for one in run.given_up) and guarded_was_away
    if ended.end in (End.MISSED, End.EXPIRED) and doubts == 0 and not away:
        found.append(f"{name}: {ended.end}: {ended.reason}")
    started_in_ledger = {one.started.run for one in run.attempts}
    unknown = [one.run_id for one in real if one.run_id not in started_in_ledger]
    if unknown:
        found.append(f"{name}: runs {unknown} are in no attempt of {started_in_ledger}")
    return found


def _refused(world, start) -> bool:
    """XO refused it: the job was running already."""
    log = world.logs.get(start.run_id or "", {})
    return "already running" in str(log.get("result", {}).get("message", ""))


class LostAnswers:
    """XO does what it is asked, and its answer to the call of that number is lost; the process lives."""

    def __init__(self, at: int) -> None:
        self.at, self.deaths, self.calls, self.names, self.is_dead = at, 0, 0, [], False

    def revive(self) -> None:
        """Nobody died."""

    def retire(self) -> None:
        self.at = -1

    async def meet(self, name, call):
        self.calls += 1
        self.names.append(name)
        answer = await call()
        if self.calls == self.at:
            self.deaths += 1
            raise XoTimeoutError(f"XO did not answer {name} within 30 s")
        return answer


class XoFails:
    """XO goes away at the call of that number: it restarts without doing it, or it hangs for a while."""

    def __init__(self, at: int, live: Live, *, hangs: bool) -> None:
        self.at, self.live, self.hangs = at, live, hangs
        self.deaths, self.calls, self.names, self.is_dead = 0, 0, [], False

    def revive(self) -> None:
        """Nobody died."""

    def retire(self) -> None:
        self.at = -1

    async def meet(self, name, call):
        self.calls += 1
        self.names.append(name)
        if self.calls == self.at:
            self.deaths += 1
            if self.hangs:
                answer = await call()  # XO did it, and answers nobody from now on
                del answer
                self.live.stop_xo("hangs")
                happens(self.live, self.live.now() + timedelta(minutes=4), self.live.start_xo)
                raise XoTimeoutError(f"XO did not answer {name} within 30 s")
            self.live.restart_xo(timedelta(seconds=45))
        return await call()
