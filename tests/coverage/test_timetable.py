"""The coming week: when runs are at work, and which of them get into each other's way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from guard.coverage.collisions import Shared, collisions, crowds, places, related, sharing
from guard.coverage.timetable import Busy, above, night_end, peak, timetable
from guard.mechanics.outlook import Outlook
from guard.policy.load import load
from tests.builders import (
    LAST_NIGHT,
    NOW,
    make_estate,
    make_job,
    make_log,
    make_repository,
    make_schedule,
    make_sequence,
    make_sr,
    make_transfer,
    make_vbd,
    make_vdi,
    make_vm,
    make_vm_task,
)

XO = '[xo]\nurl = "https://xo"\n'
HOUR = 3600


def past(schedule="schedule", job="job", *, minutes=60, runs=5, vm="vm"):
    """So many whole runs of one length."""
    return [
        make_log(
            make_vm_task(vm, make_transfer(1, start=LAST_NIGHT - timedelta(days=day))),
            job=job,
            schedule=schedule,
            start=LAST_NIGHT - timedelta(days=day),
            seconds=60 * minutes,
        )
        for day in range(runs)
    ]


def two(cron="30 0 * * *", *, vm="second", minutes=60, job="other", **more):
    """Schedule "schedule" at midnight for an hour, and "another" beside it; they share the repository alone."""
    jobs = [make_job(), make_job("other", vms={"id": vm})]
    given = {
        "vms": [make_vm(), make_vm("second")],
        "jobs": jobs,
        "schedules": [make_schedule(), make_schedule("another", job=job, cron=cron)],
        "logs": past() + past("another", job, minutes=minutes, vm=vm),
    }
    return make_estate(**(given | more))


def table_of(estate, text=""):
    return timetable(Outlook(estate, NOW), load(XO + text, file="p"))


def found(estate, text=""):
    lines = table_of(estate, text).lines
    return collisions(lines, related(lines))


def crowd(estate, text=""):
    policy, outlook = load(XO + text, file="p"), Outlook(estate, NOW)
    lines = timetable(outlook, policy).lines
    return crowds(lines, places(lines, estate, outlook.file_systems, policy.limits))


def line_of(estate, schedule="schedule", text=""):
    return next(one for one in table_of(estate, text).lines if one.schedule.id == schedule)


def test_a_week_has_seven_runs_of_a_nightly_schedule_each_as_long_as_its_past_says():
    line = line_of(make_estate(logs=past()))
    assert [datetime.fromtimestamp(begin, UTC) for begin, _ in line.slots] == [
        datetime(2026, 11, 25, tzinfo=UTC) + timedelta(days=day) for day in range(7)
    ]
    assert {end - begin for begin, end in line.slots} == {HOUR}
    assert (line.seconds, line.samples, line.exports) == (HOUR, 5, 1)


def test_a_run_of_unknown_length_has_its_first_minute_and_keeps_an_hour_free():
    table = table_of(make_estate(logs=past(runs=4)))
    (line,) = table.lines
    assert table.untold == ("schedule",)
    assert (line.seconds, line.slots[0][1] - line.slots[0][0]) == (None, 60)
    assert line.reserved[0][1] - line.reserved[0][0] == HOUR
    told = "[checks.overlap]\nmin_samples = 4\n"
    assert line_of(make_estate(logs=past(runs=4)), text=told).seconds == HOUR


def test_a_new_schedule_is_as_long_as_the_others_of_its_job():
    estate = make_estate(schedules=[make_schedule(), make_schedule("new", cron="0 5 * * *")], logs=past())
    assert (line_of(estate, "new").seconds, table_of(estate).untold) == (HOUR, ())


@pytest.mark.parametrize(("concurrency", "exports"), [(0, 3), (2, 2), (9, 3)])
def test_so_many_vms_are_exported_at_a_time_as_the_job_lets_and_has(concurrency, exports):
    vms = [make_vm(name) for name in ("a", "b", "c")]
    job = make_job(vms={"id": {"__or": ["a", "b", "c"]}}, settings={"": {"concurrency": concurrency}})
    assert line_of(make_estate(vms=vms, jobs=[job])).exports == exports


def test_members_of_a_sequence_come_one_after_another_and_one_of_unknown_length_ends_what_is_known():
    schedules = [make_schedule("one", enabled=False), make_schedule("two", job="other", enabled=False)]
    schedules += [make_schedule("three", enabled=False), make_schedule("night", job="sequence-job")]
    given = {
        "jobs": [make_job(), make_job("other")],
        "schedules": schedules,
        "call_jobs": [make_sequence("one", "two", "three")],
    }
    known = past("one", minutes=30, runs=1) + past("two", "other", minutes=20, runs=1) + past("three", runs=1)
    lines = {one.schedule.id: one for one in table_of(make_estate(**given, logs=known)).lines}
    assert lines["two"].slots[0][0] - lines["one"].slots[0][0] == 30 * 60
    assert lines["three"].slots[0][0] == lines["two"].slots[0][1]
    assert found(make_estate(**given, logs=known)) == ()
    lacking = past("one", minutes=30, runs=1)
    other = [make_job(), make_job("other", vms={"id": "x"})]
    assert [one.schedule.id for one in table_of(make_estate(**(given | {"jobs": other}), logs=lacking)).lines] == [
        "one"
    ]


def test_two_schedules_of_one_job_collide_when_their_runs_overlap():
    (one,) = found(two(job="job", minutes=60))
    assert (one.one, one.other, one.shared, one.times, one.same_minute) == ("schedule", "another", Shared.JOB, 7, False)
    assert (one.first, one.longest_s) == (datetime(2026, 11, 25, 0, 30, tzinfo=UTC), 1800)
    assert found(two("0 1 * * *", job="job")) == ()
    (same,) = found(two("0 0 * * *", job="job"))
    assert (same.same_minute, same.times) == (True, 7)


def test_two_jobs_collide_where_a_vm_is_in_both():
    (one,) = found(two(vm="vm"))
    assert (one.shared, one.vms, one.times) == (Shared.VM, 1, 7)
    assert found(two()) == ()


def test_runs_that_touch_do_not_overlap_and_several_short_ones_in_a_long_one_all_count():
    assert found(two("0 1 * * *", vm="vm")) == ()
    (one,) = found(two("0,20,40 0 * * *", vm="vm", minutes=5))
    assert (one.times, one.longest_s) == (21, 300)


def test_a_schedule_that_is_due_before_its_run_has_ended_collides_with_itself():
    (one,) = found(make_estate(schedules=[make_schedule(cron="0 0,1 * * *")], logs=past(minutes=90)))
    assert (one.one, one.other, one.times, one.longest_s, one.same_minute) == ("schedule", "schedule", 7, 1800, False)


def test_runs_at_once_on_a_repository_are_counted_and_beyond_a_limit_told():
    (one,) = crowd(two())
    assert (one.kind, one.name, one.jobs, one.exports, one.slots, one.beyond_s) == ("repository", "repo", 2, 2, None, 0)
    assert (one.shared_s, one.at) == (7 * 1800, datetime(2026, 11, 25, 0, 30, tzinfo=UTC))
    (one,) = crowd(two(), '[[limit]]\nslots = 1\nper = "repository"\n')
    assert (one.slots, one.beyond_s) == (1, 7 * 1800)
    assert crowd(two("0 1 * * *")) == ()


def test_srs_pools_and_xo_are_told_where_a_limit_is_for_them():
    disks = {"vbds": [make_vbd(), make_vbd("second", "other")], "vdis": [make_vdi(), make_vdi("other")]}
    limits = "".join(
        f'[[limit]]\nslots = {slots}\nper = "{kind}"\n' for kind, slots in (("sr", 1), ("pool", 2), ("xo", 3))
    )
    found_there = {
        one.kind: (one.name, one.slots, one.beyond_s) for one in crowd(two(**disks, srs=[make_sr()]), limits)
    }
    assert found_there == {
        "sr": ("sr", 1, 7 * 1800),
        "pool": ("pool", 2, 0),
        "xo": ("XO", 3, 0),
        "repository": ("repo", None, 0),
    }


def test_a_limit_for_other_names_is_none_and_the_least_of_several_counts():
    text = '[[limit]]\nslots = 1\nper = "repository"\nname = "nas*"\n'
    assert crowd(two(), text)[0].slots is None
    both = '[[limit]]\nslots = 3\nper = "repository"\n[[limit]]\nslots = 2\nper = "repository"\n'
    assert crowd(two(), both)[0].slots == 2


def test_a_disabled_repository_and_one_that_nobody_uses_are_no_places():
    repositories = [make_repository(enabled=False), make_repository("spare")]
    assert crowd(two(repositories=repositories)) == ()


def test_a_mirror_works_at_its_source_too():
    jobs = [make_job(), make_job("other", type="mirrorBackup", vms=None, sourceRemote="repo", remotes={"id": "far"})]
    repositories = [make_repository(), make_repository("far", url="nfs://far:/b")]
    (one,) = crowd(two(jobs=jobs, repositories=repositories))
    assert (one.id, one.jobs) == ("repo", 2)


def test_pairs_of_runs_that_share_a_repository_are_counted_for_each_they_share():
    assert sharing(table_of(two()).lines) == 7
    both = {"id": {"__or": ["repo", "far"]}}
    repositories = [make_repository(), make_repository("far", url="nfs://far:/b")]
    jobs = [make_job(remotes=both), make_job("other", vms={"id": "second"}, remotes=both)]
    assert sharing(table_of(two(jobs=jobs, repositories=repositories)).lines) == 14


def test_what_is_busy_is_met_where_it_shares_a_second():
    busy = Busy([(0, 10), (5, 15), (20, 30)])
    assert (busy.meeting([(10, 20)]), busy.meeting([(9, 21)]), busy.meeting([]), busy.among()) == (1, 3, 0, 1)


def test_the_peak_and_the_time_above_a_limit_are_those_of_the_sums():
    assert peak([((0, 10), 1), ((5, 15), 2), ((15, 20), 3)]) == (3, 5)
    assert peak([]) == (0, None)
    assert above([(0, 10), (5, 15), (5, 8)], 1) == 5
    assert above([(0, 10)], 1) == 0


def test_a_night_ends_with_its_last_run_and_what_begins_by_day_is_of_no_night():
    paris = ZoneInfo("Europe/Paris")
    estate = make_estate(
        schedules=[make_schedule(cron="0 2 * * *"), make_schedule("day", cron="0 11 * * *")],
        logs=past(),
    )
    assert night_end(table_of(estate).lines, paris).strftime("%H:%M") == "04:00"
    assert night_end(table_of(make_estate(schedules=[make_schedule(cron="0 11 * * *")])).lines, UTC) is None
    late = make_estate(
        schedules=[make_schedule(cron="50 23 * * *"), make_schedule("day", cron="0 1 * * *")], logs=past(minutes=80)
    )
    assert night_end(table_of(late).lines, UTC).strftime("%H:%M") == "02:20"
