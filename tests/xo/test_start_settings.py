"""What ``backupNg.runJob`` is given to be different in one run (xo-api.md 5.1)."""

from __future__ import annotations

from copy import deepcopy

import pytest
from tests.xo.writing import Place

SETTINGS = {"": {"concurrency": 1}, "vm": {"bypassVdiChainsCheck": True}}


@pytest.fixture
def place():
    return Place()


def test_settings_go_to_xo_with_the_start_and_into_no_job(place):
    before = deepcopy(place.job["settings"])
    run_id = place.ask(lambda xo: xo.start(place.job["id"], "backup", place.nightly["id"], None, (), settings=SETTINGS))
    assert run_id == place.job["runId"]
    (asked,) = place.calls("backupNg.runJob")
    assert asked == {"id": place.job["id"], "schedule": place.nightly["id"], "settings": SETTINGS}
    assert place.job["settings"] == before
    assert place.live.jobs.running[place.job["id"]].settings[""]["concurrency"] == 1


@pytest.mark.parametrize("settings", [None, {}])
def test_nothing_is_sent_where_nothing_is_different(place, settings):
    place.ask(lambda xo: xo.start(place.job["id"], "backup", place.nightly["id"], None, (), settings=settings))
    assert [sorted(one) for one in place.calls("backupNg.runJob")] == [["id", "schedule"]]


def test_a_mirror_job_is_given_none(place):
    nas, vault = next(iter(place.world.repositories.values())), place.world.add_repository("vault")
    job = place.world.add_job("mirror", type="mirrorBackup", remotes=[vault], sourceRemote=nas["id"])
    its = place.world.add_schedule(job, "0 7 * * *")
    place.ask(lambda xo: xo.start(job["id"], "mirrorBackup", its["id"], None, (), settings=SETTINGS))
    assert place.calls("mirrorBackup.runJob") == [{"id": job["id"], "schedule": its["id"]}]
