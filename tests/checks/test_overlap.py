"""Overlapping runs: what XO's own refusal of a second run makes of the due times (failure-modes.md 3.11, 3.14; dst-nights.md)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.overlap import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from tests.builders import (
    DUE,
    GIB,
    LAST_NIGHT,
    NOW,
    facts,
    found,
    make_due,
    make_estate,
    make_job,
    make_log,
    make_repository,
    make_schedule,
    make_sequence,
    make_transfer,
    make_view,
    make_vm,
    make_vm_task,
    ms,
    read,
)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def past(minutes, schedule="schedule", job="job", *, runs=5, vms=("vm",)):
    """So many finished runs of a schedule, each as long as that."""
    tasks = [make_vm_task(vm, make_transfer(GIB)) for vm in vms]
    return [
        make_log(
            *tasks,
            job=job,
            schedule=schedule,
            start=LAST_NIGHT - timedelta(days=night),
            seconds=60 * minutes,
            id=f"{schedule}-{night}",
        )
        for night in range(runs)
    ]


def running(since, schedule="schedule", job="job"):
    """The log of a run that goes on."""
    return make_log(make_vm_task(), job=job, schedule=schedule, start=since, status="pending", id="run")


def two_schedules(**world):
    """One job with the schedules "schedule" and "weekly"."""
    return {"schedules": [make_schedule(), make_schedule("weekly")]} | world


def other_job(id_="other", *, minutes=30, vms="vm", remotes="repo", runs=5, **xo):
    """A second job with its own schedule, its VMs "vm" and "vm2" to choose from, and its past."""
    return {
        "jobs": [make_job(), make_job(id_, vms={"id": vms}, remotes={"id": remotes}, **xo)],
        "schedules": [make_schedule(), make_schedule(f"{id_}-schedule", job=id_)],
        "vms": [make_vm(), make_vm("vm2")],
        "repositories": [make_repository(), make_repository("repo2")],
        "logs": [*past(30), *past(minutes, f"{id_}-schedule", id_, runs=runs, vms=(vms,))],
    }


OTHER = make_due("other-schedule", "other")


def said(due, *others, now=NOW, options=None, **world):
    """What is said of one due time; ``others``: those of other runs."""
    return found(CHECK, make_view(make_estate(**world), due=due, runs=others, now=now), **(options or {}))


def levels(dues, **world):
    """The level at each due time, None where nothing is said."""
    told = [said(due, *(one for one in dues if one is not due), **world) for due in dues]
    return [one[0].level if one else None for one in told]


def hourly(hours, schedule="schedule", **more):
    return [make_due(schedule, at=DUE + hour * HOUR, cron="0 * * * *", **more) for hour in range(hours)]


# The same job: predicted


def test_a_healthy_nightly_job_meets_nothing():
    assert said(make_due()) == []
    assert levels([make_due(), make_due(at=DUE + 24 * HOUR)], logs=past(60)) == [None, None]


def test_after_one_overlapped_run_the_next_hour_starts_because_a_refused_run_does_not_go_on():
    assert levels(hourly(5), logs=past(70)) == [None, Level.BLOCK, None, Level.BLOCK, None]
    assert levels(hourly(5), logs=past(130)) == [None, Level.BLOCK, Level.BLOCK, None, Level.BLOCK]


@pytest.mark.parametrize(("minutes", "second"), [(59, None), (60, None), (61, Level.BLOCK)])
def test_a_run_that_ends_at_the_due_minute_is_over(minutes, second):
    assert levels(hourly(2), logs=past(minutes)) == [None, second]


def test_an_overlap_is_told_with_its_figures():
    first, second = hourly(2)
    (finding,) = said(second, first, logs=past(70))
    assert (finding.code, finding.check) == ("RUN_OVERLAP", "overlap")
    assert (finding.level, finding.certainty, finding.harm) == (Level.BLOCK, Certainty.LIKELY, Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.JOB, "job", "job"), ())
    assert finding.clears == Clears(ClearedBy.TIME, DUE + 70 * MINUTE)
    assert finding.summary == (
        "The run of schedule due Wed 00:00 UTC takes up to 70 min (P90 of 5 runs) and would still go on."
    )
    assert facts(finding) == {
        "duration_p50": read(4200, "s", "logs"),
        "duration_p90": read(4200, "s", "logs"),
        "samples": read(5, "runs", "logs"),
        "min_samples": (5, "runs", "policy", None),
    }


@pytest.mark.parametrize(("runs", "min_samples", "second"), [(4, 5, None), (5, 5, Level.BLOCK), (1, 1, Level.BLOCK)])
def test_nothing_is_predicted_from_fewer_runs_than_the_policy_asks_for(runs, min_samples, second):
    options = {"min_samples": min_samples}
    assert levels(hourly(2), logs=past(70, runs=runs), options=options) == [None, second]


def test_two_schedules_of_one_job_at_the_same_minute_start_once():
    dues = [make_due(), make_due("weekly")]
    assert levels(dues, **two_schedules()) == [None, Level.BLOCK]
    (finding,) = said(dues[1], dues[0], **two_schedules())
    assert (finding.code, finding.certainty, finding.clears.eta) == ("RUN_OVERLAP", Certainty.CERTAIN, None)
    assert "Schedule schedule starts the same job at the same minute" in finding.summary


def test_a_minute_later_the_first_may_be_over_for_all_that_is_known():
    assert levels([make_due(), make_due("weekly", at=DUE + MINUTE)], **two_schedules()) == [None, None]


def test_the_end_of_the_earlier_run_is_told_by_its_own_schedule_not_by_that_of_the_later():
    dues = [make_due(), make_due("weekly", at=DUE + HOUR)]
    long_first = two_schedules(logs=[*past(90), *past(10, "weekly")])
    short_first = two_schedules(logs=[*past(10), *past(90, "weekly")])
    assert levels(dues, **long_first) == [None, Level.BLOCK]
    assert levels(dues, **short_first) == [None, None]


# The same job: members of a sequence


def member(schedule, at, begins=DUE, job="job", **more):
    return make_due(schedule, job, at=at, via="sequence", sequence_at=begins, **more)


def test_members_of_one_sequence_with_the_same_job_wait_for_one_another():
    unknown = [member("schedule", DUE), member("weekly", DUE)]
    assert levels(unknown, **two_schedules()) == [None, None]
    slow = two_schedules(logs=past(70))
    assert levels([member("schedule", DUE), member("weekly", DUE + 30 * MINUTE)], **slow) == [None, None]


def test_one_schedule_twice_in_a_sequence_meets_itself_not():
    assert levels([member("schedule", DUE), member("schedule", DUE + 30 * MINUTE)], logs=past(70)) == [None, None]


def test_the_next_turn_of_a_sequence_does_meet_the_one_before_it():
    turns = [member("schedule", DUE), member("schedule", DUE + HOUR, begins=DUE + HOUR)]
    assert levels(turns, logs=past(70)) == [None, Level.BLOCK]


@pytest.mark.parametrize("at", [DUE, DUE + 30 * MINUTE])
def test_a_schedule_of_its_own_meets_the_member_of_a_sequence(at):
    dues = [member("schedule", DUE), make_due("weekly", at=at)]
    assert levels(dues, **two_schedules(logs=past(70))) == [None, Level.BLOCK]


def test_members_of_one_sequence_that_share_vms_and_repository_wait_for_one_another():
    world = other_job(minutes=70)
    mine, other = make_due(via="sequence", sequence_at=DUE), member("other-schedule", DUE, job="other")
    assert levels([other, mine], **world) == [None, None]
    assert levels([OTHER, mine], **world) == [Level.WARN, Level.WARN]
    assert levels([member("other-schedule", DUE, job="other", begins=DUE - HOUR), mine], **world) == [
        Level.WARN,
        Level.WARN,
    ]


# A run that goes on now


def goes_on(due_in, *, since, logs, options=None, others=(), schedule="schedule"):
    due = make_due(schedule, at=NOW + due_in)
    world = two_schedules(jobs=[make_job(runId="run")], logs=logs)
    return said(due, *others, options=options, **world)


@pytest.mark.parametrize(
    ("due_in", "blocked"), [(10 * MINUTE, True), (29 * MINUTE, True), (30 * MINUTE, False), (HOUR, False)]
)
def test_a_run_that_goes_on_holds_what_is_due_before_its_usual_end(due_in, blocked):
    findings = goes_on(due_in, since=NOW - 30 * MINUTE, logs=[*past(60), running(NOW - 30 * MINUTE)])
    assert [(one.code, one.level) for one in findings] == ([("JOB_RUNNING", Level.BLOCK)] if blocked else [])


def test_a_run_that_goes_on_is_told_with_its_time():
    (finding,) = goes_on(10 * MINUTE, since=NOW - 30 * MINUTE, logs=[*past(60), running(NOW - 30 * MINUTE)])
    assert (finding.certainty, finding.harm, finding.holds) == (Certainty.LIKELY, Harm.NONE, ())
    assert finding.summary == "Job job is running since 30 min; by its past it ends about Tue 22:30 UTC."
    assert finding.clears == Clears(ClearedBy.TIME, NOW + 30 * MINUTE)


def test_its_figures_are_those_of_the_schedule_that_runs_and_not_of_the_one_that_is_due():
    logs = [*past(10), *past(120, "weekly", runs=6), running(NOW - 30 * MINUTE, "weekly")]
    (finding,) = goes_on(60 * MINUTE, since=NOW, logs=logs)
    assert facts(finding) == {
        "duration_p50": read(7200, "s", "logs"),
        "duration_p90": read(7200, "s", "logs"),
        "samples": read(6, "runs", "logs"),
        "min_samples": (5, "runs", "policy", None),
    }


def test_without_the_log_of_the_run_no_past_is_told_of_it():
    (finding,) = goes_on(MINUTE, since=NOW, logs=past(10))
    told = facts(finding)
    assert (told["duration_p50"][0], told["duration_p90"][0], told["samples"][0]) == (None, None, 0)


@pytest.mark.parametrize(("own", "weekly", "blocked"), [(10, 120, True), (120, 10, None), (120, 40, False)])
def test_its_end_is_told_by_the_schedule_of_its_own_log(own, weekly, blocked):
    since = NOW - 30 * MINUTE
    logs = [*past(own), *past(weekly, "weekly"), running(since, "weekly")]
    findings = goes_on(60 * MINUTE, since=since, logs=logs)
    # 10 minutes are over already: by its past it should have ended, so nobody knows
    assert [(one.level, one.clears.eta) for one in findings] == {
        True: [(Level.BLOCK, NOW + 90 * MINUTE)],
        False: [],
        None: [(Level.BLOCK, None)],
    }[blocked]


NO_END = {
    "too few runs": [*past(240, runs=4), running(NOW - 30 * MINUTE)],
    "past its usual time": [*past(20), running(NOW - 30 * MINUTE)],
    "at its usual time": [*past(30), running(NOW - 30 * MINUTE)],
    "its log not read": past(240),
}


@pytest.mark.parametrize("logs", NO_END.values(), ids=NO_END)
@pytest.mark.parametrize(
    ("due_in", "level"),
    [(MINUTE, Level.BLOCK), (HOUR, Level.BLOCK), (HOUR + MINUTE, Level.UNKNOWN), (10 * HOUR, Level.UNKNOWN)],
)
def test_where_its_end_cannot_be_told_it_holds_the_next_hour_and_is_unknown_beyond(logs, due_in, level):
    (finding,) = goes_on(due_in, since=NOW - 30 * MINUTE, logs=logs)
    assert (finding.code, finding.level, finding.clears.eta) == ("JOB_RUNNING", level, None)
    assert finding.certainty is (Certainty.LIKELY if level is Level.BLOCK else Certainty.TREND)
    assert "when it ends cannot be told" in finding.summary


def test_without_its_log_nobody_knows_since_when_it_runs():
    (finding,) = goes_on(MINUTE, since=NOW, logs=[])
    assert finding.summary == "Job job is running; when it ends cannot be told."


@pytest.mark.parametrize("logs", NO_END.values(), ids=NO_END)
def test_where_its_end_cannot_be_told_only_the_next_due_run_is_held_against_it(logs):
    next_due = make_due(at=NOW + 10 * MINUTE)
    findings = goes_on(50 * MINUTE, since=NOW, logs=logs, others=[next_due], schedule="weekly")
    assert "JOB_RUNNING" not in [one.code for one in findings]
    assert len(goes_on(50 * MINUTE, since=NOW, logs=logs, others=[make_due(at=NOW)], schedule="weekly")) == 1
    elsewhere = make_due("other-schedule", "other", at=NOW + 10 * MINUTE)
    world = other_job() | {"jobs": [make_job(runId="run"), make_job("other", vms={"id": "vm2"})], "logs": logs}
    assert [one.code for one in said(make_due(at=NOW + 50 * MINUTE), elsewhere, **world)] == ["JOB_RUNNING"]


def test_min_samples_of_the_policy_tells_whether_its_end_is_known():
    logs = [*past(60, runs=1), running(NOW - 30 * MINUTE)]
    assert goes_on(45 * MINUTE, since=NOW, logs=logs, options={"min_samples": 1}) == []
    assert len(goes_on(45 * MINUTE, since=NOW, logs=logs, options={"min_samples": 2})) == 1


def test_behind_a_run_that_goes_on_the_ordinary_prediction_holds():
    logs = [*past(70), running(NOW - 30 * MINUTE)]
    dues = [make_due(at=NOW + hours * HOUR) for hours in (1, 2, 3)]
    assert levels(dues, logs=logs, jobs=[make_job(runId="run")]) == [None, Level.BLOCK, None]


# A run that makes no progress


def stalled(lasts, quiet, usual=(), *, due_in=HOUR, others=(), **world):
    """What is said where the run of the job lasts so long and its log shows no step for so long."""
    step = {"message": "snapshot", "status": "success", "start": ms(NOW - quiet), "end": ms(NOW - quiet)}
    log = make_log(make_vm_task(status="pending", tasks=[step]), start=NOW - lasts, status="pending", id="run")
    return said(
        make_due(at=NOW + due_in), *others, **({"jobs": [make_job(runId="run")], "logs": [*usual, log]} | world)
    )


def test_a_run_that_lasts_for_days_without_a_step_is_told_as_stuck_and_not_as_running():
    (finding,) = stalled(50 * HOUR, 49 * HOUR, past(30))
    assert (finding.code, finding.check, finding.level) == ("JOB_STUCK", "overlap", Level.BLOCK)
    assert (finding.certainty, finding.harm, finding.holds) == (Certainty.LIKELY, Harm.NONE, ())
    assert (finding.scope, finding.clears) == (Scope(ScopeKind.JOB, "job", "job"), Clears(ClearedBy.PERSON))
    assert finding.summary == (
        "Job job is running since 2 d 2 h, usually at most 30 min, and its log shows no step for 2 d 1 h: it seems stuck."
    )
    assert facts(finding) == {
        "duration_p50": read(1800, "s", "logs"),
        "duration_p90": read(1800, "s", "logs"),
        "samples": read(5, "runs", "logs"),
        "min_samples": (5, "runs", "policy", None),
        "lasts": read(50 * 3600, "s", "logs"),
        "quiet_for": read(49 * 3600, "s", "logs"),
    }
    assert "restart xo-server (or the proxy)" in finding.remedy
    assert "all others that go on" in finding.remedy


@pytest.mark.parametrize(
    ("lasts", "quiet", "usual", "is_stuck"),
    [
        (24 * HOUR + MINUTE, 24 * HOUR + MINUTE, [], True),
        (24 * HOUR, 24 * HOUR, [], False),
        (48 * HOUR, 24 * HOUR, [], False),
        (48 * HOUR, 24 * HOUR + MINUTE, [], True),
        (48 * HOUR, 30 * HOUR, past(60 * 16), False),
        (48 * HOUR + MINUTE, 30 * HOUR, past(60 * 16), True),
        (30 * HOUR, 25 * HOUR, past(60 * 4), True),
    ],
    ids=[
        "a day and a minute",
        "a day",
        "a step a day ago",
        "a step more than a day ago",
        "three times its past",
        "longer than three times its past",
        "a day is more than three times its past",
    ],
)
def test_both_sides_of_what_counts_as_stuck(lasts, quiet, usual, is_stuck):
    (finding,) = stalled(lasts, quiet, usual)
    assert finding.code == ("JOB_STUCK" if is_stuck else "JOB_RUNNING")


def test_a_stuck_run_stands_in_the_way_of_every_later_one_and_none_of_these_meets_another():
    logs = [*past(90), running(NOW - 100 * HOUR)]
    dues = [make_due(at=NOW + hours * HOUR) for hours in (1, 2, 20)]
    told = [said(due, *dues, jobs=[make_job(runId="run")], logs=logs) for due in dues]
    assert [[(one.code, one.level) for one in found] for found in told] == [[("JOB_STUCK", Level.BLOCK)]] * 3


def test_a_run_of_which_no_task_ever_began_is_quiet_since_its_start():
    (finding,) = said(make_due(at=NOW + HOUR), jobs=[make_job(runId="run")], logs=[running(NOW - 25 * HOUR)])
    assert finding.summary == "Job job is running since 25 h, and its log shows no step for 25 h: it seems stuck."


def test_without_its_log_nobody_knows_whether_it_is_stuck():
    (finding,) = said(make_due(at=NOW + HOUR), jobs=[make_job(runId="run")], logs=past(30))
    assert finding.code == "JOB_RUNNING"


@pytest.mark.parametrize("enough", [5, 4])
@pytest.mark.parametrize(
    ("schedule", "since", "members", "waits"),
    [
        ("schedule", 0, ("schedule", "weekly"), True),
        ("schedule", -5, ("schedule", "weekly"), False),
        ("schedule", 0, ("weekly",), False),
    ],
    ids=["its own turn", "an earlier turn", "no member"],
)
def test_a_member_waits_for_the_earlier_member_of_its_sequence_that_goes_on(enough, schedule, since, members, waits):
    begins = NOW - 30 * MINUTE
    world = {
        "jobs": [make_job(runId="run")],
        "call_jobs": [make_sequence(*members)],
        "schedules": [make_schedule(), make_schedule("weekly"), make_schedule("sequence", job="sequence-job")],
        "logs": [*past(60, runs=enough), running(begins + since * MINUTE, schedule)],
    }
    findings = said(member("weekly", NOW + 20 * MINUTE, begins), **world)
    assert [one.code for one in findings] == ([] if waits else ["JOB_RUNNING"])


def test_a_member_does_not_wait_for_a_run_of_which_no_log_tells():
    world = {
        "jobs": [make_job(runId="run")],
        "call_jobs": [make_sequence("schedule", "weekly")],
        "schedules": [make_schedule(), make_schedule("weekly"), make_schedule("sequence", job="sequence-job")],
    }
    assert len(said(member("weekly", NOW + 20 * MINUTE, NOW), **world)) == 1


# Other jobs


def test_another_job_on_the_same_vms_and_repository_is_likely_to_find_the_lock_held():
    (finding,) = said(make_due(), OTHER, **other_job())
    assert (finding.code, finding.level, finding.certainty) == ("RUN_OVERLAP", Level.WARN, Certainty.LIKELY)
    assert (finding.harm, finding.holds) == (Harm.NONE, ())
    assert "backs up 1 VM of this run to the same repository at the same time" in finding.summary
    assert finding.clears.eta == DUE + 30 * MINUTE


def test_another_job_on_the_same_vms_only_is_a_trend():
    (finding,) = said(make_due(), OTHER, **other_job(remotes="repo2"))
    assert (finding.level, finding.certainty) == (Level.WARN, Certainty.TREND)
    assert "both snapshot them" in finding.summary


OBJECT_STORES = ["s3://bucket", "s3+http://host/bucket", "azure://a/b", "azurite://a/b"]


@pytest.mark.parametrize("url", OBJECT_STORES)
def test_on_an_object_store_no_lock_is_found_held_but_both_snapshot_the_vm(url):
    world = other_job() | {"repositories": [make_repository(url=url)]}
    (finding,) = said(make_due(), OTHER, **world)
    assert (finding.level, finding.certainty) == (Level.WARN, Certainty.TREND)
    assert "both snapshot them" in finding.summary


def test_one_repository_with_locks_among_those_shared_is_enough():
    both = {"id": {"__or": ["repo", "repo2"]}}
    world = other_job() | {"repositories": [make_repository(url="s3://bucket"), make_repository("repo2")]}
    world["jobs"] = [make_job(remotes=both), make_job("other", remotes=both)]
    (finding,) = said(make_due(), OTHER, **world)
    assert "the second to come finds the lock held" in finding.summary


def test_a_repository_xo_does_not_show_may_have_locks():
    (finding,) = said(make_due(), OTHER, **other_job() | {"repositories": []})
    assert "the second to come finds the lock held" in finding.summary


def test_other_vms_on_the_same_object_store_are_neighbours_as_on_any_repository():
    (finding,) = said(
        make_due(), OTHER, **other_job(vms="vm2") | {"repositories": [make_repository(url="s3://bucket")]}
    )
    assert finding.level is Level.OK


def test_a_mirror_locks_nothing_on_an_object_store():
    world = other_job(vms="vm2", remotes="repo2", type="mirrorBackup", sourceRemote="repo")
    world |= {"repositories": [make_repository(url="s3://bucket"), make_repository("repo2")]}
    assert levels([make_due(), OTHER], **world) == [None, None]


def test_another_job_on_the_same_repository_with_other_vms_is_nothing_to_warn_of():
    (finding,) = said(make_due(), OTHER, **other_job(vms="vm2"))
    assert (finding.level, finding.code) == (Level.OK, "RUN_OVERLAP")
    assert finding.summary == "Shares a repository at that time with 1 other job (other); no VM is in both."


def test_another_job_with_other_vms_and_another_repository_is_silent():
    assert said(make_due(), OTHER, **other_job(vms="vm2", remotes="repo2")) == []


def test_a_vm_that_is_held_already_cannot_collide():
    view = make_view(make_estate(**other_job()), runs=[OTHER], vms=())
    assert [one.level for one in found(CHECK, view)] == [Level.OK]


@pytest.mark.parametrize(
    ("source", "target", "level"),
    [("repo", "repo2", Level.WARN), ("repo2", "repo", Level.WARN), ("repo2", "repo3", None)],
)
def test_a_mirror_locks_vms_at_its_target_and_its_source(source, target, level):
    world = other_job(vms="vm2", remotes=target, type="mirrorBackup", sourceRemote=source)
    assert levels([make_due(), OTHER], **world) == [level, level]
    if level:
        (finding,) = said(make_due(), OTHER, **world)
        assert finding.certainty is Certainty.LIKELY
        assert "a mirror locks each VM's folder at its source too" in finding.summary


def test_a_metadata_job_on_the_same_repository_has_no_vms_to_collide_with():
    assert levels([make_due(), OTHER], **other_job(type="metadataBackup")) == [Level.OK, Level.OK]


@pytest.mark.parametrize(
    ("at", "minutes", "level"),
    [
        (DUE - 30 * MINUTE, 30, None),
        (DUE - 30 * MINUTE, 31, Level.WARN),
        (DUE, 30, Level.WARN),
        (DUE + 29 * MINUTE, 30, Level.WARN),
        (DUE + 30 * MINUTE, 30, None),
        (DUE + 31 * MINUTE, 30, None),
    ],
)
def test_another_job_counts_while_both_go_on(at, minutes, level):
    dues = [make_due(), make_due("other-schedule", "other", at=at)]
    assert levels(dues, **other_job(minutes=minutes)) == [level, level]


def test_another_job_without_enough_runs_is_silent():
    assert said(make_due(), OTHER, **other_job(runs=4)) == []
    assert len(said(make_due(), OTHER, options={"min_samples": 4}, **other_job(runs=4))) == 1


def test_without_enough_runs_of_its_own_nobody_knows_what_a_run_meets_later():
    later = make_due("other-schedule", "other", at=DUE + 20 * MINUTE)
    world = other_job()
    theirs = [log for log in world["logs"] if log.job_id == "other"]
    for own in ([], past(30, runs=4)):
        few = world | {"logs": [*theirs, *own]}
        assert said(make_due(), later, **few) == []
        assert len(said(make_due(), OTHER, **few)) == 1
    assert len(said(make_due(), later, **world)) == 1


def test_the_first_collision_is_told_and_the_many_harmless_neighbours_are_counted():
    names = "abcde"
    world = {
        "jobs": [make_job(), *(make_job(name, vms={"id": "vm2"}) for name in names)],
        "schedules": [make_schedule(), *(make_schedule(f"{name}-s", job=name) for name in names)],
        "vms": [make_vm(), make_vm("vm2")],
        "logs": [*past(30), *(log for name in names for log in past(30, f"{name}-s", name))],
    }
    dues = [make_due(f"{name}-s", name, at=DUE + shift * MINUTE) for name in names for shift in (0, 5)]
    (finding,) = said(make_due(), *dues, **world)
    assert (
        finding.summary == "Shares a repository at that time with 5 other jobs (a, b, c and 2 more); no VM is in both."
    )
    jobs = [make_job("c") if job.id == "c" else job for job in world["jobs"]]
    (finding,) = said(make_due(), *dues, **world | {"jobs": jobs})
    assert (finding.level, "Job c" in finding.summary) == (Level.WARN, True)
