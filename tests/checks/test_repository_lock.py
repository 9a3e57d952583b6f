"""Locks of VM folders: runs of other jobs that go on now, and merges after the last runs (failure-modes.md 3.11, 9.4)."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest
from guard.checks.repository_lock import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    DUE,
    GIB,
    NOW,
    facts,
    found,
    make_due,
    make_estate,
    make_job,
    make_log,
    make_repository,
    make_repository_info,
    make_schedule,
    make_sequence,
    make_transfer,
    make_vm,
    make_vm_task,
    read,
)
from tests.builders import make_view as view_of

BEGAN = NOW - timedelta(hours=1)
TO_DUE = int((DUE - BEGAN).total_seconds())
TWO = {"id": {"__or": ["repo", "repo2"]}}
CLOUD = make_repository(url="s3://bucket")


def going_on(*tasks, seconds=TO_DUE + 60, count=5, job=None, mine=None, due=None, options=None, log=True, **world):
    """What is said of the run of "vm" and "b" at midnight, beside a run of "other" with the same VMs that began at nine.

    ``seconds``: what its past runs took; ``tasks``: what its log shows.
    """
    both = {"id": {"__or": ["vm", "b"]}}
    other = make_job(
        "other", **{"vms": both, "runId": "running", "settings": {"theirs": {"exportRetention": 7}}} | (job or {})
    )
    past = [
        make_log(
            make_vm_task(),
            job="other",
            schedule="theirs",
            start=BEGAN - timedelta(days=one),
            seconds=seconds,
            id=f"o{one}",
        )
        for one in range(1, count + 1)
    ]
    now = make_log(*tasks, job="other", schedule="theirs", start=BEGAN, status="pending", id="running")
    given = {
        "jobs": [make_job(**{"vms": both} | (mine or {})), other],
        "schedules": [make_schedule(), make_schedule("theirs", job="other")],
        "vms": [make_vm(), make_vm("b")],
        "repositories": [make_repository(), make_repository("repo2"), make_repository("repo3")],
        "logs": [*past, *([now] if log else [])],
    }
    return found(CHECK, view_of(make_estate(**given | world), due=due), **(options or {}))


def levels(findings):
    return [(one.level, one.certainty, one.holds) for one in findings]


def test_a_healthy_estate_has_nothing_to_say():
    assert found(CHECK, view_of(make_estate())) == []


# A run that goes on


def test_a_run_that_still_has_the_vms_at_the_due_time_is_told_with_its_end():
    (finding,) = going_on()
    assert (finding.code, finding.check, finding.level) == ("REPOSITORY_LOCKED", "repository_lock", Level.WARN)
    assert (finding.certainty, finding.harm, finding.holds) == (Certainty.TREND, Harm.NONE, ("vm", "b"))
    assert finding.scope == Scope(ScopeKind.REPOSITORY, "repo", "repo")
    assert finding.clears == Clears(ClearedBy.TIME, DUE + timedelta(minutes=1))
    assert finding.summary == (
        "Job other is running and has not finished with 2 VMs of this run on the same repository (vm, b); by its past it ends "
        "about Wed 00:01 UTC. Who comes second to a VM's folder finds it locked."
    )
    assert facts(finding) == {
        "since": read("2026-11-24T21:00:00+00:00", "", "logs"),
        "ends": read("2026-11-25T00:01:00+00:00", "", "logs"),
        "samples": read(5, "runs", "logs"),
        "min_samples": (5, "runs", "policy", None),
    }


AT_WORK = make_vm_task("vm", status="pending")


@pytest.mark.parametrize(
    ("minutes", "tasks", "expected"),
    [
        (15, (AT_WORK,), (Level.BLOCK, Certainty.LIKELY, ("vm",))),
        (16, (AT_WORK,), (Level.WARN, Certainty.TREND, ("vm", "b"))),
        (15, (), (Level.WARN, Certainty.TREND, ("vm", "b"))),
    ],
    ids=["at work on one just before", "there is time to finish it", "it has not begun with any"],
)
def test_only_the_folder_that_is_held_now_stands_in_the_way_of_what_is_due_at_once(minutes, tasks, expected):
    assert levels(going_on(*tasks, due=make_due(at=NOW + timedelta(minutes=minutes)))) == [expected]


NOT_LOCKED = {
    "it ends just then": {"seconds": TO_DUE},
    "another repository": {"job": {"remotes": {"id": "repo2"}}},
    "other VMs": {"job": {"vms": {"id": "elsewhere"}}},
    "an object store has no locks": {"repositories": [CLOUD]},
    "the repository is off": {"repositories": [make_repository(enabled=False)]},
    "the repository is gone": {"repositories": []},
    "it takes longer than its past and the due time is far": {"seconds": 60},
    "too little past and the due time is far": {"count": 4},
    "its log was not read": {"log": False},
    "no repository of its own": {"mine": {"remotes": UNSET, "srs": {"id": "sr"}}},
}


@pytest.mark.parametrize("world", NOT_LOCKED.values(), ids=NOT_LOCKED)
def test_a_run_that_does_not_stand_in_the_way_is_not_told(world):
    assert going_on(**world) == []


def test_the_run_of_the_job_itself_is_another_checks_matter():
    assert going_on(job={"runId": UNSET}, mine={"runId": "running"}) == []


@pytest.mark.parametrize(("minutes", "is_told"), [(60, True), (61, False)])
@pytest.mark.parametrize("how", [{"seconds": 60}, {"count": 4}, {"log": False}])
def test_a_run_whose_end_cannot_be_told_is_a_tendency_for_what_is_due_soon(minutes, is_told, how):
    findings = going_on(due=make_due(at=NOW + timedelta(minutes=minutes)), **how)
    assert levels(findings) == [(Level.WARN, Certainty.TREND, ("vm", "b"))] * is_told
    if is_told:
        assert "when it ends cannot be told" in findings[0].summary
        assert findings[0].clears == Clears(ClearedBy.TIME)


def test_how_much_past_it_takes_is_the_policys_choice():
    assert levels(going_on(count=4, options={"min_samples": 4})) == [(Level.WARN, Certainty.TREND, ("vm", "b"))]
    assert going_on(count=4) == []


CUT = make_transfer(GIB, status="failure")


@pytest.mark.parametrize(
    ("task", "mode", "held"),
    [
        (make_vm_task("vm", make_transfer(GIB)), "delta", ("b",)),
        (make_vm_task("vm", status="skipped"), "delta", ("b",)),
        (make_vm_task("vm", status="failure"), "delta", ("b",)),
        (make_vm_task("vm", status="pending"), "delta", ("vm", "b")),
        (make_vm_task("vm", CUT, status="failure"), "delta", ("vm", "b")),
        (make_vm_task("vm", CUT, status="failure"), "full", ("b",)),
    ],
    ids=[
        "done",
        "skipped",
        "failed before its transfer",
        "at work",
        "a cut delta leaves its lock",
        "a cut full does not",
    ],
)
def test_a_vm_is_let_go_when_the_run_has_finished_with_it(task, mode, held):
    assert [one.holds for one in going_on(task, job={"mode": mode})] == [held]


def test_nothing_is_left_to_say_when_it_has_finished_with_all():
    assert going_on(*(make_vm_task(one, make_transfer(GIB)) for one in ("vm", "b"))) == []


@pytest.mark.parametrize("mine", [{"remotes": TWO}, {"srs": {"id": "sr"}}])
def test_with_another_target_left_it_is_a_warning(mine):
    soon = make_due(at=NOW + timedelta(minutes=10))
    assert levels(going_on(AT_WORK, mine=mine, due=soon)) == [(Level.WARN, Certainty.LIKELY, ("vm",))]


def test_with_all_targets_shared_it_stands_in_the_way():
    soon = make_due(at=NOW + timedelta(minutes=10))
    (finding,) = going_on(AT_WORK, mine={"remotes": TWO}, job={"remotes": TWO}, due=soon)
    assert (finding.level, finding.scope.id) == (Level.BLOCK, "repo")


MIRROR = {"type": "mirrorBackup", "vms": UNSET, "sourceRemote": "repo", "remotes": {"id": "repo3"}}


@pytest.mark.parametrize(
    "world",
    [{"job": MIRROR}, {"job": MIRROR | {"sourceRemote": "repo3", "remotes": {"id": "repo"}}}, {"mine": MIRROR}],
    ids=["its source is a target", "its target is a target", "the run itself is a mirror"],
)
def test_a_mirror_may_come_to_any_folder_and_holds_nobody(world):
    (finding,) = going_on(**world)
    assert (finding.level, finding.certainty, finding.holds) == (Level.WARN, Certainty.TREND, ())
    assert "works on the same repository; a mirror locks" in finding.summary


def test_a_mirror_between_other_repositories_does_not_matter():
    assert going_on(job=MIRROR | {"sourceRemote": "repo2"}) == []


def test_an_earlier_member_of_the_same_turn_of_a_sequence_is_waited_for():
    world = {
        "call_jobs": [make_sequence("theirs", "schedule")],
        "schedules": [
            make_schedule(),
            make_schedule("theirs", job="other"),
            make_schedule("sequence", job="sequence-job"),
        ],
    }

    def at(begins, **more):
        return make_due(via="sequence", sequence_at=begins, **more)

    assert going_on(due=at(BEGAN), **world) == []
    assert len(going_on(due=at(BEGAN + timedelta(minutes=1)), **world)) == 1
    assert len(going_on(due=at(None), **world)) == 1
    assert len(going_on(due=at(BEGAN), **world | {"call_jobs": []})) == 1
    assert len(going_on(due=at(BEGAN), **world | {"call_jobs": [make_sequence("schedule")]})) == 1


# Merges


def merging(
    *, minutes=60, count=8, retention=7, ago=timedelta(), settings=None, info=UNSET, job=None, full=False, **world
):
    """What is said of the run of "vm" at midnight, whose last delta ended at 23:00, ``minutes`` after it began."""
    ended = DUE - timedelta(hours=1) - ago
    begins = [ended - timedelta(minutes=minutes, days=one) for one in range(count)]
    logs = [
        make_log(
            make_vm_task("vm", make_transfer(GIB, full=full, start=one, seconds=60 * minutes)), start=one, id=f"{one}"
        )
        for one in begins
    ]
    given = {
        "jobs": [
            make_job(**{"settings": {"schedule": {"exportRetention": retention} | (settings or {})}} | (job or {}))
        ],
        "repository_info": {"repo": msgspec.structs.replace(make_repository_info(), encryption=info)},
        "logs": logs,
    }
    return found(CHECK, view_of(make_estate(**given | world), now=DUE - timedelta(minutes=1)))


def test_a_merge_that_is_not_over_at_the_due_time_is_a_tendency_with_its_end():
    (finding,) = merging()
    assert (finding.code, finding.level, finding.certainty) == ("REPOSITORY_LOCKED", Level.WARN, Certainty.TREND)
    assert (finding.holds, finding.harm) == (("vm",), Harm.NONE)
    # two hours for what was sent in one
    assert finding.clears == Clears(ClearedBy.TIME, DUE + timedelta(hours=1))
    assert finding.summary == (
        "Backup repository repo: after their last delta older ones are merged, for 1 VM of this run perhaps until "
        "Wed 01:00 UTC (vm); their folders are locked meanwhile."
    )
    assert facts(finding) == {
        "vms": read(1, "VMs", "logs"),
        "ends": read("2026-11-25T01:00:00+00:00", "", "logs"),
    }


NO_MERGE = {
    "it is over by then": {"minutes": 30},
    "retention is not full": {"count": 7},
    "long-term retention": {"settings": {"longTermRetention": {"daily": {"retention": 3, "settings": {}}}}},
    "no retention": {"retention": 0},
    "it was the day before": {"ago": timedelta(days=1), "minutes": 3000},
    "there was no delta": {"full": True},
    "blocks are renamed": {"info": {"algorithm": "chacha20-poly1305"}},
    "an object store": {"repositories": [CLOUD]},
    "a full job": {"job": {"mode": "full"}},
    "another VM": {"job": {"vms": {"id": "elsewhere"}}},
}


@pytest.mark.parametrize("world", NO_MERGE.values(), ids=NO_MERGE)
def test_no_merge_is_expected_that_is_not_to_be_done_or_takes_no_time(world):
    assert merging(**world) == []


def test_the_merge_of_a_job_that_is_gone_is_not_told():
    gone = make_job("gone", settings={"schedule": {"exportRetention": 7}})
    logs = merge_logs("vm", ends=DUE - timedelta(hours=1), minutes=40, job="gone")
    assert merging(logs=logs) == []
    assert len(merging(logs=logs, jobs=[make_job(), gone])) == 1


def merge_logs(vm, *, ends: datetime, minutes=20, job="job", sizes=GIB):
    start = ends - timedelta(minutes=minutes)
    return [
        make_log(
            make_vm_task(vm, make_transfer(sizes, start=start - timedelta(days=one), seconds=60 * minutes)),
            job=job,
            start=start - timedelta(days=one),
            id=f"{job}-{vm}-{one}",
        )
        for one in range(8)
    ]


def test_one_worker_merges_vm_after_vm_as_fast_as_the_repository_was_at_its_best():
    first = merge_logs("a", ends=DUE - timedelta(minutes=70), minutes=30)
    own = merge_logs("vm", ends=DUE - timedelta(minutes=60))
    jobs = [make_job(vms={"id": {"__or": ["a", "vm"]}})]
    world = {"jobs": jobs, "vms": [make_vm(), make_vm("a")]}
    assert merging(logs=own, **world) == []
    # 40 minutes each: a until 23:30, then the VM until 0:10
    (finding,) = merging(logs=[*first, *own], **world)
    assert (finding.holds, finding.clears.eta) == (("vm",), DUE + timedelta(minutes=10))


@pytest.mark.parametrize("last", [{"sizes": 0}, {"minutes": 0}])
def test_a_last_transfer_that_moved_nothing_or_took_no_time_tells_of_no_merge(last):
    assert merging(logs=merge_logs("vm", ends=DUE - timedelta(minutes=1), **last)) == []
    newest = merge_logs("vm", ends=DUE - timedelta(minutes=1), **last)[:1]
    older = merge_logs("vm", ends=DUE - timedelta(minutes=1), minutes=30)[1:]
    assert merging(logs=[*newest, *older, *merge_logs("vm", ends=DUE - timedelta(days=3))]) == []
