"""Room on the SR of the health checks (failure-modes.md 4.4)."""

from __future__ import annotations

import pytest
from guard.checks.health_check_space import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    GIB,
    facts,
    found,
    make_estate,
    make_job,
    make_sr,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    read,
)

FULL = 107_592_286_208  # the LVM volume of a disk of 100 GiB
HEADER = 217_088


def said(free, vms=("vm",), settings=None, sr=None, disk=None, tags=(), **job):
    size = 10_000 * GIB
    shown = {"SR_type": "lvm", "allocationStrategy": "thick", "size": size, "physical_usage": size - free} | (sr or {})
    estate = make_estate(
        srs=[make_sr(), make_sr("lab", **shown)],
        vms=[make_vm(vm, tags=list(tags)) for vm in vms],
        vbds=[make_vbd(vm, f"{vm}-disk") for vm in vms],
        vdis=[make_vdi(f"{vm}-disk", **{"size": 100 * GIB, "usage": 20 * GIB} | (disk or {})) for vm in vms],
        jobs=[
            make_job(
                **{"vms": {"id": {"__or": list(vms)}}}
                | {"settings": {"schedule": {"exportRetention": 7, "healthCheckSr": "lab"} | (settings or {})}}
                | job
            )
        ],
    )
    return found(CHECK, make_view(estate))


def test_a_healthy_estate_has_nothing_to_say():
    assert found(CHECK, make_view(make_estate())) == []


def test_a_thick_sr_needs_the_whole_disks_of_the_vm_it_restores():
    assert said(FULL) == []
    (finding,) = said(FULL - 1)
    assert (finding.code, finding.level, finding.certainty) == ("SR_NO_SPACE", Level.WARN, Certainty.CERTAIN)
    assert (finding.harm, finding.scope, finding.holds) == (Harm.NONE, Scope(ScopeKind.SR, "lab", "lab"), ("vm",))
    assert finding.summary == (
        "lab, where schedule schedule checks its backups: 100.2 GiB free, the restored disks of 1 VM (vm) need 100.2 GiB "
        "(the largest); XO would count the VM as failed although its backup is there."
    )
    assert facts(finding) == {
        "free": read(FULL - 1, "bytes", "srs"),
        "need_at_least": read(FULL, "bytes", "vdis"),
        "need_expected": read(FULL, "bytes", "vdis"),
    }
    assert finding.clears == Clears(ClearedBy.PERSON)


def test_a_thin_sr_needs_what_the_disks_hold():
    thin = {"SR_type": "nfs", "allocationStrategy": "thin"}
    enough = 20 * GIB + HEADER
    assert said(enough, sr=thin) == []
    (finding,) = said(enough - 1, sr=thin)
    assert (finding.certainty, finding.harm) == (Certainty.LIKELY, Harm.PRODUCTION)


@pytest.mark.parametrize(("concurrency", "told"), [(1, 0), (2, 1), (0, 1)])
def test_as_many_vms_are_restored_at_once_as_the_job_allows(concurrency, told):
    world = {"vms": ("a", "b", "c"), "settings": {"concurrency": concurrency}}
    findings = said(2 * FULL - 1, **world)
    assert len(findings) == told
    assert [one.certainty for one in findings] == [Certainty.TREND] * told
    if concurrency == 2:
        assert (findings[0].holds, "(2 at once)" in findings[0].summary) == (("a", "b"), True)
        assert said(2 * FULL, **world) == []


@pytest.mark.parametrize(
    "near_miss",
    [
        {"settings": {"healthCheckSr": None}},
        {"settings": {"healthCheckSr": "gone"}},
        {"sr": {"size": 0}},
        {"sr": {"SR_type": "gfs2"}},
        {"disk": {"size": UNSET}},
        {"tags": ["xo:no-health-check=too large"]},
        {"settings": {"healthCheckVmsWithTags": ["tried"]}},
        {"remotes": UNSET, "srs": {"id": "lab"}},
        {"remotes": UNSET},
    ],
)
def test_where_nothing_is_restored_or_nothing_can_be_told_nothing_is_said(near_miss):
    assert said(0, **near_miss) == []


def test_a_vm_with_one_of_the_tags_is_tried_and_so_is_a_replica_elsewhere():
    assert len(said(0, tags=["tried"], settings={"healthCheckVmsWithTags": ["tried"]})) == 1
    assert len(said(0, remotes=UNSET, srs={"id": "sr"})) == 1


def test_an_sr_of_unknown_provisioning_says_nothing():
    assert said(0, sr={"SR_type": "linstor", "allocationStrategy": "unknown", "sm_config": {}}) == []
