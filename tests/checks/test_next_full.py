"""Deltas whose base is gone (failure-modes.md 3.6, 8.3; VMR/IncrementalXapi.mjs:161-268)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.next_full import CHECK
from guard.finding import Certainty, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    DUE,
    GIB,
    facts,
    found,
    make_archive,
    make_due,
    make_estate,
    make_job,
    make_log,
    make_snapshot,
    make_transfer,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    make_vm_task,
    read,
)

SENT = [make_log(make_vm_task("vm", make_transfer(3 * GIB, full=True)))]


def said(settings=None, mode="delta", **world):
    jobs = [make_job(mode=mode, settings={"schedule": {"exportRetention": 7} | (settings or {})})]
    return found(CHECK, make_view(make_estate(**({"jobs": jobs, "logs": SENT} | world))))


def test_a_vm_that_was_sent_and_has_lost_its_base_is_sent_whole_again():
    (finding,) = said()
    assert (finding.code, finding.level, finding.certainty) == ("NEXT_RUN_FULL", Level.WARN, Certainty.CERTAIN)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.JOB, "job", "job"), ("vm",))
    assert facts(finding) == {
        "vms": read(1, "VMs", "vdi_snapshots"),
        "disks_without_base": read(1, "VDIs", "vdi_snapshots"),
        "expected": read(3 * GIB, "bytes", "logs"),
        "takes": read(60.0, "s", "logs"),
    }
    assert (
        "1 VM of this delta job will be sent whole, about 3.0 GiB to each target, which takes about" in finding.summary
    )
    assert "next run is due" not in finding.summary


@pytest.mark.parametrize(("concurrency", "hours"), [(1, 6), (2, 4), (0, 4)])
def test_fulls_take_as_long_as_the_past_tells_and_as_many_at_once_as_the_job_does(concurrency, hours):
    sent = [
        make_transfer(GIB, full=True, seconds=3600 * 2),
        make_transfer(GIB, full=True, seconds=3600 * 4),
    ]
    tasks = [make_vm_task(vm, one) for vm, one in zip(("vm", "second"), sent, strict=True)]
    job = make_job(
        vms={"id": {"__or": ["vm", "second"]}},
        settings={"": {"concurrency": concurrency}, "schedule": {"exportRetention": 7}},
    )
    estate = make_estate(
        jobs=[job],
        logs=[make_log(*tasks)],
        vms=[make_vm(), make_vm("second")],
        vbds=[make_vbd(), make_vbd("second", "disk-2", id="vbd-2")],
        vdis=[make_vdi(), make_vdi("disk-2")],
    )
    (finding,) = found(CHECK, make_view(estate))
    assert facts(finding)["takes"] == read(3600.0 * hours, "s", "logs")


@pytest.mark.parametrize(("hours", "told"), [(1, True), (2, False)])
def test_a_full_that_still_goes_on_when_the_job_is_next_due_is_told(hours, told):
    slow = [make_log(make_vm_task("vm", make_transfer(GIB, full=True, seconds=5400)), seconds=6000)]
    later = make_due(at=DUE + timedelta(hours=hours))
    (finding,) = found(CHECK, make_view(make_estate(logs=slow), runs=[later]))
    assert ("The job's next run is due before that ends, at" in finding.summary) is told


def test_the_speed_of_deltas_tells_nothing_of_a_full():
    (finding,) = said(logs=[make_log(make_vm_task("vm", make_transfer(GIB)))])
    assert facts(finding)["takes"] == read(None, "s", "logs")
    assert "takes about" not in finding.summary


def test_with_its_base_the_next_run_is_a_delta():
    assert said(vdi_snapshots=[make_snapshot("base")]) == []


@pytest.mark.parametrize(
    "world",
    [
        {"logs": []},
        {"mode": "full"},
        {"settings": {"fullInterval": 1}},
    ],
    ids=["never sent", "a full job", "every run is a full by its settings"],
)
def test_a_full_that_anybody_expects_is_no_finding(world):
    assert said(**world) == []


@pytest.mark.parametrize(
    "snapshot",
    [{"job": "another"}, {"job": None}, {"vm": "another"}, {"marks": {"xo:copy_of": "x"}}],
    ids=["of another job", "a person's", "of another VM", "a copy"],
)
def test_only_the_jobs_own_exported_snapshot_is_a_base(snapshot):
    assert len(said(vdi_snapshots=[make_snapshot("base", **snapshot)])) == 1


def test_a_disk_that_was_added_since_is_sent_whole_and_the_sum_is_told_where_it_is_known():
    disks = {"vdis": [make_vdi(), make_vdi("added")], "vbds": [make_vbd(), make_vbd(vdi="added")]}
    (finding,) = said(vdi_snapshots=[make_snapshot("base")], **disks)
    assert facts(finding)["disks_without_base"] == read(1, "VDIs", "vdi_snapshots")


def test_a_sum_that_is_not_known_is_not_told_and_many_vms_are_counted():
    ids = ["a", "b", "c", "d"]
    world = {
        "jobs": [make_job(vms={"id": {"__or": ids}})],
        "vms": [make_vm(one) for one in ids],
        "vdis": [make_vdi(f"{one}-disk", size=UNSET) for one in ids],
        "vbds": [make_vbd(one, f"{one}-disk") for one in ids],
        "logs": [make_log(*(make_vm_task(one, make_transfer(GIB)) for one in ids))],
    }
    (finding,) = said(**world)
    assert "4 VMs of this delta job will be sent whole: the host has no exported snapshot" in finding.summary
    assert "a disk of a, b, c and 1 more." in finding.summary
    assert facts(finding)["expected"] == read(None, "bytes", "logs")
    assert finding.holds == tuple(ids)


# --- by the list of backups, where guard may read it

BASE = [make_snapshot("base")]


def test_a_base_whose_backup_is_gone_from_the_repository_makes_a_full_too():
    (finding,) = said(vdi_snapshots=BASE, archives=[make_archive(disks=[{"uuid": "older"}])])
    assert finding.holds == ("vm",)
    assert facts(finding)["disks_without_archive"] == read(1, "VDIs", "archives")
    assert facts(finding)["disks_without_base"] == read(0, "VDIs", "vdi_snapshots")
    assert "a backup repository has not the backup any more on which the delta of vm builds" in finding.summary


@pytest.mark.parametrize(
    "archives",
    [[make_archive(disks=[{"uuid": "base"}])], []],
    ids=["its backup is there", "XO listed nothing there, which may be its own trouble"],
)
def test_a_base_with_its_backup_says_nothing(archives):
    assert said(vdi_snapshots=BASE, archives=archives) == []


def two(*archives, **settings):
    jobs = [
        make_job(remotes={"id": {"__or": ["repo", "cloud"]}}, settings={"schedule": {"exportRetention": 7} | settings})
    ]
    return found(CHECK, make_view(make_estate(jobs=jobs, logs=SENT, vdi_snapshots=BASE, archives=archives)))


def test_one_of_two_targets_that_lacks_it_is_enough_unless_they_share_the_vms():
    there, gone = make_archive(disks=[{"uuid": "base"}]), make_archive(repository="cloud", disks=[{"uuid": "x"}])
    assert len(two(there, gone)) == 1
    assert two(there, gone, distributeBackups=True) == []


def test_both_ways_to_lose_a_base_are_told_apart():
    world = {
        "vms": [make_vm(), make_vm("other")],
        "vbds": [make_vbd(), make_vbd("other", "second")],
        "vdis": [make_vdi(), make_vdi("second")],
        "vdi_snapshots": BASE,
        "archives": [make_archive(disks=[{"uuid": "x"}])],
        "logs": [make_log(*(make_vm_task(vm, make_transfer(GIB, full=True)) for vm in ("vm", "other")))],
        "jobs": [make_job(vms={"id": {"__or": ["vm", "other"]}})],
    }
    (finding,) = found(CHECK, make_view(make_estate(**world)))
    assert "snapshot of the job left for a disk of other, and a backup repository has not" in finding.summary
