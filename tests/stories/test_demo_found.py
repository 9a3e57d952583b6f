"""What the demo's night showed of the gate, each as the smallest world that shows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from guard.lifecycle.events import Decided, End
from guard.simulator.live import Live
from guard.simulator.world import GIB, VmOutcome, World
from tests.stories.acting import Enforcing, left_behind, starts_of

AFTER_THE_GAP = datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
DUE = datetime(2026, 11, 24, 2, tzinfo=UTC)


class Small:
    """Jobs of one VM each, with a week of past runs."""

    def __init__(self, now):
        self.now, self.world = now, World(lambda: now)
        self.pool = self.world.add_pool("paris")
        self.nas = self.world.add_repository("nas", size=1000 * GIB, available=900 * GIB)

    def nightly(self, name, cron, zone="UTC"):
        sr = self.world.add_sr(self.pool, f"{name} SR", "nfs", size=500 * GIB)
        vm = self.world.add_vm(self.pool, name)
        self.world.add_disk(vm, sr, 4 * GIB, usage=1 * GIB)
        job = self.world.add_job(name, vms=[vm], remotes=[self.nas])
        schedule = self.world.add_schedule(job, cron, timezone=zone, name=name)
        for day in range(1, 8):
            began = self.now - timedelta(days=day)
            self.world.add_run(schedule, began, began + timedelta(minutes=20), {vm["id"]: VmOutcome(sizes=GIB)})
        return sr, vm, schedule


# Both the storm's fallback and guard could act at the first minute after the gap, and guard judges what waits every ten
# minutes: so the fallback was nearly always first, and the story ended with "while guard was away", which was not so.
def test_the_honest_due_time_of_a_storm_is_started_by_guard_and_not_by_the_fallback(tmp_path):
    small = Small(datetime(2027, 3, 27, 23, 3, tzinfo=UTC))
    _, _, schedule = small.nightly("storm", "0,30 2 * * *", "Europe/Paris")
    live = Live(small.world)
    guarded = Enforcing(live, tmp_path / "ledger")
    guarded.run(AFTER_THE_GAP + timedelta(hours=1))
    assert [(one.at >= AFTER_THE_GAP, one.origin) for one in starts_of(live, schedule)] == [(True, "rpc")]
    assert guarded.run_of(schedule).ended.end is End.RAN
    assert left_behind(live) == []


# A run that shares its repository with another job has the finding RUN_OVERLAP of level ok. It is nothing to wait for: else
# XO is read whole for each run that waits whenever any run begins or ends.
def test_what_waits_for_its_chain_is_not_judged_anew_because_some_other_run_begins(tmp_path):
    small = Small(DUE - timedelta(hours=1))
    sr, vm, schedule = small.nightly("waits", "0 2 * * *")
    _, _, other = small.nightly("other", "10 2 * * *")
    live = Live(small.world)
    live.rates.jobs[other["jobId"]] = GIB / 300
    live.collector.switch_off(sr)
    live.world.add_base_copies(live.world.disks_of(vm)[0], 4)
    guarded = Enforcing(live, tmp_path / "ledger", more='recheck_every = "30 min"')
    guarded.run(DUE + timedelta(minutes=25))
    (events,) = [events for key, events in guarded.stories().items() if key.schedule == schedule["id"]]
    assert [event.at for event in events if isinstance(event, Decided)] == [DUE - timedelta(minutes=1)]
