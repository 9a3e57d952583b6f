"""Room on the target SRs of a replication (failure-modes.md 3.3, 4.4, 8.2)."""

from __future__ import annotations

import pytest
from guard.checks.target_space import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    GIB,
    facts,
    found,
    make_estate,
    make_job,
    make_log,
    make_snapshot,
    make_sr,
    make_transfer,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    make_vm_task,
    read,
)

MIB = 1024**2
FULL = 107_592_286_208  # the LVM volume of a disk of 100 GiB
BASE_20 = 21_525_168_128  # a leaf with 20 GiB in it, deflated
FIRST = FULL + BASE_20 + 16 * MIB
DELTA = BASE_20 + 16 * MIB
HEADER = 217_088


def target(free, id_="target", **xo):
    size = 10_000 * GIB
    shape = {"SR_type": "lvm", "allocationStrategy": "thick", "size": size, "physical_usage": size - free}
    return make_sr(id_, **shape | xo)


def copied(vm="vm", sr="target"):
    """The replica's snapshot of what the source's base was."""
    return make_vdi(f"{vm}-copy", sr=sr, size=100 * GIB, other_config={"xo:copy_of": f"{vm}-snap"})


def night(full=False, sr="target", **gib):
    tasks = (make_vm_task(vm, make_transfer(size * GIB, sr, full=full, kind="SR")) for vm, size in gib.items())
    return make_log(*tasks)


def said(free=10_000 * GIB, vms=("vm",), there=True, sr=None, settings=None, disk=None, base=None, more=None, **job):
    """A replication of VMs with a disk of 100 GiB each; ``there``: their last copy is on the target."""
    settings = {"copyRetention": 1} | (settings or {})
    base = there if base is None else base
    world = {
        "srs": [make_sr(), target(free, **(sr or {}))],
        "vms": [make_vm(vm) for vm in vms],
        "vbds": [make_vbd(vm, f"{vm}-disk") for vm in vms],
        "vdis": [make_vdi(f"{vm}-disk", **{"size": 100 * GIB, "usage": 20 * GIB} | (disk or {})) for vm in vms],
        "vdi_snapshots": [make_snapshot(f"{vm}-snap", of=f"{vm}-disk", vm=vm) for vm in vms] if base else [],
        "logs": [night(**dict.fromkeys(vms, 20))],
        "jobs": [
            make_job(
                **{"vms": {"id": {"__or": list(vms)}}, "remotes": UNSET, "srs": {"id": "target"}}
                | {"settings": {"schedule": settings}}
                | job
            )
        ],
    }
    world["vdis"] += [copied(vm) for vm in vms] if there else []
    return found(CHECK, make_view(make_estate(**world | (more or {}))))


def levels(*given, **world):
    return [(one.level, one.certainty) for one in said(*given, **world)]


BLOCK = (Level.BLOCK, Certainty.CERTAIN)
WARN = (Level.WARN, Certainty.LIKELY)
UNKNOWN = (Level.UNKNOWN, Certainty.TREND)


def test_a_healthy_estate_has_nothing_to_say():
    assert found(CHECK, make_view(make_estate())) == []
    assert said() == []


@pytest.mark.parametrize(
    ("there", "free", "expected"),
    [
        (True, DELTA, []),
        (True, DELTA - 1, [WARN]),
        (True, 8 * MIB, [WARN]),
        (True, 8 * MIB - 1, [BLOCK]),
        (False, FIRST, []),
        (False, FIRST - 1, [WARN]),
        (False, FULL, [WARN]),
        (False, FULL - 1, [BLOCK]),
    ],
)
def test_a_thick_target_needs_the_whole_disk_for_a_first_copy_and_the_delta_later(there, free, expected):
    logs = {} if there else {"logs": [make_log(make_vm_task("vm", make_transfer(20 * GIB, "target", full=True)))]}
    assert levels(free, there=there, more=logs) == expected


def test_a_thin_target_needs_the_bytes():
    thin = {"SR_type": "nfs", "allocationStrategy": "thin"}
    enough = 20 * GIB + 2 * HEADER
    assert said(enough, sr=thin) == []
    (finding,) = said(enough - 1, sr=thin)
    assert (finding.level, finding.harm) == (Level.WARN, Harm.PRODUCTION)


def test_too_little_room_is_told_with_its_figures():
    (finding,) = said(10 * GIB)
    assert (finding.code, finding.harm) == ("SR_NO_SPACE", Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.SR, "target", "target"), ("vm",))
    assert finding.summary == (
        "target, a target of job job: 10.0 GiB free, the copies of 1 VM need 20.1 GiB; 1 VM (vm) would miss that copy."
    )
    assert facts(finding) == {
        "free": read(10 * GIB, "bytes", "srs"),
        "need_at_least": read(8 * MIB, "bytes", "vdis"),
        "need_expected": read(DELTA, "bytes", "logs"),
        "need_at_most": read(FULL + 16 * MIB, "bytes", "vdis"),
        "freed_by_retention": read(0, "bytes", "vdis"),
    }
    assert finding.clears == Clears(ClearedBy.PERSON)


@pytest.mark.parametrize(
    ("job", "settings", "level"),
    [
        ({}, {}, Level.BLOCK),
        ({"remotes": {"id": "repo"}}, {}, Level.BLOCK),
        ({"remotes": {"id": "repo"}}, {"exportRetention": 1}, Level.WARN),
        ({"srs": {"id": {"__or": ["target", "sr"]}}}, {}, Level.WARN),
    ],
    ids=["alone", "a repository that keeps nothing", "a repository", "another SR"],
)
def test_where_another_target_keeps_the_backup_a_lost_copy_holds_nobody(job, settings, level):
    assert [one.level for one in said(0, settings=settings, **job) if one.scope.id == "target"] == [level]


@pytest.mark.parametrize(
    "near_miss",
    [
        {"settings": {"copyRetention": 0}},
        {"srs": {"id": "gone"}},
        {"srs": {"id": {"__or": ["target", "sr"]}}, "settings": {"distributeReplications": True}},
        {"vms": ()},
        {"srs": UNSET},
    ],
    ids=["keeps no copy", "not shown", "distributed", "no VM", "no SR"],
)
def test_where_no_copy_is_sent_there_for_certain_nothing_is_said(near_miss):
    assert said(0, **near_miss) == []


def test_a_base_whose_copy_xo_does_not_show_was_sent_there_once_and_may_still_be_found():
    assert levels(FIRST - 1, there=False, base=True) == [WARN]
    assert levels(0, there=False, base=True) == [WARN]
    assert levels(0, there=False, base=True, more={"logs": []}) == [BLOCK]


def test_the_copies_of_a_run_are_added_up_and_the_largest_left_out():
    world = {"vms": ("a", "b")}
    enough = 2 * (BASE_20 + 16 * MIB)
    assert said(enough, **world) == []
    (finding,) = said(enough - 1, **world)
    assert (finding.level, finding.holds) == (Level.WARN, ("a",))
    # the bare minimum of both does not fit, that of one does
    (finding,) = said(16 * MIB - 1, **world)
    assert (finding.level, finding.certainty, finding.holds) == (Level.BLOCK, Certainty.CERTAIN, ("a", "b"))


@pytest.mark.parametrize(
    "unknown",
    [
        {"disk": {"size": UNSET}},
        {"sr": {"SR_type": "gfs2"}},
        {"sr": {"size": 0}},
        {"more": {"vdis": []}},
    ],
    ids=["size", "driver", "free space", "disk"],
)
def test_what_cannot_be_told_is_unknown_where_it_is_the_only_target(unknown):
    assert levels(**unknown) == [UNKNOWN]
    warned = levels(**unknown, remotes={"id": "repo"}, settings={"exportRetention": 1})
    assert warned == [(Level.WARN, Certainty.TREND)]


def test_without_a_past_it_is_unknown_only_where_it_might_not_fit():
    most = FULL + 16 * MIB
    assert said(most, more={"logs": []}) == []
    (finding,) = said(most - 1, more={"logs": []})
    assert (finding.level, finding.holds, finding.clears) == (Level.UNKNOWN, ("vm",), Clears(ClearedBy.TIME))
    assert "how many bytes this run sends there (at most 100.2 GiB needed" in finding.summary


# Full replication: old copies are deleted before or after


def old_copy(name, day, usage=30 * GIB, **xo):
    marks = {"job": "job", "schedule": "schedule", "vm": "vm", "sr": "target", "datetime": f"2026112{day}T000000Z"}
    other = {f"xo:backup:{key}": value for key, value in marks.items()}
    vm = make_vm(name, other=other, blockedOperations={"start": "a replica"}, power_state="Halted")
    return vm, make_vbd(name, f"{name}-disk"), make_vdi(f"{name}-disk", sr="target", usage=usage, **xo)


def dr(free, *copies, settings=None, **job):
    thin = {"SR_type": "nfs", "allocationStrategy": "thin"}
    world = {
        "vms": [make_vm(), *(vm for vm, _, _ in copies)],
        "vbds": [make_vbd("vm", "vm-disk"), *(vbd for _, vbd, _ in copies)],
        "vdis": [make_vdi("vm-disk", size=100 * GIB, usage=20 * GIB), *(vdi for _, _, vdi in copies)],
        "logs": [night(full=True, vm=20)],
        "vdi_snapshots": [],
    }
    return said(free, sr=thin, mode="full", settings=settings, more=world, **job)


NEW = 20 * GIB + HEADER


def test_a_full_replication_needs_the_old_copy_and_the_new_one_unless_it_deletes_first():
    old = old_copy("old", 1)
    assert dr(NEW) == []
    assert len(dr(NEW - 1)) == 1
    assert dr(NEW, old) == []
    assert len(dr(NEW - 1, old)) == 1
    assert dr(0, old, settings={"deleteFirst": True}) == []
    half = old_copy("old", 1, usage=5 * GIB)
    assert dr(NEW - 5 * GIB, half, settings={"deleteFirst": True}) == []
    (finding,) = dr(NEW - 5 * GIB - 1, half, settings={"deleteFirst": True})
    assert facts(finding)["freed_by_retention"][0] == 5 * GIB


def test_only_copies_beyond_the_retention_are_deleted():
    copies = [old_copy("newer", 2), old_copy("older", 1)]
    first = {"deleteFirst": True}
    assert dr(0, *copies, settings=first | {"copyRetention": 2}) == []
    assert len(dr(0, *copies, settings=first | {"copyRetention": 3})) == 1
    assert len(dr(0, old_copy("old", 1, usage=UNSET), settings=first)) == 1


def test_a_compressed_full_says_nothing_of_what_the_disks_will_hold():
    assert [one.level for one in dr(NEW, compression="zstd")] == [Level.UNKNOWN]
