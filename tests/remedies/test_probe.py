"""Which backup repositories are probed, when, and which never are."""

from __future__ import annotations

import dataclasses

import pytest
from guard.estate.estate import PartName
from guard.lifecycle.remedy import RemedyKind
from guard.remedies import probe
from msgspec import UNSET
from tests.builders import DUE, NOW, make_archive, make_estate, make_job, make_repository, make_schedule
from tests.checks.nights import night
from tests.outcomes.tables import failed_vm, node
from tests.remedies.scenes import HOUR, MINUTE, done, policy, scene

ON = policy("probe = true")
DELETABLE = [make_archive(isImmutable=False)]
UNKNOWN = "whether its files can be deleted is not known without [xo] read_archives"


def world(**more):
    return make_estate(**{"archives": DELETABLE} | more)


def only(estate=None, **more):
    (found,) = probe.wanted(scene(estate or world(), **{"rules": ON} | more))
    return found


def test_nothing_is_probed_unless_the_policy_asks_for_it():
    assert list(probe.wanted(scene(world()))) == []


def test_a_repository_that_a_run_will_write_to_is_probed_half_an_hour_before():
    found = only()
    assert (found.kind, found.scope.id, found.aside) == (RemedyKind.PROBE, "repo", "")
    assert (found.at, found.latest, found.reason) == (DUE - 30 * MINUTE, DUE, "schedule will write to repo")
    assert [(one.name, one.value) for one in found.before] == [("error", None)]
    assert only(world(repositories=[make_repository(error={"code": "EIO"})])).before[0].value == "{'code': 'EIO'}"


def test_it_is_probed_once_for_all_runs_before_the_first_that_guard_acts_on():
    schedules = [make_schedule(), make_schedule("early", cron="30 23 * * *")]
    found = only(world(schedules=schedules))
    assert (found.at, len(found.runs)) == (DUE - HOUR, 2)
    rules = policy("probe = true", more='[[schedule]]\nname = "early"\ngate = "observe"\n')
    assert only(world(schedules=schedules), rules=rules).at == DUE - 30 * MINUTE


@pytest.mark.parametrize("url", ["file:///mnt/nas", "nfs://192.0.2.9:/backup", "smb://me:pass[word@nas\\\\share"])
def test_shares_and_folders_are_probed_whatever_stands_in_their_password(url):
    assert only(world(repositories=[make_repository(url=url)])).aside == ""


@pytest.mark.parametrize("url", ["s3://key:secret@s3.example/bucket", "s3+http://minio/b", "azure://x", "azurite://x"])
def test_object_storage_never_is(url):
    told = only(world(repositories=[make_repository(url=url)])).aside
    assert told == f"{url.partition(':')[0]} is no file system that guard knows: the probe's file might stay"
    assert "secret" not in told


def test_one_of_an_unknown_kind_never_is():
    assert only(world(repositories=[make_repository(url="")])).aside.startswith("its kind is no file system")


@pytest.mark.parametrize(
    ("archives", "why"),
    [
        ([make_archive(isImmutable=True)], "its files cannot be deleted"),
        ([make_archive(isImmutable=True), make_archive("other", isImmutable=False)], "its files cannot be deleted"),
        ([make_archive(isImmutable=UNSET)], "no backup there tells whether its files can be deleted"),
    ],
)
def test_where_files_cannot_be_deleted_or_nobody_knows_it_never_is(archives, why):
    assert only(world(archives=archives)).aside == why


def test_where_the_archives_were_not_listed_it_never_is():
    assert only(world(archives=[])).aside == UNKNOWN
    elsewhere = [make_archive(repository="other", isImmutable=False)]
    assert only(world(archives=elsewhere)).aside == UNKNOWN
    found = world()
    unread = {name: part for name, part in found.parts.items() if name is not PartName.ARCHIVES}
    assert only(dataclasses.replace(found, parts=unread)).aside == UNKNOWN


def test_where_a_past_run_was_refused_to_delete_it_never_is():
    assert only(world(logs=[night(0, failed_vm(node("EPERM")))])).aside == "its files cannot be deleted"
    assert only(world(logs=[night(0, failed_vm(node("ENOSPC")))])).aside == ""


def test_it_is_not_probed_while_a_run_writes_there():
    assert only(world(jobs=[make_job(runId="run")])).aside == "a run writes there now"
    other = make_job("second", remotes={"id": "far"}, runId="run")
    assert only(world(jobs=[make_job(), other])).aside == ""


def test_it_is_probed_once_a_night():
    assert only(past=[done("probe", "repo", NOW - 18 * HOUR)]).aside == "it was probed tonight"
    assert only(past=[done("probe", "repo", NOW - 19 * HOUR)]).aside == ""
    assert only(past=[done("probe", "far", NOW)]).aside == ""


def test_a_repository_that_is_off_or_gone_and_runs_that_wait_are_no_reason_to_probe():
    assert list(probe.wanted(scene(world(repositories=[make_repository(enabled=False)]), rules=ON))) == []
    assert list(probe.wanted(scene(world(repositories=[]), rules=ON))) == []
    (need,) = scene(world()).needs
    waits = scene(world(schedules=[]), rules=ON, waiting=[dataclasses.replace(need, waits=True)])
    assert list(probe.wanted(waits)) == []


def test_watched_schedules_only_tell_it():
    assert only(rules=policy("probe = true", gate="observe")).aside == "the policy says observe for what needs it"
