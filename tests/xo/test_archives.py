"""The list of backups on the repositories: only on request, and only where XO can list them at once."""

from __future__ import annotations

from datetime import timedelta

from guard.estate.estate import PartName
from guard.simulator.faults import Faults, Hang, HttpStatus
from tests.xo.test_client import NOW, small_world
from tests.xo.watched import Watched, read

PATH = "/rest/v0/backup-archives"


def world_with_backups():
    world = small_world()
    (nas,), (schedule,) = world.repositories.values(), world.schedules.values()
    vm = next(iter(world.objects["VM"].values()))
    job = world.jobs[schedule["jobId"]]
    snapshot = world.snapshot(vm, job, schedule, exported=True)
    disks = world.disks_of(snapshot)
    world.add_archive(nas, vm, schedule, NOW - timedelta(days=2), immutable=True)
    world.add_archive(nas, vm, schedule, NOW - timedelta(days=1), disks=disks)
    return world, nas, vm, disks


def test_backups_are_not_read_unless_the_policy_says_so():
    app = Watched(world_with_backups()[0])
    found = read(app, NOW)
    assert PartName.ARCHIVES not in found.parts
    assert [one for one in app.requests if one.path == PATH] == []


def test_backups_are_read_with_what_retention_and_deltas_hang_on():
    world, nas, vm, disks = world_with_backups()
    found = read(Watched(world), NOW, read_archives=True)
    assert found.parts[PartName.ARCHIVES].usable
    old, new = found.archives_of[nas["id"], vm["id"]]
    assert (old.is_immutable, bool(new.is_immutable)) == (True, False)
    assert [disk.uuid for disk in new.disks] == [disk["id"] for disk in disks]
    assert old.timestamp == int((NOW - timedelta(days=2)).timestamp() * 1000)
    assert found.listed_repositories == {nas["id"]}


def test_only_repositories_that_jobs_write_to_and_xo_can_use_are_asked_for():
    world, nas, *_ = world_with_backups()
    job = next(iter(world.jobs.values()))
    off = world.add_repository("off", enabled=False)
    broken = world.add_repository("broken", error={"code": "ETIMEDOUT"})
    world.add_repository("other")
    job["remotes"] = {"id": {"__or": [nas["id"], off["id"], broken["id"], "gone"]}}
    app = Watched(world)
    read(app, NOW, read_archives=True)
    asked = [one.query for one in app.requests if one.path == PATH]
    assert [one["backup-repository"] for one in asked] == [nas["id"]]
    assert "vm.uuid" in asked[0]["fields"].split(",")
    assert "vm" not in asked[0]["fields"].split(",")


def test_a_list_that_fails_is_a_part_that_was_not_read_and_nothing_more():
    faults = Faults()
    faults.plant(PATH, HttpStatus(500), times=None)
    found = read(Watched(world_with_backups()[0], faults), NOW, read_archives=True)
    assert not found.parts[PartName.ARCHIVES].ok
    assert found.archives == ()
    assert found.parts[PartName.LOGS].ok


def test_an_xo_without_that_list_leaves_only_that_part_unread():
    faults = Faults()
    faults.plant(PATH, HttpStatus(404), times=None)
    found = read(Watched(world_with_backups()[0], faults), NOW, read_archives=True)
    assert not found.parts[PartName.ARCHIVES].ok


def test_repositories_that_are_slow_to_list_cost_that_list_alone():
    faults = Faults()
    faults.plant(PATH, Hang(), times=None)
    found = read(
        Watched(world_with_backups()[0], faults), NOW, read_archives=True, total_timeout_s=4, call_timeout_s=30
    )
    part = found.parts[PartName.ARCHIVES]
    assert "did not list the backups of all repositories in the" in part.error
    assert found.parts[PartName.LOGS].ok
