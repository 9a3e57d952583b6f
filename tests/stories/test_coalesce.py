"""What guard makes of coalesces it sees from look to look: a collector that is dead, one at work, and when it will be done."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from guard.assess import make_plan
from guard.policy.schema import default_policy
from guard.simulator.live import Live
from guard.simulator.serve import running
from guard.simulator.world import GIB, World
from guard.units import MIB
from guard.xo.client import XoSettings
from guard.xo.live import LiveXo
from guard.xo.token import Token

TOKEN = "simulated-token"
EVENING = datetime(2027, 1, 12, 18, 0, tzinfo=UTC)
PAIR = 10 * MIB
PAIR_TAKES = timedelta(minutes=40)


class Night:
    """Two VMs with long chains on one slow SR, due at 2:00, and a guard that looks when told."""

    def __init__(self):
        world = World(lambda: EVENING, token=TOKEN)
        pool = world.add_pool("paris")
        host = world.add_host(pool, "xcp-1")
        self.sr = world.add_sr(pool, "slow", SR_type="nfs", size=1000 * GIB)
        vms = [world.add_vm(pool, name, host=host) for name in ("a", "b")]
        self.disks = [world.add_disk(vm, self.sr, size=20 * GIB, usage=PAIR) for vm in vms]
        job = world.add_job("nightly", vms=vms, remotes=[world.add_repository("nas")])
        world.add_schedule(job, "0 2 * * *", timezone="Etc/UTC", name="nightly")
        for disk, copies in zip(self.disks, (6, 3), strict=True):
            world.add_base_copies(disk, copies, usage=PAIR)
        self.world = world
        self.live = Live(world)
        self.live.collector.rates[self.sr["id"]] = PAIR / PAIR_TAKES.total_seconds()

    def looks(self, *minutes):
        """The findings about chains of each look, so many minutes after the evening."""
        with running(self.world) as url:
            xo = LiveXo(lambda: XoSettings(url=url), lambda: Token(TOKEN), clock=self.live.now)
            return [self.look(xo, EVENING + timedelta(minutes=at)) for at in minutes]

    def look(self, xo, at):
        self.live.advance(at)
        estate = asyncio.run(xo.estate())
        now = self.live.now()
        (planned,) = make_plan(estate, default_policy(), now=now, start=now, within=timedelta(hours=9)).runs
        return {code: [one for one in planned.verdict.findings if one.code == code] for code in CODES}


CODES = ("CHAIN_UNHEALTHY", "COALESCE_STUCK")


@pytest.fixture
def night():
    return Night()


def test_a_dead_collector_is_told_after_an_hour_and_not_before(night):
    found = night.looks(0, 30, 59, 61, 120)
    assert [bool(one["COALESCE_STUCK"]) for one in found] == [False, False, False, True, True]
    (told,) = found[-1]["COALESCE_STUCK"]
    assert "have waited for 2 h as guard saw it, and no coalesce was seen at work" in told.summary


def test_a_collector_at_work_is_not_stuck_and_its_end_is_told_before_it_comes(night, capsys):
    night.live.collector.kick(night.sr)
    minutes = range(0, 7 * 60, 30)
    found = night.looks(*minutes)
    assert not any(one["COALESCE_STUCK"] for one in found)
    predicted = {
        at: [one.clears.eta for one in look["CHAIN_UNHEALTHY"]] for at, look in zip(minutes, found, strict=True)
    }
    healthy = next(at for at, etas in predicted.items() if not etas)
    told = {at: max(etas) for at, etas in predicted.items() if etas and None not in etas}
    actual = EVENING + timedelta(minutes=healthy)
    with capsys.disabled():
        for at, eta in told.items():
            print(f"\ncoalesce: {at} min into it, told for {eta:%H:%M}, seen done at {actual:%H:%M}", end="")
    assert told
    assert all(eta >= actual - timedelta(minutes=30) for eta in told.values())  # it is seen at the look after it
    assert min(told.values()) - actual <= 3 * PAIR_TAKES


def test_a_switched_off_collector_is_certain_at_the_first_look(night):
    night.live.collector.switch_off(night.sr)
    (look,) = night.looks(0)
    (told,) = look["COALESCE_STUCK"]
    assert told.certainty == "certain"
    assert all(one.clears.by == "person" for one in look["CHAIN_UNHEALTHY"])
