"""A simulated XO on loopback, and a ledger in which guard has just claimed its one nightly schedule."""

from __future__ import annotations

import asyncio
import io
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
from guard.cli.main import main
from guard.daemon.compose import LEDGER
from guard.daemon.news import News
from guard.gate.watch import CONFIRMED, Watch
from guard.ledger.sqlite import open_ledger, read_ledger
from guard.lifecycle.due_run import fold
from guard.mechanics.fallback import read_name
from guard.policy.load import load
from guard.simulator.faults import Faults
from guard.simulator.live import Live
from guard.simulator.serve import running
from guard.simulator.world import GIB, World
from guard.xo.client import XoSettings
from guard.xo.token import Token
from guard.xo.writes import WritingXo
from tests.ledger.opening import INSTANCE

TOKEN = "simulated-token"
DUE = datetime(2026, 11, 25, 2, tzinfo=UTC)
BEFORE = DUE.replace(hour=1, minute=59, second=10)
ENFORCE = '[defaults]\ngate = "enforce"\nclaim = "always"\n'


def small_xo(now, cron="0 2 * * *"):
    """A living world with one job of one VM. Returns (live, its schedule)."""
    world = World(now)
    pool = world.add_pool("paris")
    world.add_host(pool, "xcp-1")
    vm = world.add_vm(pool, "web-01")
    world.add_disk(vm, world.add_sr(pool, "NFS", "nfs", size=100 * GIB), GIB // 4)
    job = world.add_job(
        "nightly", vms=[vm], remotes=[world.add_repository("nas", size=1000 * GIB, available=900 * GIB)]
    )
    schedule = world.add_schedule(job, cron, name="every night")
    return Live(world), schedule


def knows(path, url, schedule, now):
    """A ledger of a guard that saw this schedule before, and a real start of XO's that agreed with it."""

    async def put(ledger):
        firing = f"{schedule['cron']}|{schedule.get('timezone') or 'utc'}"
        await ledger.remember(CONFIRMED, msgspec.json.encode({schedule["id"]: firing}))
        await ledger.mark({schedule["id"]: now})

    with open_ledger(path, xo=url, clock=lambda: now, instance=INSTANCE, ballast_bytes=65_536) as ledger:
        asyncio.run(put(ledger))


class Claimed:
    """``live``: the world at ``now``; ``faults``: can be planted; ``guard`` runs a command in this process."""

    def __init__(self, folder):
        self.live, self.schedule = small_xo(lambda: BEFORE)
        self.world, self.faults = self.live.world, Faults()
        self.state, self.policy = folder / "state", folder / "guard.toml"
        self.token = folder / "token"
        self.state.mkdir()
        self.token.write_text(TOKEN + "\n")
        self.token.chmod(0o600)
        self.url = ""

    @contextmanager
    def serving(self):
        with running(self.world, self.faults) as self.url:
            self.policy.write_text(f'[xo]\nurl = "{self.url}"\ntoken_file = "{self.token}"\n{ENFORCE}')
            knows(self.state / LEDGER, self.url, self.schedule, self.now())
            yield self

    def now(self):
        return self.live.now()

    def tick(self):
        """One look of a daemon that then is gone."""

        async def look(ledger):
            async def nobody(message):
                pass

            made = XoSettings(url=self.url)
            xo = WritingXo(lambda: made, lambda: Token(TOKEN), clock=self.now)
            policy = load(self.policy.read_text(), file="g.toml")
            watch = Watch(
                ledger,
                xo,
                News(nobody, lambda: UTC),
                clock=self.now,
                policy_of=lambda: policy,
                instance=ledger.instance,
            )
            return await watch.tick()

        with open_ledger(self.state / LEDGER, xo=self.url, clock=self.now, instance=INSTANCE) as ledger:
            return asyncio.run(look(ledger))

    def guard(self, *words, env=None):
        """(exit code, stdout, stderr)"""
        out, err = io.StringIO(), io.StringIO()
        code = main([*words, "--config", str(self.policy), "--state", str(self.state)], out, err, env or {})
        return code, out.getvalue(), err.getvalue()

    @property
    def is_on(self):
        return self.world.schedules[self.schedule["id"]]["enabled"]

    @property
    def fallbacks(self):
        return fallbacks_in(self.world)

    def runs(self):
        """Every due run, folded."""
        with read_ledger(self.state / LEDGER, xo=self.url, clock=self.now) as ledger:
            found = asyncio.run(ledger.between(DUE.replace(day=1), DUE.replace(day=30)))
        return [fold(key, events) for key, events in found.items()]


def fallbacks_in(world):
    """The names of guard's jobs in XO, by kind."""
    return sorted(job["name"] for job in world.call_jobs.values() if read_name(job["name"]) is not None)
