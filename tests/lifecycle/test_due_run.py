"""Folding events into a due run, and the orders that cannot be."""

from __future__ import annotations

import pytest
from guard.errors import LedgerError
from guard.lifecycle.due_run import Attempt, DueRun, apply, fold
from guard.lifecycle.events import RunKey
from tests.builders import DUE
from tests.lifecycle.stories import KEY, alarmed, attempt_ended, decided, ended, seen, started, story


def test_no_event_is_no_due_run():
    assert fold(KEY, ()) is None


def test_a_due_run_begins_when_it_is_seen():
    assert story(seen()) == DueRun(key=KEY, seen=seen(), seq=1)


def test_every_event_adds_what_it_tells_and_counts_one():
    run = story(
        seen(), decided(), started("a"), started("b"), alarmed(), attempt_ended("a"), attempt_ended("b"), ended()
    )
    assert run == DueRun(
        key=KEY,
        seen=seen(),
        decided=decided(),
        attempts=(Attempt(started("a"), attempt_ended("a")), Attempt(started("b"), attempt_ended("b"))),
        alarms=(alarmed(),),
        ended=ended(),
        seq=8,
    )


def test_a_run_goes_on_until_its_end_is_seen():
    run = story(seen(), started("a"), started("b"))
    assert [one.started.run for one in run.running] == ["a", "b"]
    assert [one.started.run for one in apply(KEY, run, attempt_ended("b")).running] == ["a"]


def test_a_later_prediction_replaces_the_one_before():
    assert story(seen(), decided(facts_age=2), decided(facts_age=1)).decided == decided(facts_age=1)


def test_alarms_are_kept_in_order_and_known_by_their_codes():
    run = story(seen(), alarmed("JOB_STUCK"), alarmed("XO_DID_NOT_FIRE"))
    assert [one.code for one in run.alarms] == ["JOB_STUCK", "XO_DID_NOT_FIRE"]
    assert run.alarm_codes == {"JOB_STUCK", "XO_DID_NOT_FIRE"}
    assert story(seen()).alarm_codes == frozenset()


def test_one_event_more_leaves_the_run_before_as_it_was():
    before = story(seen())
    apply(KEY, before, decided())
    assert before == story(seen())


ANY_BUT_SEEN = [decided(), started(), alarmed(), attempt_ended(), ended()]
BEGUN, RUNNING, OVER = (seen(),), (seen(), started()), (seen(), started(), attempt_ended())


@pytest.mark.parametrize(
    ("before", "event", "why"),
    [((), event, "its story has not begun") for event in ANY_BUT_SEEN]
    + [((seen(), ended()), event, "its story has ended") for event in (seen(), *ANY_BUT_SEEN)]
    + [((*OVER, ended()), ended(), "its story has ended")]
    + [(before, seen(), "it was seen already") for before in (BEGUN, RUNNING, OVER)]
    + [(before, started(), "run 1795564800000 was seen already") for before in (RUNNING, OVER)]
    + [(before, attempt_ended(), "no run 1795564800000 goes on") for before in (BEGUN, OVER)]
    + [(RUNNING, attempt_ended("other"), "no run other goes on")],
)
def test_an_order_that_cannot_be_is_an_error_that_names_the_due_run_and_the_event(before, event, why):
    with pytest.raises(LedgerError) as caught:
        fold(KEY, (*before, event))
    told = f"story of schedule due 2026-11-25 00:00 UTC holds {type(event).__name__} though {why}; was it edited"
    assert told in str(caught.value)


def test_keys_are_ordered_by_schedule_due_time_and_sequence():
    first, second, third = RunKey("a", DUE), RunKey("a", DUE, "sequence"), RunKey("b", DUE)
    assert sorted([third, second, first]) == [first, second, third]
