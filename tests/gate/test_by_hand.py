"""Runs that come when the story of their due time has ended, or whose due time was never entered: none is left untold."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.gate.ports import XoReads
from tests.builders import DUE, make_job, make_schedule, make_sequence
from tests.gate.night import FOUND_LATE, GOOD, SILENT, Night, after
from tests.gate.test_watch import NO_OVERLAP, job_named

TONIGHT = ("schedule", 0, "")


@pytest.fixture
def night(tmp_path):
    made = Night(tmp_path)
    yield made
    reads = {name for name in vars(XoReads) if not name.startswith("_")}
    assert {name for name, _ in made.xo.calls} <= reads
    made.ledger.close()


def test_a_member_run_by_hand_after_its_sequence_is_a_story_of_its_own(night):
    night.policy = NO_OVERLAP
    night.xo.jobs, night.xo.call_jobs = [job_named("first")], [make_sequence("first")]
    night.xo.schedules = [
        make_schedule("sequence", job="sequence-job"),
        make_schedule("first", job="first", enabled=False),
    ]
    night.xo.will_run(after(1), job="first", schedule="first", seconds=300)
    night.xo.sequences_run["sequence-job"] = (DUE, after(302))
    night.go(after(hours=1))
    night.xo.will_run(after(hours=2), job="first", schedule="first", seconds=300)
    night.go(after(hours=3))
    assert night.tales() == {("first", 0, "sequence"): GOOD, ("first", 7200, "by hand"): FOUND_LATE}


def test_xos_run_of_a_schedule_switched_on_while_guard_could_not_look_is_told(night):
    night.xo.schedules = [make_schedule(enabled=False)]
    night.xo.is_down(after(-300), after(600))
    night.go(after(-330))
    night.tick(after(-300))
    night.xo.schedules = [make_schedule()]
    night.xo.will_run(after(1), seconds=60)
    night.go(after(hours=1))
    assert night.tales() == {("schedule", 1, "by hand"): FOUND_LATE}


def test_a_run_that_begins_when_its_due_time_was_told_as_missed_is_told(night):
    night.go(after(100), every=timedelta(seconds=10))
    assert night.tales() == {TONIGHT: SILENT}
    night.xo.will_run(after(60), seconds=60)  # XO's own clock lags: it shows up later than it says it began
    night.go(after(hours=1))
    assert night.tales() == {TONIGHT: SILENT, ("schedule", 60, "by hand"): FOUND_LATE}


def test_a_run_whose_schedule_is_changed_at_once_is_in_one_story(night):
    night.go(after(-10))
    night.xo.will_run(DUE, seconds=300)
    night.xo.schedules = [make_schedule(cron="0 5 * * *")]
    night.go(after(hours=1))
    assert night.tales() == {TONIGHT: GOOD}


def test_after_a_restart_what_was_told_is_read_without_its_tasks_once_it_is_known(night):
    night.policy = NO_OVERLAP
    night.xo.jobs.append(make_job("long", settings={"long": {"exportRetention": 7}}))
    night.xo.schedules.append(make_schedule("long", job="long"))
    night.xo.will_run(DUE, job="long", schedule="long", seconds=90_000)
    told = night.xo.will_run(after(1), seconds=60)
    night.go(after(600))
    night.restart()
    night.go(after(630))
    assert told in night.watch._done
