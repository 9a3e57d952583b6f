"""Chains and space, acted out: what snapshots, removals, writes and the garbage collector leave behind."""

from __future__ import annotations

import pytest
from guard.simulator.world import GIB, StorageRefusedError
from tests.simulator.worlds import Small, small_world

MIB = 1024**2


def unmanaged(small: Small) -> dict[str, dict]:
    return small.world.objects.get("VDI-unmanaged", {})


def total_usage(small: Small, sr: dict) -> int:
    kinds = ("VDI", "VDI-snapshot", "VDI-unmanaged")
    return sum(v["usage"] for kind in kinds for v in small.world.objects.get(kind, {}).values() if v["$SR"] == sr["id"])


def test_a_snapshot_puts_leaf_and_snapshot_below_a_base_copy() -> None:
    small = small_world()
    snapshot = small.world.snapshot(small.thin, small.job, small.schedule)
    (base,) = unmanaged(small).values()
    (frozen,) = small.world.disks_of(snapshot)
    assert base["usage"] == 5 * GIB
    assert small.thin_disk["parent"] == frozen["parent"] == base["id"]
    assert frozen["$snapshot_of"] == small.thin_disk["id"]
    assert small.thin_disk["snapshots"] == [frozen["id"]]
    assert small.thin["snapshots"] == [snapshot["id"]]
    assert snapshot["other"]["xo:backup:job"] == small.job["id"]
    assert small.thin_disk["chainPhysicalUsage"] == base["usage"] + small.thin_disk["usage"]


def test_removing_a_snapshot_leaves_its_base_copy_until_it_is_coalesced() -> None:
    small = small_world()
    for _ in range(3):
        small.world.delete_snapshot(small.world.snapshot(small.thin))
    assert len(unmanaged(small)) == 3
    assert not small.world.objects["VDI-snapshot"]
    assert small.world.coalesce(small.nfs, steps=1) == 1
    assert len(unmanaged(small)) == 2
    assert small.world.coalesce(small.nfs) == 2
    assert not unmanaged(small)
    assert "parent" not in small.thin_disk
    assert small.thin_disk["id"] in small.world.objects["VDI"]


def test_the_collector_keeps_a_base_copy_that_a_snapshot_still_needs() -> None:
    small = small_world()
    small.world.snapshot(small.thin)
    assert small.world.coalesce(small.nfs) == 0


@pytest.mark.parametrize("kind", ["lvm", "nfs"])
def test_an_sr_reports_what_its_volumes_take_whatever_happens(kind: str) -> None:
    small = small_world()
    sr, vm, disk = (
        (small.lvm, small.thick, small.thick_disk) if kind == "lvm" else (small.nfs, small.thin, small.thin_disk)
    )
    first = small.world.snapshot(vm)
    small.world.write(disk, 2 * GIB)
    small.world.snapshot(vm)
    assert sr["physical_usage"] == total_usage(small, sr)
    small.world.delete_snapshot(first)
    small.world.coalesce(sr)
    assert sr["physical_usage"] == total_usage(small, sr)
    small.world.remove_vm(vm)
    small.world.coalesce(sr)
    assert sr["physical_usage"] == 0
    assert sr["VDIs"] == []
    assert sr["usage"] == 0


def test_a_thick_snapshot_takes_what_was_written_and_not_the_whole_size() -> None:
    small = small_world()
    small.world.snapshot(small.thick)
    before = small.lvm["physical_usage"]
    small.world.write(small.thick_disk, 2 * GIB)
    small.world.snapshot(small.thick)
    assert 2 * GIB < small.lvm["physical_usage"] - before < 2 * GIB + 32 * MIB


def test_a_thick_disk_that_is_merged_again_still_holds_what_was_written_and_no_more() -> None:
    small = small_world()
    small.world.delete_snapshot(small.world.snapshot(small.thick))
    small.world.coalesce(small.lvm)
    small.world.write(small.thick_disk, 2 * GIB)
    costs = []
    for _ in range(2):
        before = small.lvm["physical_usage"]
        snapshot = small.world.snapshot(small.thick)
        costs.append(small.lvm["physical_usage"] - before)
        small.world.delete_snapshot(snapshot)
        small.world.coalesce(small.lvm)
    assert costs[0] == costs[1]


def test_an_lvm_sr_without_room_refuses_the_snapshot_and_nothing_is_left() -> None:
    small = small_world()
    small.lvm["size"] = small.lvm["physical_usage"] + 10 * GIB
    with pytest.raises(StorageRefusedError, match="SR_BACKEND_FAILURE_44"):
        small.world.snapshot(small.thick)
    assert not unmanaged(small)
    assert small.thick["snapshots"] == []


def test_a_given_usage_already_counts_the_disks_that_are_added() -> None:
    small = small_world()
    sr = small.world.add_sr(small.pool, "almost full", "ext", size=50 * GIB, physical_usage=49 * GIB)
    small.world.add_disk(small.thin, sr, 10 * GIB, usage=8 * GIB)
    assert sr["physical_usage"] == 49 * GIB


def test_planted_base_copies_hang_between_root_and_leaf() -> None:
    small = small_world()
    copies = small.world.add_base_copies(small.thick_disk, 3)
    assert "parent" not in copies[0]
    assert [copies[1]["parent"], copies[2]["parent"], small.thick_disk["parent"]] == [copy["id"] for copy in copies]


def test_the_same_script_gives_the_same_world() -> None:
    assert small_world().world.objects == small_world().world.objects


def test_a_halted_vm_is_in_its_pool_until_a_disk_on_a_local_sr_ties_it_to_a_host() -> None:
    small = small_world()
    halted = small.world.add_vm(small.pool, "off", power_state="Halted")
    small.world.add_disk(halted, small.nfs)
    assert halted["$container"] == small.pool["id"]
    small.world.add_disk(halted, small.lvm)
    assert halted["$container"] == small.lvm["$container"]


@pytest.mark.parametrize(
    ("sr_type", "strategy"),
    [("lvmoiscsi", "thick"), ("nfs", "thin"), ("linstor", "thin"), ("xfs", None), ("iso", None)],
)
def test_xo_knows_the_allocation_of_some_types_only(sr_type: str, strategy: str | None) -> None:
    small = small_world()
    assert small.world.add_sr(small.pool, "another", sr_type).get("allocationStrategy") == strategy
