"""VMs that migrate, are busy, paused or empty, and the job's own replicas (failure-modes.md 4.3; _AbstractXapi.mjs)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.vm_state import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level
from tests.builders import DUE, facts, found, make_estate, make_job, make_vbd, make_vdi, make_view, make_vm, read


def said(now=DUE, **vm):
    return found(CHECK, make_view(make_estate(vms=[make_vm(**vm)]), now=now))


def test_a_vm_at_rest_has_nothing_to_say():
    assert said() == []
    assert said(current_operations={"task": "snapshot"}) == []


@pytest.mark.parametrize("operation", ["migrate_send", "pool_migrate"])
def test_a_vm_that_migrates_waits_until_it_has_arrived(operation):
    (finding,) = said(current_operations={"task": operation})
    assert (finding.code, finding.level, finding.certainty) == ("VM_MIGRATING", Level.BLOCK, Certainty.CERTAIN)
    assert (finding.holds, finding.clears) == (("vm",), Clears(ClearedBy.TIME))
    assert facts(finding) == {"current_operation": read(operation, "", "vms")}


@pytest.mark.parametrize(("minutes", "told"), [(30, 1), (31, 0)])
def test_a_migration_now_says_nothing_of_a_run_that_is_due_much_later(minutes, told):
    assert len(said(DUE - timedelta(minutes=minutes), current_operations={"task": "pool_migrate"})) == told


def test_a_listed_replica_of_the_job_itself_is_never_backed_up():
    (finding,) = said(blockedOperations={"start": "a replica"}, other={"xo:backup:job": "job"})
    assert (finding.code, finding.level, finding.certainty) == ("OWN_REPLICA", Level.BLOCK, Certainty.CERTAIN)
    assert (finding.holds, finding.clears) == (("vm",), Clears(ClearedBy.PERSON))


@pytest.mark.parametrize(
    "vm",
    [
        {"blockedOperations": {"start": "a replica"}, "other": {"xo:backup:job": "another"}},
        {"other": {"xo:backup:job": "job"}},
        {"blockedOperations": {"start": "by hand"}},
    ],
)
def test_replicas_of_other_jobs_and_blocked_vms_are_taken(vm):
    assert said(**vm) == []


# --- busy


def codes(findings):
    return [(one.code, one.level, one.certainty) for one in findings]


@pytest.mark.parametrize("operation", ["clean_reboot", "export", "changing_memory_live"])
def test_another_operation_just_before_the_run_makes_its_snapshot_wait(operation):
    (finding,) = said(current_operations={"task": operation, "other": "snapshot"})
    assert codes([finding]) == [("VM_BUSY", Level.WARN, Certainty.LIKELY)]
    assert facts(finding) == {"current_operations": read(operation, "", "vms")}
    assert (finding.holds, finding.clears) == (("vm",), Clears(ClearedBy.TIME))


@pytest.mark.parametrize(
    ("operation", "minutes", "certainty"),
    [
        ("clean_reboot", 5, [Certainty.LIKELY]),
        ("clean_reboot", 6, []),
        ("export", 6, [Certainty.TREND]),
        ("export", 30, [Certainty.TREND]),
        ("export", 31, []),
        ("checkpoint", 0, []),
    ],
)
def test_only_what_moves_whole_disks_is_told_earlier(operation, minutes, certainty):
    findings = said(DUE - timedelta(minutes=minutes), current_operations={"task": operation})
    assert [one.certainty for one in findings] == certainty


# --- power states


def full(vm, **schedule):
    job = make_job(mode="full", settings={"schedule": {"exportRetention": 7} | schedule})
    return found(CHECK, make_view(make_estate(vms=[vm], jobs=[job]), now=DUE))


def test_a_paused_vm_is_not_exported_without_a_snapshot():
    (finding,) = full(make_vm(power_state="Paused"))
    assert codes([finding]) == [("VM_BAD_POWER_STATE", Level.BLOCK, Certainty.CERTAIN)]
    assert facts(finding) == {"power_state": read("Paused", "", "vms")}
    assert (finding.holds, finding.clears) == (("vm",), Clears(ClearedBy.PERSON))


def test_a_paused_vm_is_snapshotted_in_delta_mode_and_where_snapshots_are_kept():
    assert said(power_state="Paused") == []
    assert full(make_vm(power_state="Paused"), snapshotRetention=1) == []
    assert full(make_vm(power_state="Halted")) == []


def test_a_running_vm_without_guest_tools_may_not_shut_down_for_its_offline_backup():
    (finding,) = full(make_vm(pvDriversDetected=False), offlineBackup=True)
    assert codes([finding]) == [("VM_BAD_POWER_STATE", Level.WARN, Certainty.LIKELY)]
    assert facts(finding) == {"pv_drivers_detected": read(False, "", "vms")}


@pytest.mark.parametrize(
    ("vm", "schedule"),
    [
        ({"pvDriversDetected": False}, {}),
        ({"pvDriversDetected": True}, {"offlineBackup": True}),
        ({}, {"offlineBackup": True}),
        ({"pvDriversDetected": False, "power_state": "Halted"}, {"offlineBackup": True}),
    ],
)
def test_guest_tools_matter_only_for_a_running_vm_that_shall_shut_down(vm, schedule):
    assert full(make_vm(**vm), **schedule) == []


# --- disks


def disks(*names):
    vdis = [make_vdi(f"d{n}", name_label=name) for n, name in enumerate(names)]
    vbds = [make_vbd(vdi=vdi.id, id=f"vbd-{vdi.id}") for vdi in vdis]
    return found(CHECK, make_view(make_estate(vdis=vdis, vbds=vbds), now=DUE))


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ((), "it has no disk"),
        (("swap [NOBAK]",), "its only disk is marked [NOBAK]"),
        (("[NOBAK] a", "b[NOBAK]"), "all its 2 disks are marked [NOBAK]"),
    ],
)
def test_a_vm_of_which_nothing_is_copied_is_told(names, why):
    (finding,) = disks(*names)
    assert codes([finding]) == [("VM_HAS_NO_DISKS", Level.WARN, Certainty.CERTAIN)]
    assert facts(finding) == {"nobak_disks": read(len(names), "VDIs", "vdis")}
    assert why in finding.summary


def test_one_disk_to_copy_is_enough_and_one_that_xo_does_not_show_may_be_one():
    assert disks("system", "swap [NOBAK]") == []
    assert found(CHECK, make_view(make_estate(vdis=[]), now=DUE)) == []
