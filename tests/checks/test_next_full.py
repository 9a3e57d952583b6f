"""Deltas whose base is gone (failure-modes.md 3.6, 8.3; VMR/IncrementalXapi.mjs:161-268)."""

from __future__ import annotations

import pytest
from guard.checks.next_full import CHECK
from guard.finding import Certainty, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    GIB,
    facts,
    found,
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
    }
    assert "1 VM of this delta job will be sent whole, about 3.0 GiB to each target" in finding.summary


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
