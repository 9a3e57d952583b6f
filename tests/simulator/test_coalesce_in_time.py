"""Coalesce in driven time: late, one pair at a time, taking room and giving it back at the end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.simulator.world import GIB
from tests.simulator.living import MIB, Small, recorded_runs

QUIET = timedelta(minutes=5)


def bases(small: Small, sr: dict) -> int:
    return sum(1 for one in small.world.objects.get("VDI-unmanaged", {}).values() if one["$SR"] == sr["id"])


def collecting(small: Small, sr: dict) -> list[dict]:
    """XAPI's tasks of a collector at work on an SR."""
    found = small.world.objects.get("task", {}).values()
    return [one for one in found if one["name_label"] == "Garbage Collection" and one.get("applies_to") == sr["id"]]


def idle() -> Small:
    small = Small()
    small.schedule["enabled"] = False
    assert small.live.world is small.world
    return small


def remove_a_snapshot(small: Small, data: int = GIB) -> None:
    snapshot = small.world.snapshot(small.web)
    small.world.write(small.web_disk, data)
    small.world.delete_snapshot(snapshot)


def test_nothing_is_merged_for_five_minutes_after_a_snapshot_was_deleted() -> None:
    small = idle()
    small.live.collector.rate = 100.0 * MIB
    remove_a_snapshot(small)
    small.live.advance(QUIET - timedelta(seconds=1))
    assert bases(small, small.nfs) == 1
    (task,) = collecting(small, small.nfs)
    assert (task["status"], task["name_description"]) == ("pending", f"Garbage collection for SR {small.nfs['id']}")
    small.live.advance(timedelta(seconds=1 + 1024 / 100 + 1))
    assert bases(small, small.nfs) == 0
    assert collecting(small, small.nfs) == []


def test_a_merge_takes_as_long_as_its_bytes_need() -> None:
    small = idle()
    small.live.collector.rates[small.nfs["id"]] = 1.0 * MIB
    remove_a_snapshot(small)
    small.live.advance(QUIET + timedelta(seconds=1000))
    assert bases(small, small.nfs) == 1
    small.live.advance(timedelta(seconds=50))
    assert bases(small, small.nfs) == 0


def test_pairs_are_merged_one_at_a_time_and_the_task_stays_until_the_last() -> None:
    small = idle()
    small.live.collector.rate = 1.0 * MIB
    small.world.add_base_copies(small.web_disk, 2, usage=100 * MIB)
    small.web_disk["usage"] = 60 * MIB
    remove_a_snapshot(small, 0)
    counts = []
    small.live.advance(QUIET)
    while collecting(small, small.nfs):
        counts.append(bases(small, small.nfs))
        small.live.advance(timedelta(seconds=1))
    assert sorted(set(counts), reverse=True) == [3, 2, 1]
    assert counts.count(3) > 50
    assert bases(small, small.nfs) == 0


def test_the_collectors_of_two_srs_work_at_the_same_time() -> None:
    small = idle()
    small.live.collector.rate = 1.0 * MIB
    for vm in (small.web, small.db):
        snapshot = small.world.snapshot(vm)
        small.world.write(small.world.disks_of(vm)[0], 600 * MIB)
        small.world.delete_snapshot(snapshot)
    small.live.advance(QUIET + timedelta(seconds=650))
    assert (bases(small, small.nfs), bases(small, small.lvm)) == (0, 0)


def test_a_merge_takes_room_and_gives_it_back_at_its_end() -> None:
    small = idle()
    small.live.collector.rate = 10.0 * MIB
    remove_a_snapshot(small)
    before = small.nfs["physical_usage"]
    small.live.advance(QUIET + timedelta(seconds=30))
    assert small.nfs["physical_usage"] == pytest.approx(before + GIB, rel=0.01)
    small.live.advance(timedelta(minutes=5))
    assert small.nfs["physical_usage"] <= before


def test_without_room_it_gives_up_and_says_so() -> None:
    small = idle()
    remove_a_snapshot(small)
    small.nfs["size"] = small.nfs["physical_usage"] + 10 * MIB
    small.live.advance(timedelta(hours=1))
    assert bases(small, small.nfs) == 1
    assert collecting(small, small.nfs) == []
    (message,) = small.world.objects["message"].values()
    assert (message["name"], message["$object"]) == ("SM_GC_NO_SPACE", small.nfs["id"])
    assert small.nfs["sm_config"]["gc_no_space"] == message["_xapiRef"]


def test_it_can_be_switched_off_for_one_sr_and_works_again_once_switched_on() -> None:
    small = idle()
    small.live.collector.switch_off(small.nfs)
    for _ in range(3):
        remove_a_snapshot(small, 0)
    small.live.advance(timedelta(hours=10))
    assert bases(small, small.nfs) == 3
    small.live.collector.switch_on(small.nfs)
    small.live.advance(timedelta(hours=1))
    assert bases(small, small.nfs) == 0


def test_what_is_deleted_while_it_works_is_merged_too() -> None:
    small = idle()
    remove_a_snapshot(small)
    small.live.advance(QUIET + timedelta(seconds=5))
    assert len(collecting(small, small.nfs)) == 1
    remove_a_snapshot(small)
    small.live.advance(timedelta(hours=1))
    assert bases(small, small.nfs) == 0


def test_a_snapshot_taken_during_a_merge_leaves_the_pair_alone() -> None:
    small = idle()
    small.live.collector.rate = 1.0 * MIB
    remove_a_snapshot(small)
    small.live.advance(QUIET + timedelta(seconds=30))
    snapshot = small.world.snapshot(small.web)
    small.live.advance(timedelta(hours=1))
    (frozen,) = small.world.disks_of(snapshot)
    assert frozen["parent"] in small.world.objects["VDI-unmanaged"]
    assert small.web_disk["parent"] == frozen["parent"]
    assert bases(small, small.nfs) == 1


def test_backups_without_coalesce_run_into_the_chain_check_as_recorded_until_the_collector_has_worked() -> None:
    small = idle()
    small.live.collector.switch_off(small.nfs)
    statuses = []
    for _ in range(6):
        small.world.write(small.web_disk, 50 * MIB)
        statuses.append(small.run()["status"])
        small.live.advance(timedelta(hours=1))
    assert statuses == [log["status"] for log in recorded_runs("F02 chain growing")]
    assert statuses[2:4] == ["success", "skipped"]
    small.live.collector.switch_on(small.nfs)
    small.live.advance(timedelta(hours=1))
    assert small.run()["status"] == "success"


def test_collected_space_is_what_the_volumes_really_take() -> None:
    small = idle()
    for _ in range(4):
        small.world.write(small.db_disk, 300 * MIB)
        _, schedule = small.another("db", "0 3 1 1 *", [small.db])
        small.run(schedule)
        small.live.advance(timedelta(hours=3))
    kinds = ("VDI", "VDI-snapshot", "VDI-unmanaged")
    volumes = [one for kind in kinds for one in small.world.objects[kind].values() if one["$SR"] == small.lvm["id"]]
    assert small.lvm["physical_usage"] == sum(one["usage"] for one in volumes)
