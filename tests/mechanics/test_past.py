"""Which failures of the past still count (failure-modes.md 3.12 to 3.15)."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from guard.mechanics.past import PastFailure, Recent, grouped, still_counting, suspected_archives
from msgspec import UNSET
from tests.builders import LAST_NIGHT, make_log, make_vm_task, ms

GOOD, BAD, SKIPPED, INTERRUPTED = "success", "failure", "skipped", "interrupted"


def failure(night, vm="vm", **more):
    """A failure of the run so many nights before the last one (0)."""
    start = ms(LAST_NIGHT - timedelta(days=night))
    known = {"schedule": "schedule", "job": "job", "code": "C", "place": "transfer", "target": "", "text": "broke"}
    return PastFailure(**{"run": f"run-{night}", "start": start, "vm": vm} | known | more)


def logs(*statuses, vm="vm"):
    """How a VM ended, the newest run first."""
    return [
        make_log(make_vm_task(vm, status=one), start=LAST_NIGHT - timedelta(days=night), id=f"run-{night}")
        for night, one in enumerate(statuses)
    ]


def counting(failed, *statuses, runs=5):
    """The nights whose failures still count, newest first, and among how many runs; None where none does."""
    found = still_counting([failure(night) for night in failed], logs(*statuses), runs).get("vm")
    return None if found is None else ([int(one.run[4:]) for one in found.failures], found.runs)


def test_failures_are_told_newest_first_and_only_those_of_the_last_runs():
    assert counting([0, 2, 4], BAD, GOOD, BAD, GOOD, BAD) == ([0, 2, 4], 5)
    assert counting([0, 2, 4], BAD, GOOD, BAD, GOOD, BAD, runs=3) == ([0, 2], 3)
    assert counting([1], GOOD, BAD) == ([1], 2)
    assert counting([4], BAD, BAD, BAD, BAD, BAD, runs=3) is None


def test_three_good_runs_in_a_row_end_what_was_before_them():
    assert counting([2, 3], GOOD, GOOD, BAD, BAD) == ([2, 3], 4)
    assert counting([3, 4], GOOD, GOOD, GOOD, BAD, BAD) is None


def test_a_run_that_only_a_retry_made_good_is_not_good():
    assert counting([1, 3], GOOD, GOOD, GOOD, BAD) == ([1, 3], 4)


def test_a_run_that_failed_otherwise_is_a_run_but_not_a_good_one():
    assert counting([3], GOOD, BAD, GOOD, BAD) == ([3], 4)


@pytest.mark.parametrize("status", [SKIPPED, INTERRUPTED, "pending"])
def test_a_vm_that_was_skipped_or_interrupted_shows_neither_way(status):
    assert counting([3], status, GOOD, GOOD, BAD) == ([3], 3)
    assert counting([4], status, GOOD, GOOD, GOOD, BAD) is None


def test_a_failure_counts_even_where_the_vm_was_skipped_in_the_end():
    assert counting([0], SKIPPED, GOOD) == ([0], 2)


def test_a_run_is_counted_once_though_two_targets_failed_in_it():
    twice = [failure(0, target="repo"), failure(0, target="other")]
    assert still_counting(twice, logs(BAD), 5) == {"vm": Recent((twice[1],), 1)}


def test_logs_without_tasks_or_a_time_are_no_runs_and_prove_nothing_good():
    blind = [make_log(start=LAST_NIGHT, id=f"blind-{n}", tasks=UNSET) for n in range(3)]
    timeless = [msgspec.structs.replace(one, id=f"timeless-{one.id}", start=UNSET) for one in logs(GOOD, GOOD, GOOD)]
    found = still_counting([failure(0)], [*blind, *timeless, *logs(BAD)], 5)
    assert found == {"vm": Recent((failure(0),), 1)}


def test_each_vm_counts_for_itself_and_failures_of_no_vm_count_for_none():
    world = [*logs(BAD, BAD), *logs(GOOD, GOOD, GOOD, BAD, vm="other")]
    merged = [
        make_log(make_vm_task("vm", status=BAD), make_vm_task("other", status=GOOD), start=LAST_NIGHT, id="run-0")
    ]
    assert still_counting([failure(0, vm="")], world, 5) == {}
    assert still_counting([failure(0)], merged, 5).keys() == {"vm"}
    assert still_counting([], world, 5) == {}


def test_what_vms_are_on_is_turned_round():
    assert grouped({"a": ["x", "y"], "b": ["y"], "c": []}) == {"x": ("a",), "y": ("a", "b")}


# Archives that XO took for broken


def cleaning(*warnings, status="success"):
    return {"message": "clean-vm", "status": status, "warnings": list(warnings)}


def broken(path="/xo-vm-backups/vm/1.xva"):
    return {"message": "XVA might be broken", "data": {"path": path}}


def cleaned_by(*tasks, ago=0, vm="vm", job="job"):
    start = LAST_NIGHT - timedelta(days=ago)
    return make_log(make_vm_task(vm, *tasks), start=start, id=f"{job}-{ago}", job=job)


def test_what_xo_took_for_broken_is_told_by_job_and_vm_wherever_in_the_run_it_cleaned_up():
    inner = {"message": "export", "status": "success", "tasks": [cleaning(broken("/a/2.xva"))]}
    logs = [cleaned_by(cleaning(broken()), inner, cleaning(broken())), cleaned_by(cleaning(broken()), job="other")]
    assert suspected_archives(logs) == {("job", "vm"): ("1.xva", "2.xva"), ("other", "vm"): ("1.xva",)}


def test_only_the_last_time_that_xo_cleaned_up_counts():
    assert suspected_archives([cleaned_by(cleaning(), ago=0), cleaned_by(cleaning(broken()), ago=1)]) == {}
    never = [
        cleaned_by(ago=0),
        cleaned_by(cleaning(broken(), status="failure"), ago=0),
        cleaned_by(cleaning(broken()), ago=1),
    ]
    assert suspected_archives(never) == {("job", "vm"): ("1.xva",)}


@pytest.mark.parametrize(
    ("warning", "names"),
    [
        ({"message": "XVA is missing", "data": {"path": "/a/1.xva"}}, None),
        ({"message": "XVA might be broken"}, ("",)),
        ({"message": "XVA might be broken", "data": {"path": 7}}, ("",)),
        ("XVA might be broken", None),
    ],
)
def test_odd_warnings_are_left_alone(warning, names):
    assert suspected_archives([cleaned_by(cleaning(warning))]).get(("job", "vm")) == names


def test_logs_without_tasks_or_a_time_and_tasks_of_no_vm_tell_of_no_archive():
    timeless = msgspec.structs.replace(cleaned_by(cleaning(broken())), start=UNSET)
    assert suspected_archives([make_log(tasks=UNSET), timeless, make_log(cleaning(broken()))]) == {}
