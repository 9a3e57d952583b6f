"""Vendor devices and licences (failure-modes.md 3.7; xapi_vm_clone.ml)."""

from __future__ import annotations

import pytest
from guard.checks.vendor_device import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level
from msgspec import UNSET
from tests.builders import facts, found, make_estate, make_host, make_job, make_view, make_vm, read

FREE = [make_host(license_params={"restrict_pci_device_for_auto_update": "true"})]
KEPT = {"exportRetention": 7, "copyRetention": 1}


def said(settings=None, hosts=FREE, vm=None, **job):
    jobs = [make_job(**({"settings": {"schedule": KEPT | (settings or {})}} | job))]
    vms = [make_vm(**({"hasVendorDevice": True} | (vm or {})))]
    return found(CHECK, make_view(make_estate(jobs=jobs, hosts=hosts, vms=vms)))


def test_a_backup_to_a_repository_does_not_fail_for_it():
    assert said() == []


@pytest.mark.parametrize(("remotes", "level"), [({"id": "repo"}, Level.WARN), (UNSET, Level.BLOCK)])
def test_a_replication_to_a_pool_that_restricts_it_fails_and_holds_where_nothing_else_is_left(remotes, level):
    (finding,) = said(srs={"id": "sr"}, remotes=remotes)
    assert (finding.code, finding.level, finding.certainty) == ("VENDOR_DEVICE_UNLICENSED", level, Certainty.CERTAIN)
    assert (finding.holds, finding.clears) == (("vm",), Clears(ClearedBy.PERSON))
    assert facts(finding) == {
        "has_vendor_device": read(True, "", "vms"),
        "restrict_pci_device_for_auto_update": read("true", "", "hosts"),
    }
    assert "its replication there fails" in finding.summary


def test_a_health_check_on_such_a_pool_fails_too_and_the_backup_is_there():
    (finding,) = said({"healthCheckSr": "sr"})
    assert finding.level is Level.WARN
    assert "its health check there fails" in finding.summary


@pytest.mark.parametrize(
    "case",
    [
        {"hosts": [make_host(license_params={"restrict_pci_device_for_auto_update": "false"})]},
        {"hosts": [make_host()]},
        {"hosts": [make_host(pool="other", license_params={"restrict_pci_device_for_auto_update": "true"})]},
        {"vm": {"hasVendorDevice": False}},
        {"srs": {"id": "gone"}},
        {"mode": "full"},
    ],
    ids=["allowed", "not told", "another pool", "no such device", "SR not shown", "a full job copies no VM this way"],
)
def test_what_does_not_come_together_does_no_harm(case):
    assert said(**({"srs": {"id": "sr"}} | case)) == []
