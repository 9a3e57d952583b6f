"""Health checks of VMs without guest tools (failure-modes.md 4.4; @xen-orchestra/backups _Abstract.mjs)."""

from __future__ import annotations

import pytest
from guard.checks.health_check import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import facts, found, make_estate, make_job, make_view, make_vm, read


def said(*vms, settings=None, vm_settings=None):
    vms = vms or (make_vm(pvDriversDetected=False),)
    of_schedule = {"exportRetention": 7, "healthCheckSr": "sr"} | (settings or {})
    job = make_job(
        vms={"id": {"__or": [one.id for one in vms]}}, settings={"schedule": of_schedule} | (vm_settings or {})
    )
    return found(CHECK, make_view(make_estate(vms=vms, jobs=[job])))


def test_a_vm_without_guest_tools_fails_its_health_check_and_its_backup_is_written_all_the_same():
    (finding,) = said()
    assert (finding.code, finding.level, finding.certainty) == ("HEALTH_CHECK_FAILED", Level.WARN, Certainty.LIKELY)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.JOB, "job", "job"), ("vm",))
    assert facts(finding) == {"vms_without_tools": read(1, "VMs", "vms")}
    assert finding.clears == Clears(ClearedBy.PERSON)


def test_all_such_vms_are_told_at_once():
    (finding,) = said(make_vm("a", pvDriversDetected=False), make_vm("b"), make_vm("c", pvDriversDetected=False))
    assert finding.holds == ("a", "c")


def test_without_a_health_check_nothing_is_waited_for():
    assert said(settings={"healthCheckSr": None}) == []


@pytest.mark.parametrize(
    "vm",
    [
        {"pvDriversDetected": True},
        {"pvDriversDetected": UNSET},
        {"pvDriversDetected": False, "power_state": "Halted"},
        {"pvDriversDetected": False, "tags": ["xo:no-health-check"]},
        {"pvDriversDetected": False, "tags": ["prod", "xo:no-health-check=slow"]},
    ],
)
def test_vms_with_tools_or_of_unknown_state_or_left_out_are_not_told(vm):
    assert said(make_vm(**vm)) == []


@pytest.mark.parametrize(("tags", "told"), [([], 0), (["dev"], 0), (["dev", "prod"], 1)])
def test_where_the_schedule_names_tags_only_vms_that_carry_one_are_tried(tags, told):
    vm = make_vm(pvDriversDetected=False, tags=tags)
    assert len(said(vm, settings={"healthCheckVmsWithTags": ["prod", "gold"]})) == told


def test_a_vm_may_have_tags_to_be_tried_by_of_its_own():
    assert said(vm_settings={"vm": {"healthCheckVmsWithTags": ["prod"]}}) == []
