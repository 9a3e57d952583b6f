"""What is planted in the demo's night for somebody to put right, and what becomes of it with and without him."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from guard.simulator.demo import DEMO_NOW, SLOW_SR, TOKEN, awaken, build
from guard.simulator.demo_remedies import SILENT, settle
from guard.simulator.faults import Faults
from guard.simulator.rpc import RpcApi
from guard.simulator.rpc_protocol import Session
from guard.simulator.vm_snapshots import is_unhealthy

DUE = datetime(2027, 3, 28, 0, 15, tzinfo=UTC)  # of legacy nightly
SHOWN = "no figures nightly", "lyon nightly"


class Evening:
    """The demo until half past two, without the schedule that kills XO then."""

    def __init__(self, *, helped: bool) -> None:
        self.live = awaken(build(lambda: DEMO_NOW))
        self.world = self.live.world
        settle(self.live)
        storm = next(one for one in self.world.schedules.values() if one["name"] == "storm")
        self.live.set_schedule({"id": storm["id"], "enabled": False})
        self.slow = next(one for one in self.world.objects["SR"].values() if one["name_label"] == SLOW_SR)
        self.well_at: datetime | None = None
        self.live.advance(DUE - timedelta(hours=4, minutes=40))
        if helped:
            self.help()
        vm = next(one for one in self.world.objects["VM"].values() if one["name_label"] == "legacy-1")
        while self.live.now() < DUE + timedelta(hours=1):
            self.live.advance(timedelta(minutes=1))
            if self.well_at is None and not is_unhealthy(self.world, vm):
                self.well_at = self.live.now()

    def help(self) -> None:
        """A scan four hours before, a reconnect 15 minutes before, half an hour of patience for what starts from now on."""
        rpc, session = RpcApi(self.world, Faults()), Session()
        rpc.call(session, "session.signIn", {"token": TOKEN})
        lyon = next(one for one in self.world.servers.values() if one["label"] == "lyon")
        self.live.config.http_inactivity = 1800.0
        rpc.call(session, "server.enable", {"id": lyon["id"]})
        self.live.advance(DUE - timedelta(hours=4))
        rpc.call(session, "sr.scan", {"id": self.slow["id"]})

    def status(self, name: str) -> str:
        schedule = next(one for one in self.world.schedules.values() if one["name"] == name)
        start = DEMO_NOW.timestamp() * 1000
        (log,) = [
            one for one in self.world.logs.values() if one["scheduleId"] == schedule["id"] and one["start"] >= start
        ]
        return str(log["status"])


@pytest.fixture(scope="module")
def alone() -> Evening:
    return Evening(helped=False)


@pytest.fixture(scope="module")
def helped() -> Evening:
    return Evening(helped=True)


def test_without_help_both_runs_fail_and_the_chain_is_never_well(alone: Evening) -> None:
    assert [alone.status(name) for name in SHOWN] == ["failure", "failure"]
    assert alone.well_at is None


def test_with_help_both_runs_succeed_and_the_chain_is_well_soon_after_its_run_is_due(helped: Evening) -> None:
    assert [helped.status(name) for name in SHOWN] == ["success", "success"]
    assert helped.well_at is not None
    assert timedelta(minutes=5) < helped.well_at - DUE < timedelta(minutes=15)


def test_the_silent_schedule_timed_out_twice_in_its_last_five_runs() -> None:
    world = build(lambda: DEMO_NOW)
    schedule = next(one for one in world.schedules.values() if one["name"] == SILENT)
    logs = [log for log in world.logs.values() if log["scheduleId"] == schedule["id"]]
    texts = [
        task.get("result", {}).get("message", "")
        for log in sorted(logs, key=lambda one: one["start"])[-5:]
        for task in log["tasks"]
    ]
    assert sum("Timeout Error" in text for text in texts) == 2
