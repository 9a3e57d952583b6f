"""Runs that are started with other settings than their job has, in front of storage that fills up and empties by itself."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from guard.daemon.by_hand import look, start
from guard.lifecycle.by_hand import Wish
from guard.lifecycle.events import End, Starter
from guard.mechanics.fewer_at_once import Pace, owning_at_once
from guard.simulator.live import Live
from guard.simulator.world import GIB, VmOutcome, World
from guard.units import MIB
from tests.stories.acting import Enforcing, left_behind, starts_of
from tests.virtual_time import run as finished

EVENING = datetime(2026, 11, 23, 20, 0, 20, tzinfo=UTC)
DUE = datetime(2026, 11, 24, 2, tzinfo=UTC)
AFTERNOON = datetime(2026, 11, 24, 14, tzinfo=UTC)
NO_ROOM = "SR_BACKEND_FAILURE_44"
DATA = 40 * GIB
VMS = 8
TOGETHER = 6554  # seconds for the data of one VM while four of them share a host that gives 25 MiB/s
LOWER = "[remedies]\nlower_concurrency = true\n"


def crowded(free, mode="full"):
    """Eight VMs of 40 GiB each on a thick SR with so little free, backed up four at a time, three nights in the logs."""
    world = World(lambda: EVENING)
    pool = world.add_pool("paris")
    host = world.add_host(pool, "xcp-1")
    sr = world.add_sr(pool, "SAN", "lvmoiscsi", size=2000 * GIB)
    vms = [world.add_vm(pool, f"vm{number}", host=host) for number in range(VMS)]
    for vm in vms:
        world.add_disk(vm, sr, 100 * GIB, data=DATA)
    sr["size"] = sr["physical_usage"] + free
    nas = world.add_repository("nas", size=10_000 * GIB, available=9000 * GIB)
    job = world.add_job("full", vms=vms, remotes=[nas], mode=mode, settings={"": {"concurrency": 4}})
    schedule = world.add_schedule(job, "0 2 * * *", name="nightly")
    past = VmOutcome(sizes=DATA, duration_ms=1000 * TOGETHER, is_full=True)
    for night in (1, 2, 3):
        begin = DUE - timedelta(days=night)
        log = world.add_run(schedule, begin, begin + timedelta(seconds=2 * TOGETHER), {vm["id"]: past for vm in vms})
        later(log["tasks"][4:], 1000 * TOGETHER)
    live = Live(world)
    live.rates.hosts[host["id"]] = 25 * MIB
    return live, schedule


def later(tasks, milliseconds):
    """The second four begin when the first have ended."""
    for task in tasks:
        task["start"] += milliseconds
        task["end"] += milliseconds
        later(task.get("tasks", []), milliseconds)


def came_of_it(live):
    """What became of the VMs of the runs since the evening: how many of each kind."""
    since = EVENING.timestamp() * 1000
    tasks = [task for log in live.world.logs.values() if log["start"] >= since for task in log.get("tasks", [])]
    return Counter(task.get("result", {}).get("code", task["status"]) for task in tasks)


def asked(live):
    """The settings that XO was given with each start."""
    return [one.params.get("settings") for one in live.world.writes if one.method == "backupNg.runJob"]


@pytest.mark.parametrize(("free", "slots"), [(150 * GIB, 1), (215 * GIB, 2)])
def test_snapshots_for_which_there_is_no_room_four_at_a_time_fit_with_fewer(tmp_path, free, slots, capsys):
    left_alone, _ = crowded(free)
    left_alone.advance(AFTERNOON)
    failed = came_of_it(left_alone)[NO_ROOM]
    assert failed > 0

    live, schedule = crowded(free)
    (sr,) = live.world.objects["SR"].values()
    before, most = sr["physical_usage"], []
    guarded = Enforcing(live, tmp_path / "ledger", more=LOWER)
    guarded.run(AFTERNOON + timedelta(hours=4), each=lambda: most.append(sr["physical_usage"] - before))
    assert came_of_it(live) == {"success": VMS}
    (begun,) = starts_of(live, schedule)
    assert (begun.origin, begun.vms) == ("rpc", None)
    assert asked(live) == [{"": {"concurrency": slots}}]
    assert live.world.jobs[schedule["jobId"]]["settings"][""] == {"concurrency": 4}
    assert left_behind(live) == []
    run = guarded.run_of(schedule)
    assert run.ended.end is End.RAN
    assert run.decided.verdict.sentence.startswith(f"8 VMs start with concurrency {slots} instead of 4 for this run;")
    assert run.intents[0].starting.settings == {"": {"concurrency": slots}}
    # what guard foretold is never less than what the SR had to hold
    foretold = owning_at_once(slots, Pace(shortest={4: TOGETHER}, usual=4, merge_s=600, queue=0, disks=1))
    assert 0 < max(most) <= foretold * (DATA + 16 * MIB) + 8 * MIB
    with capsys.disabled():
        told = f"{max(most) / GIB:.0f} GiB at once of {free / GIB:.0f} free, {foretold} snapshots foretold"
        print(f"\nconcurrency {slots}: {told}; left alone {failed} of {VMS} VMs failed", end="")


def test_by_default_guard_changes_no_setting(tmp_path):
    live, schedule = crowded(150 * GIB)
    guarded = Enforcing(live, tmp_path / "ledger")
    guarded.run(AFTERNOON)
    assert set(map(str, asked(live))) == {"None"}
    assert guarded.run_of(schedule).intents[0].starting.settings == {}


def test_a_delta_job_is_not_helped_by_it_and_guard_does_not_pretend(tmp_path):
    forced, schedule = crowded(150 * GIB, "delta")
    forced.jobs.run_schedule(schedule, "rpc", settings={"": {"concurrency": 1}})
    forced.advance(DUE)
    assert came_of_it(forced)[NO_ROOM] > 0

    live, schedule = crowded(150 * GIB, "delta")
    guarded = Enforcing(live, tmp_path / "ledger", more=LOWER)
    guarded.run(AFTERNOON)
    assert set(map(str, asked(live))) == {"None"}
    assert "concurrency" not in guarded.run_of(schedule).decided.verdict.sentence


def test_a_guard_that_dies_leaves_the_run_to_xo_as_the_job_is(tmp_path):
    live, schedule = crowded(150 * GIB)
    guarded = Enforcing(live, tmp_path / "ledger", more=LOWER)
    guarded.run(DUE - timedelta(seconds=20))
    assert guarded.tale(schedule)[-1] == "Claimed"
    live.advance(AFTERNOON + timedelta(hours=4))
    guarded.start()
    guarded.run(AFTERNOON + timedelta(hours=5))
    run = guarded.run_of(schedule)
    assert (run.ended.end, run.attempts[0].started.by) == (End.LEFT_TO_XO, Starter.FALLBACK)
    assert came_of_it(live)[NO_ROOM] > 0
    assert left_behind(live) == []


@pytest.mark.parametrize("fate", ["lost", "hang"])
def test_an_answer_that_is_lost_is_settled_to_one_run_with_the_setting(tmp_path, fate):
    live, schedule = crowded(150 * GIB)
    guarded = Enforcing(live, tmp_path / "ledger", more=LOWER)
    lost = []

    def lose(name):
        if name != "start" or lost:
            return ""
        lost.append(name)
        return fate

    guarded.xo.lose = lose
    guarded.run(AFTERNOON + timedelta(hours=4))
    assert asked(live) == [{"": {"concurrency": 1}}]
    assert guarded.run_of(schedule).ended.end is End.RAN
    assert came_of_it(live) == {"success": VMS}


# --- by hand


def two_with_a_long_chain():
    """Two VMs of one job whose chains are beyond what XO tolerates, and nothing merges them."""
    world = World(lambda: EVENING)
    pool = world.add_pool("paris")
    sr = world.add_sr(pool, "NFS", "nfs", size=500 * GIB)
    vms = [world.add_vm(pool, name) for name in ("a", "b")]
    nas = world.add_repository("nas", size=1000 * GIB, available=900 * GIB)
    job = world.add_job("nightly", vms=vms, remotes=[nas])
    schedule = world.add_schedule(job, "0 2 * * *", name="nightly")
    live = Live(world)
    live.collector.switch_off(sr)
    for vm in vms:
        world.add_base_copies(world.add_disk(vm, sr, 4 * GIB, usage=1 * GIB), 4)
    return live, schedule


def by_hand(guarded, **wish):
    async def both():
        wanted = Wish(schedule="nightly", **wish)
        judged = await look(guarded.ledger, guarded.xo, guarded.policy, wanted, guarded.clock)
        return await start(guarded.ledger, guarded.xo, judged, guarded.clock)

    return finished(both())


def per_vm(live):
    """(VM, status or message) of each run since the evening."""
    return [
        [(task["data"]["name_label"], task.get("result", {}).get("message", task["status"])) for task in log["tasks"]]
        for log in live.world.logs.values()
    ]


def test_a_person_who_overrides_the_chain_has_xo_pass_over_it_once(tmp_path):
    live, schedule = two_with_a_long_chain()
    guarded = Enforcing(live, tmp_path / "ledger")
    guarded.run(EVENING + timedelta(minutes=10))
    done = by_hand(guarded, vms=("a",), overridden=("CHAIN_UNHEALTHY",), reason="before the upgrade")
    (vm,) = [one["id"] for one in live.world.objects["VM"].values() if one["name_label"] == "a"]
    assert asked(live) == [{vm: {"bypassVdiChainsCheck": True}}]
    assert done.run.intents[0].starting.settings == {vm: {"bypassVdiChainsCheck": True}}
    live.advance(EVENING + timedelta(hours=1))
    assert per_vm(live) == [[("a", "success")]]
    assert all("bypassVdiChainsCheck" not in one for one in live.world.jobs[schedule["jobId"]]["settings"].values())
    guarded.run(AFTERNOON)
    # what guard's daemon starts afterwards XO protects as ever, also at the deadline
    assert [one for one in asked(live)[1:] if one] == []
    assert sorted(per_vm(live)[1]) == [("a", "unhealthy VDI chain"), ("b", "unhealthy VDI chain")]
