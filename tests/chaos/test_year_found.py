"""What simulated years found of the acting gate: the smallest world that shows each.

What is not mended yet is marked, and says so when it is (strict): then its mark goes, and its entry in year.py's KNOWN.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.simulator.live import Live
from guard.simulator.world import GIB, World
from tests.stories.acting import Enforcing, starts_of
from tests.stories.small_world import EVENING, happens
from tests.stories.test_acting import DUE, FORENOON, one_job


def two_vms_in_a_long_run():
    """A job of two VMs due at 2 and at 3. The first VM's chain has to coalesce until 3:10, the second takes 90 minutes."""
    world = World(lambda: EVENING)
    pool = world.add_pool("paris")
    nas = world.add_repository("nas", size=1000 * GIB, available=900 * GIB)
    vms = [world.add_vm(pool, name) for name in ("waits", "long")]
    srs = [world.add_sr(pool, f"{vm['name_label']} SR", "nfs", size=500 * GIB) for vm in vms]
    disks = [world.add_disk(vm, sr, 4 * GIB, usage=GIB) for vm, sr in zip(vms, srs, strict=True)]
    job = world.add_job("nightly", vms=vms, remotes=[nas])
    schedule = world.add_schedule(job, "0 2,3 * * *", name="nightly")
    live = Live(world)
    live.rates.jobs[job["id"]] = GIB / (90 * 60)
    live.collector.switch_off(srs[0])
    world.add_base_copies(disks[0], 4)
    happens(live, DUE + timedelta(minutes=70), lambda: live.collector.switch_on(srs[0]))
    return live, schedule, vms


def test_a_vm_that_waits_is_not_lost_between_two_due_times_of_which_each_covers_the_other(tmp_path):
    """3:00 is covered by the run of 2:00 that goes on, so it cannot cover what of 2:00 waits for that run's end."""
    live, schedule, vms = two_vms_in_a_long_run()
    guarded = Enforcing(live, tmp_path / "ledger")
    guarded.run(FORENOON)
    started = {vm for one in starts_of(live, schedule) for vm in one.vms or [each["id"] for each in vms]}
    told = {code for _, code in guarded.ear.alarms}
    assert vms[0]["id"] in started or told


def test_a_run_is_not_covered_by_another_schedule_that_was_switched_off_after_the_decision(tmp_path):
    """Decided a minute ahead: the other one starts this job at the same minute. Then there must be such a run."""
    live, schedule = one_job()
    job = live.world.jobs[schedule["jobId"]]
    again = live.world.add_schedule(job, "0 2 * * *", name="again")
    guarded = Enforcing(live, tmp_path / "ledger")
    happens(live, DUE - timedelta(seconds=30), lambda: live.set_schedule({"id": again["id"], "enabled": False}))
    guarded.must_look.append(DUE - timedelta(seconds=29))
    guarded.run(FORENOON)
    assert len(live.world.starts) == 1


def test_a_schedule_that_guard_holds_stays_off_until_a_rolling_update_is_over(tmp_path):
    """Neither guard nor its own fallback, which guard moves on while it lives, enables it before."""
    live, schedule = one_job()
    (pool,) = live.world.objects["pool"].values()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    happens(live, DUE - timedelta(seconds=30), lambda: live.start_rpu(pool, timedelta(hours=1)))
    guarded.run(DUE + timedelta(minutes=30))
    assert not schedule["enabled"]


@pytest.mark.parametrize(("call", "who"), [("estate", "person"), ("put_fallback", "rolling update")])
def test_a_schedule_that_others_switch_off_while_guard_claims_it_is_left_to_them(tmp_path, call, who):
    live, schedule = one_job()
    (pool,) = live.world.objects["pool"].values()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    ask = getattr(guarded.xo, call)

    async def switched_off_meanwhile(*given):
        answer = await ask(*given)
        if live.now() >= DUE - timedelta(minutes=2) and schedule["enabled"]:
            if who == "person":
                live.set_schedule({"id": schedule["id"], "enabled": False})
            else:
                live.start_rpu(pool, timedelta(days=1))
        return answer

    setattr(guarded.xo, call, switched_off_meanwhile)
    guarded.run(FORENOON)
    assert (starts_of(live, schedule), schedule["enabled"]) == ([], False)


def test_two_due_times_of_one_schedule_that_are_judged_late_do_not_cover_each_other(tmp_path):
    """XO was away at 2:00 and at 3:00: the later one stands for both."""
    live, schedule = one_job(cron="0 2,3 * * *")
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    happens(live, DUE - timedelta(minutes=10), live.stop_xo)
    happens(live, DUE + timedelta(minutes=65), live.start_xo)
    guarded.must_look.append(DUE + timedelta(minutes=65, seconds=20))
    guarded.run(FORENOON)
    assert len(starts_of(live, schedule)) == 1


def test_a_claimed_run_is_not_expired_by_a_clock_that_is_ahead(tmp_path):
    """What has just come due by XO's clock is not given up because guard's is hours ahead."""
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.run(DUE - timedelta(seconds=20))
    guarded.shift = timedelta(hours=2)
    guarded.run(DUE + timedelta(seconds=20))
    guarded.shift = timedelta()
    guarded.run(FORENOON)
    assert len(starts_of(live, schedule)) == 1
