"""How old the last good backup of a VM may get, and what nobody can tell of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.coverage.good import last_good, reach
from guard.coverage.routes import routes, taken
from guard.coverage.stale import Age, Judge, limit_of, stalest
from guard.estate.estate import PartName
from guard.mechanics.outlook import Outlook
from guard.policy.load import load
from guard.policy.schema import default_policy
from tests.builders import (
    LAST_NIGHT,
    NOW,
    UNSET,
    make_estate,
    make_job,
    make_log,
    make_repository,
    make_schedule,
    make_sr,
    make_transfer,
    make_vm,
    make_vm_task,
)

XO = '[xo]\nurl = "https://xo"\n'
LONG_AGO = NOW - timedelta(days=20)


def good_log(start=LAST_NIGHT, vm="vm", target="repo", **more):
    kind = more.pop("kind", "remote")
    return make_log(make_vm_task(vm, make_transfer(1, target, start=start, kind=kind)), start=start, **more)


def old_log(start=LONG_AGO):
    """A run of another job: the logs reach back to it."""
    return make_log(job="other", schedule="other", start=start)


def stale(estate, text=""):
    outlook = Outlook(estate, NOW)
    judge = Judge(outlook, load(XO + text, file="p"))
    return judge.stale(taken(outlook, routes(estate, NOW).working))


def told(estate, text=""):
    return [(one.age, one.last_good, one.target.id if one.target else "") for one in stale(estate, text)]


def test_a_vm_with_a_good_backup_last_night_is_not_stale():
    assert told(make_estate(logs=[good_log()])) == []


def test_a_vm_is_stale_when_twice_the_interval_of_its_schedule_has_passed():
    begin = NOW - timedelta(days=2, seconds=1)
    assert told(make_estate(logs=[good_log(begin)])) == [(Age.TOO_OLD, begin, "")]
    assert told(make_estate(logs=[good_log(NOW - timedelta(days=2))])) == []


@pytest.mark.parametrize(
    ("text", "age", "source"),
    [
        ("", timedelta(days=2), "2 x the interval of schedule schedule"),
        ('[coverage]\nmax_age = "30 h"\n', timedelta(hours=30), "[coverage] max_age"),
        ('[defaults]\nmax_backup_age = "3 d"\n', timedelta(days=3), "max_backup_age of schedule schedule"),
        (
            '[coverage]\nmax_age = "30 h"\n[defaults]\nmax_backup_age = "3 d"\n',
            timedelta(hours=30),
            "[coverage] max_age",
        ),
    ],
)
def test_the_limit_is_the_policys_else_twice_the_interval(text, age, source):
    estate = make_estate()
    limit = limit_of(routes(estate, NOW).working, estate, load(XO + text, file="p"))
    assert (limit.age, limit.source) == (age, source)


def test_a_schedule_that_comes_often_still_leaves_26_hours_and_the_least_of_several_counts():
    estate = make_estate(schedules=[make_schedule(cron="0 * * * *"), make_schedule("weekly", cron="0 0 * * sun")])
    hourly, weekly = routes(estate, NOW).working
    policy = default_policy()
    assert limit_of([weekly], estate, policy).age == timedelta(days=14)
    assert limit_of([weekly, hourly], estate, policy).age == timedelta(hours=26)
    assert "at least 26 h" in limit_of([hourly], estate, policy).source


def test_a_vm_without_a_good_backup_is_stale_when_the_logs_reach_beyond_the_limit():
    assert told(make_estate(logs=[old_log()])) == [(Age.NONE_IN_LOGS, None, "")]


def test_a_vm_without_a_good_backup_is_unknown_when_the_logs_are_shorter_than_the_limit():
    (one,) = stale(make_estate(logs=[old_log(NOW - timedelta(days=1))]))
    assert (one.age, one.why_unknown) == (Age.UNKNOWN, "the logs do not reach back as far as the limit")
    monthly = make_estate(logs=[old_log()], schedules=[make_schedule(cron="0 0 1 * *")])
    assert [one[0] for one in told(monthly)] == [Age.UNKNOWN]


def test_without_logs_or_with_filtered_ones_the_age_is_unknown():
    (one,) = stale(make_estate())
    assert (one.age, "no backup log" in one.why_unknown) == (Age.UNKNOWN, True)
    filtered = make_estate(logs=[old_log()], reading={PartName.LOGS: {"complete": False}})
    assert [one[0] for one in told(filtered)] == [Age.UNKNOWN]


def test_without_an_interval_the_limit_is_unknown_and_the_policy_can_tell_it():
    rare = make_estate(logs=[good_log()], schedules=[make_schedule(cron="0 0 29 1 *")])
    (one,) = stale(rare)
    assert (one.age, one.limit, "set [coverage] max_age" in one.why_unknown) == (Age.UNKNOWN, None, True)
    assert told(rare, '[coverage]\nmax_age = "30 h"\n') == []


def test_a_skipped_vm_is_not_backed_up():
    skipped = make_log(make_vm_task(status="skipped", snapshot="pending"), status="skipped")
    assert told(make_estate(logs=[old_log(), skipped])) == [(Age.NONE_IN_LOGS, None, "")]


def test_a_backup_whose_health_check_failed_is_not_good():
    checked = {"message": "transfer", "status": "success"}
    export = make_transfer(1)
    export["tasks"].append({"message": "health check", "status": "failure", "tasks": [checked]})
    failed = make_log(make_vm_task("vm", export, status="failure"), status="failure")
    estate = make_estate(logs=[old_log(), failed])
    assert told(estate) == [(Age.NONE_IN_LOGS, None, "")]
    before = good_log(LAST_NIGHT - timedelta(days=1))
    assert last_good(Outlook(make_estate(logs=[before, failed]), NOW)) == {
        "vm": {"repo": LAST_NIGHT - timedelta(days=1)}
    }


def test_a_backup_that_a_wrong_clock_dated_into_the_future_does_not_make_a_vm_young_for_ever():
    ahead = good_log(NOW + timedelta(days=400))
    assert told(make_estate(logs=[old_log(), ahead])) == [(Age.NONE_IN_LOGS, None, "")]
    assert told(make_estate(logs=[old_log(), good_log(NOW + timedelta(minutes=5))])) == []


def test_another_failure_after_the_transfer_leaves_the_backup_good():
    failed = make_log(make_vm_task("vm", make_transfer(1), status="failure"), status="failure")
    assert told(make_estate(logs=[old_log(), failed])) == []


def test_what_a_mirror_copied_is_no_new_backup():
    jobs = [make_job(), make_job("mirror", type="mirrorBackup")]
    assert told(make_estate(jobs=jobs, logs=[old_log(), good_log(job="mirror")])) == [(Age.NONE_IN_LOGS, None, "")]


def test_a_copy_by_a_job_that_is_gone_counts_for_its_vm():
    assert told(make_estate(logs=[good_log(job="gone")])) == []


def two_targets(*logs, **job):
    world = job.pop("world", {})
    keep = {"schedule": {"exportRetention": 7, "copyRetention": 3}} | job.pop("settings", {})
    to = {"remotes": {"id": {"__or": ["repo", "far"]}}, "srs": {"id": "sr"}, "settings": keep}
    repositories = [make_repository(), make_repository("far")]
    return make_estate(
        jobs=[make_job(**(to | job))], repositories=repositories, srs=[make_sr()], logs=[old_log(), *logs], **world
    )


def to_three(begin, *targets):
    exports = [make_transfer(1, one, start=begin, kind="SR" if one == "sr" else "remote") for one in targets]
    return make_log(make_vm_task("vm", *exports), start=begin)


def test_a_target_that_misses_its_copy_is_told_apart_from_those_that_have_it():
    before = LAST_NIGHT - timedelta(days=5)
    estate = two_targets(to_three(before, "repo", "far", "sr"), to_three(LAST_NIGHT, "repo", "sr"))
    assert told(estate) == [(Age.TOO_OLD, before, "far")]
    assert told(two_targets(to_three(LAST_NIGHT, "repo", "far"))) == [(Age.NONE_IN_LOGS, None, "sr")]


def test_each_vm_of_a_job_is_held_against_each_of_its_targets():
    both = {"vms": {"id": {"__or": ["vm", "second"]}}, "srs": UNSET}
    vms = [make_vm(), make_vm("second")]
    run = make_log(
        make_vm_task("vm", make_transfer(1), make_transfer(1, "far")), make_vm_task("second", make_transfer(1))
    )
    estate = two_targets(run, **both, world={"vms": vms})
    assert [(one.vm, one.target.id) for one in stale(estate)] == [("second", "far")]


def test_a_vm_that_is_stale_everywhere_is_told_once():
    before = LAST_NIGHT - timedelta(days=5)
    assert told(two_targets(to_three(before, "repo", "far"))) == [(Age.TOO_OLD, before, "")]


def test_spread_backups_need_one_copy_and_a_target_without_retention_none():
    log = to_three(LAST_NIGHT, "repo")
    spread = {"distributeBackups": True, "distributeReplications": True}
    assert told(two_targets(log, settings={"": spread})) == []
    assert told(two_targets(log, settings={"far": {"exportRetention": 0}, "sr": {"copyRetention": 0}})) == []


def test_a_target_that_is_gone_is_told_by_its_id():
    estate = make_estate(
        jobs=[
            make_job(
                remotes={"id": {"__or": ["repo", "gone"]}},
                srs={"id": "lost"},
                settings={"": {"copyRetention": 1, "exportRetention": 1}},
            )
        ],
        logs=[old_log(), good_log()],
    )
    assert {(one.target.kind.value, one.target.name) for one in stale(estate)} == {
        ("repository", "gone"),
        ("sr", "lost"),
    }


def test_those_without_any_good_backup_come_first_then_the_oldest():
    vms = [make_vm(name) for name in ("young", "old", "none")]
    older, old = NOW - timedelta(days=9), NOW - timedelta(days=5)
    estate = make_estate(
        vms=vms,
        jobs=[make_job(vms={"id": {"__or": ["young", "old", "none"]}})],
        logs=[old_log(), good_log(older, "old"), good_log(old, "young")],
    )
    assert [one.vm for one in stale(estate)] == ["none", "old", "young"]


def test_the_logs_reach_to_the_oldest_run_but_no_further_than_guard_asked():
    assert reach(make_estate(logs=[old_log()]), NOW) == timedelta(days=20)
    assert reach(make_estate(logs=[old_log(NOW - timedelta(days=90))]), NOW) == timedelta(days=31)
    assert reach(make_estate(logs=[old_log(NOW + timedelta(days=1))]), NOW) == timedelta()
    assert reach(make_estate(logs=[make_log(start=NOW, id="odd")]), NOW) == timedelta()


def test_the_stalest_vm_is_the_one_without_a_good_backup_else_the_oldest():
    vms = [make_vm("first"), make_vm("second", name_label="db")]
    job = make_job(vms={"id": {"__or": ["first", "second"]}})
    logs = [old_log(), good_log(vm="first"), good_log(LAST_NIGHT - timedelta(days=1), "second")]
    found = stalest(make_estate(vms=vms, jobs=[job], logs=logs), NOW)
    assert (found.vm, found.name, found.last_good, found.at_least) == (
        "second",
        "db",
        LAST_NIGHT - timedelta(days=1),
        False,
    )
    assert found.age == NOW - LAST_NIGHT + timedelta(days=1)
    estate = make_estate(vms=vms, jobs=[job], logs=[old_log(), good_log(LAST_NIGHT, "second")])
    found = stalest(estate, NOW, Outlook(estate, NOW))
    assert (found.vm, found.last_good, found.at_least, found.age) == ("first", None, True, timedelta(days=20))


def test_there_is_no_stalest_vm_without_logs_or_without_a_schedule():
    assert stalest(make_estate(), NOW) is None
    assert stalest(make_estate(logs=[old_log()], schedules=[]), NOW) is None
