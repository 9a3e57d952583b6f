"""How late after its due time guard starts a run, with 200 schedules claimed for one minute, over real sockets.

The baseline of the same run is XO's own timer: 200 schedules of the same minute that guard leaves to XO.
Takes three to four minutes: it waits for a real minute.
"""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from guard.gate.watch import CONFIRMED, Watch
from guard.ledger.sqlite import open_ledger
from guard.policy.load import load
from guard.simulator.live import Live
from guard.simulator.serve import running
from guard.simulator.world import GIB, World
from guard.xo.client import XoSettings
from guard.xo.token import Token
from guard.xo.writes import WritingXo

SCHEDULES = 200
LONGEST_SLEEP = 30.0


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a benchmark takes real time


class Quiet:
    """A teller that tells nobody."""

    def __getattr__(self, name: str):
        async def nothing(*_arguments, **_named):
            return None

        return nothing


def world_of(due: datetime) -> World:
    world = World(now)
    pool = world.add_pool("paris")
    sr = world.add_sr(pool, "NFS", "nfs", size=50_000 * GIB)
    nas = world.add_repository("nas", size=100_000 * GIB, available=90_000 * GIB)
    for group in ("claimed", "left"):
        for number in range(SCHEDULES):
            vm = world.add_vm(pool, f"{group}-{number}")
            world.add_disk(vm, sr, 4 * GIB, usage=GIB)
            job = world.add_job(f"{group}-{number}", vms=[vm], remotes=[nas])
            world.add_schedule(job, f"{due.minute} {due.hour} * * *", name=f"{group}-{number}")
    return world


async def night(url: str, live: Live, due: datetime) -> None:
    policy = load(
        f'[xo]\nurl = "{url}"\n[defaults]\ngate = "enforce"\n[[schedule]]\nname = "claimed-*"\nclaim = "always"\n',
        file="benchmark",
    )
    xo = WritingXo(lambda: XoSettings(url=url), lambda: Token("simulated-token"), clock=now)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_ledger(Path(folder) / "ledger", xo=url, clock=now, instance=b"benchmark") as ledger,
    ):
        known = {one["id"]: f"{one['cron']}|utc" for one in live.world.schedules.values()}
        await ledger.remember(CONFIRMED, msgspec.json.encode(known))
        await ledger.mark(dict.fromkeys(known, now()))
        watch = Watch(ledger, xo, Quiet(), clock=now, policy_of=lambda: policy, instance=ledger.instance)
        driving = asyncio.ensure_future(live.drive())
        while now() < due + timedelta(seconds=45):
            began = now()
            loop = await watch.tick()
            took = (now() - began).total_seconds()
            print(f"  look at due {(began - due).total_seconds():+6.1f} s took {took:5.2f} s", flush=True)
            wake = ((loop.wake or now()) - now()).total_seconds()
            await asyncio.sleep(min(LONGEST_SLEEP, max(0.02, wake)))
        driving.cancel()


def told(name: str, late: list[float]) -> float:
    late.sort()
    at = {part: late[min(len(late) - 1, int(len(late) * part))] for part in (0.5, 0.9, 0.99)}
    print(
        f"{name}: {len(late)} starts, seconds after the due time: "
        f"P50 {at[0.5]:.3f}, P90 {at[0.9]:.3f}, P99 {at[0.99]:.3f}, last {late[-1]:.3f}"
    )
    return at[0.5]


def main() -> None:
    due = (now() + timedelta(seconds=130)).replace(second=0, microsecond=0) + timedelta(minutes=0)
    live = Live(world_of(due))
    with running(live.world) as url:
        asyncio.run(night(url, live, due))
    names = {key: one["name"] for key, one in live.world.schedules.items()}
    late: dict[str, list[float]] = {"claimed": [], "left": []}
    for one in live.world.starts:
        group = names.get(one.schedule_id, "").partition("-")[0]
        if group in late:
            late[group].append((one.at - due).total_seconds())
    claimed = told("started by guard", late["claimed"])
    left = told("started by XO's own timer", late["left"])
    off = sum(1 for one in live.world.schedules.values() if not one["enabled"])
    print(f"ratio of the medians: {claimed / max(left, 0.001):.0f}; schedules still off: {off}")


if __name__ == "__main__":
    main()
