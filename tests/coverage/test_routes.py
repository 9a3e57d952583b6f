"""Which schedules that XO fires back up which VMs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.coverage.routes import longest_interval, routes, taken
from guard.mechanics.fallback import Fallback, FallbackKind
from guard.mechanics.outlook import Outlook
from tests.builders import DUE, NOW, decode, make_estate, make_job, make_schedule, make_sequence, make_vm, records


def working(estate):
    return [(one.schedule.id, one.fires.id) for one in routes(estate, NOW).working]


def test_an_enabled_schedule_of_a_vm_backup_is_a_route():
    assert working(make_estate()) == [("schedule", "schedule")]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"enabled": False}, "is disabled"),
        ({"cron": "0 0 * * wed"}, "has a cron that XO cannot run ('0 0 * * wed')"),
        ({"cron": "0 0 31 1 *"}, "has a cron that XO cannot run ('0 0 31 1 *')"),
    ],
)
def test_a_schedule_that_xo_does_not_fire_is_none_and_says_why(changes, why):
    found = routes(make_estate(schedules=[make_schedule(**changes)]), NOW)
    assert (found.working, found.idle) == ((), {"schedule": why})


@pytest.mark.parametrize("kind", ["mirrorBackup", "metadataBackup"])
def test_a_job_that_backs_up_no_vm_is_no_route(kind):
    found = routes(make_estate(jobs=[make_job(type=kind)]), NOW)
    assert (found.working, found.idle) == ((), {})


def test_a_disabled_member_of_an_enabled_sequence_is_a_route_and_not_of_a_disabled_one():
    schedules = [make_schedule(enabled=False), make_schedule("sequence", job="sequence-job")]
    estate = make_estate(schedules=schedules, call_jobs=[make_sequence("schedule", "gone")])
    assert working(estate) == [("schedule", "sequence")]
    assert routes(estate, NOW).idle == {}
    off = make_estate(
        schedules=[make_schedule(enabled=False), make_schedule("sequence", job="sequence-job", enabled=False)],
        call_jobs=[make_sequence("schedule")],
    )
    assert working(off) == []


def test_a_schedule_that_guard_holds_for_a_claim_counts_as_enabled():
    held = Fallback(kind=FallbackKind.RELEASE, schedule="schedule", due=DUE, cron="3 0 25 10 *", instance="abcd")
    placed = decode(records.CallJob, {"id": "call", "name": held.name, "method": held.method})
    schedules = [make_schedule(enabled=False), make_schedule("call-schedule", job="call")]
    assert working(make_estate(schedules=schedules, call_jobs=[placed])) == [("schedule", "schedule")]


def test_a_vm_is_taken_once_by_each_route():
    jobs = [make_job(vms={"id": {"__or": ["vm", "vm", "gone"]}}), make_job("other", vms={"id": "second"})]
    estate = make_estate(
        vms=[make_vm(), make_vm("second"), make_vm("third")],
        jobs=jobs,
        schedules=[make_schedule(), make_schedule("again"), make_schedule("other's", job="other")],
    )
    found = taken(Outlook(estate, NOW), routes(estate, NOW).working)
    assert {vm: [one.schedule.id for one in ways] for vm, ways in found.items()} == {
        "vm": ["schedule", "again"],
        "second": ["other's"],
    }


@pytest.mark.parametrize(
    ("cron", "between"),
    [
        ("0 2 * * *", timedelta(days=1)),
        ("30 * * * *", timedelta(hours=1)),
        ("*/15 * * * *", timedelta(minutes=15)),
        ("0 6,22 * * *", timedelta(hours=16)),
        ("0 1 * * 1-5", timedelta(days=3)),
        ("0 8-18 * * 1-5", timedelta(days=2, hours=14)),
        ("0 3 * * sun", timedelta(days=7)),
        ("0 3 1 * *", timedelta(days=31)),
        ("0 3 1 jan *", timedelta(days=366)),
        ("0 3 29 1 *", None),
    ],
)
def test_the_longest_time_between_two_due_times_is_told_by_the_wall_clock(cron, between):
    assert longest_interval(cron) == between
