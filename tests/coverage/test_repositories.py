"""In how many days a backup repository is full, by what the logs tell."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.coverage.repositories import Filling, Series, days_until, days_until_full
from guard.estate.estate import PartName
from guard.mechanics.outlook import Outlook
from guard.policy.schema import default_policy
from tests.builders import (
    GIB,
    LAST_NIGHT,
    NOW,
    UNSET,
    make_archive,
    make_estate,
    make_job,
    make_log,
    make_repository,
    make_repository_info,
    make_schedule,
    make_transfer,
    make_vbd,
    make_vdi,
    make_vm,
    make_vm_task,
)

DAY = timedelta(days=1)


def nights(count, size=GIB, vm="vm", target="repo", **more):
    """So many nightly deltas of one size, the last one last night."""
    return [
        make_log(
            make_vm_task(vm, make_transfer(size, target, start=LAST_NIGHT - day * DAY)),
            start=LAST_NIGHT - day * DAY,
            **more,
        )
        for day in reversed(range(count))
    ]


def filled(*, available=900 * GIB, logs=None, retention=7, **more):
    job = {"settings": {"schedule": {"exportRetention": retention}}} | more.pop("job", {})
    logs = nights(5) if logs is None else logs
    info = {"repo": make_repository_info(available=available)}
    given = {"jobs": [make_job(**job)], "repository_info": info, "logs": logs} | more
    return days_until_full(make_estate(**given), default_policy(), NOW)


def test_a_repository_grows_until_every_retention_is_full_and_is_steady_where_that_fits():
    (one,) = filled(retention=7)
    assert (one.filling, one.days, one.to_come, one.growth_per_day) == (Filling.STEADY, None, 2 * GIB, GIB)
    (one,) = filled(retention=5)
    assert (one.filling, one.to_come, one.growth_per_day, one.largest_run) == (Filling.STEADY, 0, 0, GIB)


def test_it_is_full_on_the_day_on_which_its_largest_run_finds_no_room():
    (one,) = filled(available=11 * GIB, retention=30)
    assert (one.filling, one.days, one.why_unknown) == (Filling.DAYS, pytest.approx(10.0), "")


@pytest.mark.parametrize("available", [0, GIB])
def test_it_is_full_now_where_the_largest_run_does_not_fit(available):
    (one,) = filled(available=available, retention=5)
    assert (one.filling, one.days) == (Filling.FULL, 0.0)


def test_a_weekly_schedule_fills_seven_times_slower_than_a_daily_one():
    (one,) = filled(available=11 * GIB, retention=30, schedules=[make_schedule(cron="0 0 * * sun")])
    assert one.days == pytest.approx(70.0)


def test_full_backups_count_by_the_size_of_fulls_and_delete_first_needs_no_room_beside():
    full = [
        make_log(
            make_vm_task("vm", make_transfer(5 * GIB, full=True, start=LAST_NIGHT - day * DAY)),
            start=LAST_NIGHT - day * DAY,
        )
        for day in (1, 0)
    ]
    (one,) = filled(logs=full, retention=2, job={"mode": "full"})
    assert one.largest_run == 5 * GIB
    first = {"mode": "full", "settings": {"schedule": {"exportRetention": 2, "deleteFirst": True}}}
    (one,) = filled(logs=full, job=first)
    assert one.largest_run == 0


def test_what_the_archives_list_counts_before_what_the_logs_hold():
    archives = [make_archive(start=LAST_NIGHT - day * DAY) for day in range(7)]
    (one,) = filled(retention=7, archives=archives)
    assert (one.filling, one.to_come) == (Filling.STEADY, 0)
    (one,) = filled(retention=60, logs=nights(31), archives=archives)
    assert one.not_counted == ()


def test_a_retention_beyond_the_logs_is_a_bound_and_unknown_only_where_the_bound_does_not_fit():
    (one,) = filled(logs=nights(31), retention=60)
    assert (one.filling, one.not_counted) == (Filling.STEADY, ("VMs with a retention longer than the logs (1 VM)",))
    (one,) = filled(logs=nights(31), retention=60, available=20 * GIB)
    assert (one.filling, one.days, one.why_unknown) == (
        Filling.UNKNOWN,
        None,
        "VMs with a retention longer than the logs (1 VM)",
    )
    assert filled(logs=nights(20), retention=60, available=20 * GIB)[0].filling is Filling.DAYS


def test_a_vm_without_a_transfer_is_bounded_by_its_disks():
    two = {"vms": [make_vm(), make_vm("new")], "vbds": [make_vbd(), make_vbd("new", "other")]}
    disks = [make_vdi(), make_vdi("other", usage=8 * GIB)]
    job = {"vms": {"id": {"__or": ["vm", "new"]}}, "settings": {"schedule": {"exportRetention": 5}}}
    (one,) = filled(job=job, **two, vdis=disks)
    assert (one.filling, one.not_counted) == (Filling.STEADY, ("VMs without a transfer in the logs (1 VM)",))
    assert one.largest_run == 9 * GIB
    (one,) = filled(job=job, **two, vdis=disks, available=30 * GIB)
    assert one.filling is Filling.UNKNOWN
    (one,) = filled(job=job, **two, vdis=[make_vdi()])
    assert one.filling is Filling.UNKNOWN


def test_long_term_retention_and_spread_jobs_are_bounds():
    longer = {"exportRetention": 5, "longTermRetention": {"monthly": {"retention": 12, "settings": {}}, "odd": 3}}
    (one,) = filled(job={"settings": {"schedule": longer}})
    assert (one.filling, one.not_counted) == (Filling.STEADY, ("what long-term retention keeps (1 VM)",))
    assert filled(job={"settings": {"schedule": longer}}, available=10 * GIB)[0].filling is Filling.UNKNOWN
    spread = {
        "remotes": {"id": {"__or": ["repo", "far"]}},
        "settings": {"schedule": {"exportRetention": 7}, "": {"distributeBackups": True}},
    }
    repositories = [make_repository(), make_repository("far", url="nfs://other:/b")]
    first = next(one for one in filled(job=spread, repositories=repositories) if one.ids == ("repo",))
    assert (first.filling, first.not_counted) == (Filling.STEADY, ("job job, which spreads its VMs (1 VM)",))
    assert first.largest_run == GIB // 2


def test_a_mirror_has_no_bound():
    jobs = [make_job(), make_job("mirror", type="mirrorBackup")]
    schedules = [make_schedule(), make_schedule("mirrors", job="mirror")]
    (one,) = filled(jobs=jobs, schedules=schedules)
    assert (one.filling, one.why_unknown) == (Filling.UNKNOWN, "what mirror mirror copies there")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"repositories": [make_repository(url="s3://host/bucket")]}, "an object store tells no free space"),
        ({"repository_info": {}}, "XO gave no free space for it"),
        (
            {"repository_info": {"repo": make_repository_info(available=UNSET, size=UNSET)}},
            "XO gave no free space for it",
        ),
        (
            {"repositories": [make_repository(error="lost")]},
            "XO could not use it when it last tried; its figures may be old",
        ),
        ({"reading": {PartName.LOGS: {"complete": False}}}, "XO may have filtered its logs"),
        ({"reading": {PartName.JOBS: {"ok": False, "error": "XO answered 500"}}}, "XO answered 500"),
        (
            {"repository_info": {}, "reading": {PartName.REPOSITORY_INFO: {"ok": False, "error": "no answer"}}},
            "no answer",
        ),
    ],
)
def test_what_cannot_be_known_is_unknown_with_its_reason(more, why):
    (one,) = filled(**more)
    assert (one.filling, one.days, one.why_unknown) == (Filling.UNKNOWN, None, why)


def test_repositories_on_one_file_system_are_one_and_disabled_ones_are_none():
    info = make_repository_info()
    repositories = [make_repository(), make_repository("twin"), make_repository("off", enabled=False)]
    job = {"remotes": {"id": {"__or": ["repo", "twin", "off"]}}, "settings": {"schedule": {"exportRetention": 7}}}
    both = [
        make_log(
            make_vm_task(
                "vm", *(make_transfer(GIB, one, start=LAST_NIGHT - day * DAY) for one in ("repo", "twin", "off"))
            ),
            start=LAST_NIGHT - day * DAY,
        )
        for day in range(5)
    ]
    (one,) = filled(repositories=repositories, repository_info={"repo": info, "twin": info}, job=job, logs=both)
    assert (one.ids, one.name, one.largest_run, one.to_come) == (("repo", "twin"), "repo + twin", 2 * GIB, 4 * GIB)


def test_a_job_that_keeps_nothing_there_adds_nothing():
    (one,) = filled(retention=0)
    assert (one.filling, one.largest_run, one.not_counted) == (Filling.STEADY, 0, ())


def test_figures_come_with_unit_source_and_age():
    (one,) = filled(logs=nights(10))
    facts = {fact.name: (fact.value, fact.unit, fact.source, fact.observed_at) for fact in one.facts}
    assert facts == {
        "size": (1000 * GIB, "bytes", "XO's repository_info", None),
        "available": (900 * GIB, "bytes", "XO's repository_info", None),
        "sent_last_week": (7 * GIB, "bytes", "XO's logs", NOW),
    }
    (one,) = filled(reading={PartName.LOGS: {"ok": False, "error": "no"}}, logs=[])
    assert one.facts[-1].value is None


def test_the_first_to_be_full_comes_first_and_steady_ones_last():
    names = ("steady", "full", "soon", "unknown")
    repositories = [make_repository(name, url=f"nfs://{name}:/b") for name in names]
    free = {"steady": 900, "full": 0, "soon": 9}
    estate = make_estate(
        repositories=repositories,
        repository_info={name: make_repository_info(available=size * GIB) for name, size in free.items()},
        jobs=[make_job(remotes={"id": {"__or": list(names)}}, settings={"schedule": {"exportRetention": 30}})],
        logs=[make_log(make_vm_task("vm", *(make_transfer(GIB, name) for name in names)))],
    )
    found = days_until_full(estate, default_policy(), NOW, Outlook(estate, NOW))
    assert [one.name for one in found] == ["full", "soon", "unknown", "steady"]


@pytest.mark.parametrize(
    ("series", "available", "days"),
    [
        ([], 10, None),
        ([Series(1, 1, 10)], 10, 10.0),
        ([Series(1, 1, 9)], 10, None),
        ([Series(1, 1, 4), Series(1, 1, 100)], 10, 6.0),  # two a day for 4 days, then one
        ([Series(1, 1, 4), Series(2, 0.5, 100)], 8, 4.0),
        ([Series(1e-9, 1, 1e12)], 10, None),  # in more than ten years
    ],
)
def test_series_add_up_until_each_is_full(series, available, days):
    assert days_until(series, available) == (days if days is None else pytest.approx(days))
