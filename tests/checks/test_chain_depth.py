"""Chains near SM's limit of 30 images (failure-modes.md 3.2; SM vhdutil.py:30)."""

from __future__ import annotations

import pytest
from guard.checks.chain_depth import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level, Scope, ScopeKind
from tests.builders import facts, found, make_base_copy, make_estate, make_job, make_vdi, make_view, make_vm, read


def deep(nodes, **disk):
    """The disk of VM "vm" as the last of so many images, each base copy with a snapshot of its own beside it."""
    bases = [make_base_copy(f"b{n}", **({"parent": f"b{n - 1}"} if n else {})) for n in range(nodes - 1)]
    kept = [make_vdi(f"s{n}", parent=f"b{n}") for n in range(nodes - 1)]
    above = {"parent": f"b{nodes - 2}"} if nodes > 1 else {}
    return {"vdi_unmanaged": bases, "vdi_snapshots": kept, "vdis": [make_vdi(**(above | disk))]}


def said(world, **job):
    return found(CHECK, make_view(make_estate(jobs=[make_job(**job)], **world)))


@pytest.mark.parametrize(
    ("nodes", "level"), [(1, None), (24, None), (25, Level.WARN), (29, Level.WARN), (30, Level.BLOCK)]
)
def test_a_snapshot_is_refused_from_thirty_images_on_and_warned_of_from_25(nodes, level):
    assert [one.level for one in said(deep(nodes))] == ([] if level is None else [level])


def test_a_chain_of_thirty_is_certain_and_held_with_its_figures():
    (finding,) = said(deep(30))
    assert (finding.code, finding.check, finding.certainty) == ("CHAIN_TOO_LONG", "chain_depth", Certainty.CERTAIN)
    assert (finding.holds, finding.scope) == (("vm",), Scope(ScopeKind.VM, "vm", "vm"))
    assert facts(finding)["depth"] == read(30, "VDIs", "vdis")
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary == (
        "vm: 30 images hang together below disk disk on sr; with 30 the host refuses the snapshot."
    )


def test_pending_coalesces_make_a_deep_chain_shorter_with_time():
    world = deep(30) | {"vdi_snapshots": []}
    (finding,) = said(world)
    assert finding.clears == Clears(ClearedBy.TIME)
    assert facts(finding)["uncoalesced"] == read(28, "VDIs", "vdis")


def test_the_bypass_of_xos_chain_check_does_not_help_against_the_hosts_limit():
    settings = {"": {"bypassVdiChainsCheck": True}, "schedule": {"exportRetention": 7}}
    assert [one.level for one in said(deep(30), settings=settings)] == [Level.BLOCK]


def test_the_policy_moves_the_warning_and_never_the_limit():
    view = make_view(make_estate(**deep(10)))
    assert [one.level for one in found(CHECK, view, warn_depth=10)] == [Level.WARN]
    assert [one.level for one in found(CHECK, make_view(make_estate(**deep(30))), warn_depth=30)] == [Level.BLOCK]


def test_a_qcow2_disk_is_not_judged_as_its_limit_is_not_known():
    assert said(deep(30, image_format="qcow2")) == []


def test_a_halted_vm_of_a_full_job_takes_no_snapshot_and_has_no_limit():
    world = deep(30) | {"vms": [make_vm(power_state="Halted", container="pool")]}
    assert said(world, mode="full") == []


def test_a_disk_on_an_sr_xo_does_not_show_is_named_all_the_same():
    (finding,) = said(deep(30, sr="gone"))
    assert "on an unknown SR" in finding.summary


@pytest.mark.parametrize(("kept", "told"), [(28, 0), (29, 1)])
def test_a_retention_that_must_end_at_the_limit_is_told_of_source_and_target(kept, told):
    settings = {"schedule": {"exportRetention": 7, "snapshotRetention": kept}}
    source = said({}, settings=settings)
    assert [(one.level, one.scope.kind) for one in source] == [(Level.WARN, ScopeKind.JOB)] * told
    copies = {"schedule": {"copyRetention": kept}}
    target = said({}, settings=copies, srs={"id": "sr"})
    assert [(one.level, one.scope) for one in target] == [(Level.WARN, Scope(ScopeKind.SR, "sr", "sr"))] * told
    unknown = said({}, settings=copies, srs={"id": "gone"})
    assert [one.scope for one in unknown] == [Scope(ScopeKind.SR, "gone", "gone")] * told
    assert said({}, settings=copies, srs={"id": "sr"}, mode="full") == []
