"""Runs and their logs."""

from __future__ import annotations

from guard.simulator.world import VmOutcome
from tests.simulator.worlds import NOW, minutes, small_world


def test_a_run_with_a_skipped_vm_is_skipped_and_with_a_failed_one_failed() -> None:
    small = small_world()
    skipped, failed, good = VmOutcome(error="unhealthy VDI chain"), VmOutcome(error="boom"), VmOutcome(sizes=5)
    thick, thin = small.thick["id"], small.thin["id"]
    assert small.world.add_run(small.schedule, NOW, NOW + minutes(1), {thick: good, thin: good})["status"] == "success"
    assert (
        small.world.add_run(small.schedule, NOW, NOW + minutes(1), {thick: good, thin: skipped})["status"] == "skipped"
    )
    assert (
        small.world.add_run(small.schedule, NOW, NOW + minutes(1), {thick: failed, thin: skipped})["status"]
        == "failure"
    )


def test_runs_that_start_in_the_same_millisecond_have_ids_of_their_own() -> None:
    small = small_world()
    ids = [small.world.add_run(small.schedule, NOW, NOW, {})["id"] for _ in range(3)]
    assert ids == [ids[0], f"{ids[0]}:1", f"{ids[0]}:2"]


def test_a_transfer_says_what_went_to_which_target() -> None:
    small = small_world()
    (target,) = small.world.repositories
    log = small.world.add_run(small.schedule, NOW, NOW + minutes(9), {small.thin["id"]: VmOutcome(sizes={target: 7})})
    export = log["tasks"][0]["tasks"][-1]
    assert export["data"] == {"id": target, "isFull": False, "type": "remote"}
    assert export["tasks"][0]["result"] == {"size": 7}
    assert export["end"] - log["start"] == 540_000


def test_a_job_has_a_run_id_while_it_runs() -> None:
    small = small_world()
    log = small.world.start_run(small.schedule, [small.thin])
    assert small.job["runId"] == log["id"]
    assert (log["status"], "end" in log) == ("pending", False)
    small.world.finish_run(log)
    assert "runId" not in small.job
    assert (log["status"], "end" in log) == ("success", True)


def test_a_job_level_error_leaves_no_tasks() -> None:
    small = small_world()
    log = small.world.add_run(small.schedule, NOW, NOW, error="no VMs match this pattern")
    assert (log["status"], "tasks" in log, log["result"]["message"]) == ("skipped", False, "no VMs match this pattern")
