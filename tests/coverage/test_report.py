"""When the coverage is whole, and in which zone it is told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.coverage.report import make_coverage
from guard.estate.estate import PartName
from guard.policy.load import load
from tests.builders import (
    GIB,
    LAST_NIGHT,
    NOW,
    make_estate,
    make_job,
    make_log,
    make_repository_info,
    make_schedule,
    make_server,
    make_transfer,
    make_vm,
    make_vm_task,
)

XO = '[xo]\nurl = "https://xo"\n'
OLD = make_log(job="gone", schedule="gone", start=NOW - timedelta(days=20))
GOOD = make_log(make_vm_task("vm", make_transfer(GIB)), start=LAST_NIGHT)


def cover(text="", **world):
    return make_coverage(make_estate(**({"logs": [OLD, GOOD]} | world)), load(XO + text, file="p"), NOW)


def test_it_is_whole_when_every_vm_is_covered_and_young_and_no_repository_is_full_soon():
    assert cover().is_whole


@pytest.mark.parametrize(
    "world",
    [
        {"vms": [make_vm(), make_vm("lone")]},
        {"logs": [OLD]},
        {"logs": []},
        {"reading": {PartName.JOBS: {"complete": False}}},
        {"repository_info": {"repo": make_repository_info(available=0)}},
        {"servers": [make_server(), make_server("lost", status="disconnected")]},
    ],
)
def test_a_gap_an_old_backup_an_unknown_one_and_a_full_repository_make_it_not_whole(world):
    assert not cover(**world).is_whole


def test_a_vm_left_out_on_purpose_and_a_collision_leave_it_whole():
    schedules = [make_schedule(), make_schedule("twin")]
    told = cover(vms=[make_vm(), make_vm("lone", tags=["xo:no-bak"])], schedules=schedules)
    assert (told.is_whole, len(told.collisions)) == (True, 1)


def test_the_policy_says_how_soon_a_full_repository_counts():
    world = {
        "jobs": [make_job(settings={"schedule": {"exportRetention": 90}})],
        "repository_info": {"repo": make_repository_info(available=21 * GIB)},
    }
    assert cover(**world).is_whole
    soon = cover("[coverage]\nfull_within_days = 20\n", **world)
    assert ([one.name for one in soon.filling_soon], soon.is_whole) == (["repo"], False)


def test_times_are_told_in_the_policys_zone_else_in_that_of_most_schedules():
    paris = [make_schedule(timezone="Europe/Paris"), make_schedule("b", timezone="Europe/Paris"), make_schedule("c")]
    assert str(cover(schedules=paris).zone) == "Europe/Paris"
    assert str(cover(schedules=[make_schedule(timezone="local")]).zone) == "UTC"
    assert str(cover('zone = "Asia/Tokyo"\n', schedules=paris).zone) == "Asia/Tokyo"
