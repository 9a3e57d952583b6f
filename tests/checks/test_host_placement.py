"""A live host that sees every SR of a VM, CDs included (xapi-storage.md 5.2)."""

from __future__ import annotations

import pytest
from guard.checks.host_placement import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    facts,
    found,
    make_estate,
    make_host,
    make_job,
    make_pbd,
    make_sr,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    read,
)

CD = {"is_cd_drive": True, "attached": False}


def said(vm=None, iso_pbds=(), hosts=None, pbds=None, vbds=None, job=None, **world):
    """A running VM with a disk on "sr" and a CD on "isos"; ``iso_pbds``: where that is plugged."""
    estate = make_estate(
        hosts=[make_host(), make_host("host2")] if hosts is None else hosts,
        srs=[make_sr(), make_sr("isos", SR_type="iso", content_type="iso")],
        pbds=[make_pbd(), make_pbd(host="host2"), *iso_pbds] if pbds is None else pbds,
        vms=[make_vm(**(vm or {}))],
        vbds=[make_vbd(), make_vbd("vm", "cd", **CD)] if vbds is None else vbds,
        vdis=[make_vdi(), make_vdi("cd", sr="isos")],
        jobs=[make_job(**(job or {}))],
        **world,
    )
    return found(CHECK, make_view(estate))


def test_the_healthy_world_has_a_host_for_each_snapshot():
    assert found(CHECK, make_view(make_estate())) == []
    assert said(iso_pbds=[make_pbd("isos", "host2")]) == []


def test_an_iso_from_an_sr_that_is_gone_leaves_no_host():
    (finding,) = said()
    assert (finding.code, finding.level, finding.certainty) == ("NO_HOST_SEES_DISKS", Level.BLOCK, Certainty.CERTAIN)
    assert (finding.harm, finding.scope, finding.holds) == (Harm.NONE, Scope(ScopeKind.SR, "isos", "isos"), ("vm",))
    assert finding.summary == (
        "No live host is connected to isos, where 1 VM (vm) has a disk or a CD; the pool finds no host for the snapshot."
    )
    assert finding.remedy == "Eject a CD that lies on isos, or connect the SR (SR > Hosts in XO)."
    assert facts(finding) == {"srs": read(2, "SRs", "vbds"), "srs_without_live_host": read(1, "SRs", "pbds")}
    assert finding.clears == Clears(ClearedBy.PERSON)


def test_an_sr_that_is_known_but_not_plugged_counts_as_gone():
    assert len(said(iso_pbds=[make_pbd("isos", attached=False), make_pbd("isos", UNSET)])) == 1


def test_two_srs_that_no_host_has_together_leave_no_host():
    halted = {"power_state": "Halted", "container": "pool"}
    (finding,) = said(halted, pbds=[make_pbd(), make_pbd("isos", "host2")])
    assert finding.summary.startswith("No live host is connected to all of isos, sr, where 1 VM (vm) has")
    assert facts(finding)["srs_without_live_host"] == read(0, "SRs", "pbds")


def test_a_host_that_is_down_sees_nothing_and_comes_back():
    halted = {"power_state": "Halted", "container": "pool"}
    down = [make_host(), make_host("host2", power_state="Halted")]
    (finding,) = said(halted, iso_pbds=[make_pbd("isos", "host2")], hosts=down)
    assert (finding.remedy, finding.clears) == ("Start the host, or enable it.", Clears(ClearedBy.TIME))


def test_an_empty_drive_and_what_xo_does_not_show_claim_nothing():
    assert said(vbds=[make_vbd(), make_vbd("vm", UNSET, id="empty", **CD)]) == []
    assert said(vbds=[make_vbd(), make_vbd("vm", "not shown", **CD)]) == []
    assert said(vbds=[]) == []


def test_a_disk_that_is_detached_is_told_by_another_check():
    assert said(pbds=[make_pbd(host="host2"), make_pbd("isos", "host")]) == []


@pytest.mark.parametrize(
    ("vm", "settings", "told"),
    [
        ({}, {"checkpointSnapshot": True}, 0),
        ({"tags": ["xo-memory-backup"]}, {}, 0),
        ({"power_state": "Halted", "container": "pool"}, {"checkpointSnapshot": True}, 1),
        ({}, {"checkpointSnapshot": True, "offlineSnapshot": True}, 1),
    ],
    ids=["job", "tag", "halted", "shut down first"],
)
def test_a_checkpoint_of_a_running_vm_is_taken_where_it_runs(vm, settings, told):
    assert len(said(vm, job={"settings": {"schedule": settings}})) == told


def test_a_vm_that_is_exported_without_a_snapshot_needs_no_host_here():
    assert said({"power_state": "Halted", "container": "pool"}, job={"mode": "full"}) == []


def test_vms_with_the_same_srs_share_a_finding():
    ids = {"id": {"__or": ["a", "b"]}}
    estate = make_estate(
        srs=[make_sr(), make_sr("isos")],
        vms=[make_vm("a"), make_vm("b")],
        vbds=[vbd for vm in "ab" for vbd in (make_vbd(vm, "disk"), make_vbd(vm, "cd", **CD))],
        vdis=[make_vdi(), make_vdi("cd", sr="isos")],
        jobs=[make_job(vms=ids)],
    )
    (finding,) = found(CHECK, make_view(estate))
    assert finding.holds == ("a", "b")
    assert "where 2 VMs (a, b) have a disk or a CD" in finding.summary
