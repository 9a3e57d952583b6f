"""Old snapshots of a job that a control domain still holds (failure-modes.md 4.3)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.snapshot_stuck import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    LAST_NIGHT,
    facts,
    found,
    make_estate,
    make_job,
    make_log,
    make_snapshot,
    make_vbd,
    make_view,
    make_xapi_task,
    read,
)

OLD, NEW = make_snapshot("old", taken=LAST_NIGHT - timedelta(days=1)), make_snapshot("new")


def said(vdi="old", vm="dom0", attached=True, snapshots=(OLD, NEW), vbds=None, **world):
    held = make_vbd(vm, vdi, attached=attached)
    world = {"vdi_snapshots": snapshots, "vbds": [make_vbd(), held] if vbds is None else vbds} | world
    return found(CHECK, make_view(make_estate(**world)))


def test_a_healthy_estate_has_nothing_to_say():
    assert found(CHECK, make_view(make_estate())) == []


def test_a_snapshot_that_must_go_and_is_plugged_in_a_control_domain_holds_its_vm():
    (finding,) = said()
    assert (finding.code, finding.level, finding.certainty) == ("SNAPSHOT_STUCK", Level.BLOCK, Certainty.LIKELY)
    assert (finding.harm, finding.scope, finding.holds) == (Harm.NONE, Scope(ScopeKind.VM, "vm", "vm"), ("vm",))
    assert finding.summary == (
        "vm: the old snapshot of disk old is still plugged in a control domain, and no export goes on; XO must delete it "
        "before the new snapshot, and that fails."
    )
    assert facts(finding) == {
        "plugged": read(1, "VDIs", "vbds"),
        "vdi": read("old", "", "vdi_snapshots"),
    }
    assert finding.remedy == "In XO, Dashboard > Health, disconnect the snapshot of old from the control domain."
    assert finding.clears == Clears(ClearedBy.PERSON)


@pytest.mark.parametrize(
    "near_miss",
    [
        {"vdi": "new"},
        {"attached": False},
        {"attached": UNSET},
        {"vm": "vm"},
        {"vbds": []},
        {"vdi": "disk"},
        {"snapshots": [OLD]},
        {"snapshots": [make_snapshot("old", job="another")]},
        {"snapshots": [make_snapshot("old", of="elsewhere")]},
        {"jobs": [make_job(settings={"schedule": {"snapshotRetention": 2}})]},
    ],
    ids=[
        "stays",
        "not plugged",
        "not told",
        "its own VM",
        "no drives",
        "no snapshot",
        "the base",
        "another job's",
        "another disk's",
        "kept",
    ],
)
def test_what_this_run_does_not_delete_or_nobody_holds_is_no_trouble(near_miss):
    assert said(**near_miss) == []


def test_while_an_export_may_be_at_work_nothing_is_said():
    assert said(xapi_tasks=[make_xapi_task(name_label="[XO] Exporting content of VDI old")]) == []
    assert len(said(xapi_tasks=[make_xapi_task(name_label="[XO] Exporting content", status="success")])) == 1
    assert len(said(xapi_tasks=[make_xapi_task()])) == 1
    running = make_log(status="pending")
    assert said(jobs=[make_job(runId=running.id)], logs=[running]) == []
    elsewhere = make_job("other", vms={"id": "another"}, runId=running.id)
    assert len(said(jobs=[make_job(), elsewhere], logs=[running])) == 1
