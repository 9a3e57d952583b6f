"""The world of guard demo --serve: its troubles are acted out by themselves, in driven time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from guard.simulator import playground

EVENING = datetime(2026, 11, 26, 20, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def logs():
    """Of one night: job name -> its logs."""
    live = playground.build(lambda: EVENING)
    live.advance(timedelta(hours=6))
    names = {job["id"]: job["name"] for job in live.world.jobs.values()}
    found = {name: [] for name in names.values()}
    for log in live.world.logs.values():
        found[names[log["jobId"]]].append(log)
    return found


def test_a_run_of_the_healthy_job_ends_well_every_three_minutes_within_half_of_one(logs):
    web = logs["web"]
    assert [log["status"] for log in web] == ["success"] * 120
    assert all(0 < log["end"] - log["start"] < 30_000 for log in web)
    starts = [log["start"] for log in web]
    assert {late - early for early, late in pairwise(starts)} == {180_000}


def test_the_chain_that_nobody_merges_keeps_one_vm_from_being_saved_and_the_other_is(logs):
    last = logs["databases"][-1]
    status = {task["data"]["name_label"]: task["status"] for task in last["tasks"] if task["data"]["type"] == "VM"}
    assert status == {"db-01": "skipped", "db-02": "success"}


def test_the_thick_sr_has_no_room_for_the_snapshot_of_its_large_disk(logs):
    [files] = logs["files"]
    assert files["status"] == "failure"
    assert "SR_BACKEND_FAILURE_44" in str(files)


def test_the_job_that_guard_can_act_on_has_one_vm_that_waits_and_one_that_does_not(logs):
    assert len(logs["shop"]) == 12
    last = logs["shop"][-1]
    status = {task["data"]["name_label"]: task["status"] for task in last["tasks"] if task["data"]["type"] == "VM"}
    assert status == {"mail-01": "skipped", "shop-01": "success"}
