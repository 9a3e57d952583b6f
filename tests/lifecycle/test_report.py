"""What a span of due runs adds up to, who may be trusted, and which codes cry wolf."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from guard.decision.verdict import Action
from guard.finding import Level
from guard.lifecycle.events import BY_HAND, End, RunKey
from guard.lifecycle.report import make_report
from guard.outcomes.score import Tally
from guard.policy.load import load
from tests.builders import DUE
from tests.lifecycle.stories import KEY, alarmed, attempt_ended, decided, ended, finding, seen, started, story

SINCE, UNTIL = DUE, DUE + timedelta(days=30)


def night(
    number, *findings, status="success", late_s=0, predicted=True, key="schedule", action=Action.START, **of_result
):
    """A whole night, that many days on."""
    due = DUE + timedelta(days=number)
    run = f"{key}-{number}"
    events = [seen(due=due, name=key), started(run, late_s, due=due), attempt_ended(run, status=status, **of_result)]
    if predicted:
        events.insert(1, decided(*findings, due=due, action=action))
    return story(*events, ended(), key=RunKey(key, due))


def missed(number, code="XO_DID_NOT_FIRE", key="schedule"):
    due = DUE + timedelta(days=number)
    told = [alarmed(code)] if code == "XO_DID_NOT_FIRE" else []
    end = ended(End.MISSED, code=code, reason="Nobody started it.")
    return story(seen(due=due, name=key), decided(due=due), *told, end, key=RunKey(key, due))


def report(*runs):
    return make_report(runs, SINCE, UNTIL)


def record(*runs):
    (only,) = report(*runs).schedules
    return only


def test_nothing_due_is_a_report_of_nothing():
    empty = report()
    assert (empty.since, empty.until, empty.due, empty.open, empty.ends) == (SINCE, UNTIL, 0, 0, {})
    assert (empty.statuses, empty.causes, empty.tallies, empty.would_have) == ({}, {}, {}, {})
    assert (empty.schedules, empty.wolves, empty.failed) == ((), (), ())


def test_ends_statuses_and_causes_are_counted():
    going_on = story(seen(), decided(), started(), key=KEY)
    found = report(night(1), night(2, status="failure"), night(3, status="failure"), missed(4), going_on)
    assert (found.due, found.open) == (5, 1)
    assert found.ends == {"observed": 3, "missed": 1}
    assert found.statuses == {"success": 1, "failure": 2}
    assert found.causes == {"CHAIN_UNHEALTHY": 2}
    assert found.would_have == {"start": 5}


def test_what_went_wrong_is_listed_oldest_first():
    bad = [night(3, status="failure"), missed(1), night(2, status="skipped")]
    assert report(*bad, night(0)).failed == (bad[1], bad[2], bad[0])


def test_schedules_are_told_apart_and_bear_their_latest_names():
    found = report(night(0, key="b"), night(1, key="a"), night(0, key="a"))
    assert [(one.id, one.name, one.job_name, one.due) for one in found.schedules] == [
        ("a", "a", "nightly", 2),
        ("b", "b", "nightly", 1),
    ]


def test_a_record_counts_what_became_of_a_schedule():
    found = record(
        night(0),
        night(1, status="failure"),
        missed(2),
        night(3, finding(), action=Action.START_SOME),
        night(4, predicted=False),
        story(seen(due=DUE + timedelta(days=5)), key=RunKey("schedule", DUE + timedelta(days=5))),
    )
    assert (found.due, found.observed, found.missed, found.failed) == (6, 4, 1, 2)
    assert (found.predicted, found.false_blocks, found.on_time, found.would_hold) == (3, 1, 4, 1)


WEEK = tuple(night(number) for number in range(7))


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        (WEEK, ""),
        (WEEK[:6], "6 of 7 runs predicted and seen"),
        ((), None),
        ((*WEEK[:6], night(7, predicted=False)), "6 of 7 runs predicted and seen"),
        ((*WEEK[:6], missed(7)), "6 of 7 runs predicted and seen"),
        ((*WEEK, missed(7)), ""),
        ((*WEEK, night(7, status="failure")), ""),
        ((*WEEK, night(7, finding(), status="failure")), ""),
        ((*WEEK, night(7, finding())), "1 run would have been held for nothing"),
        ((*WEEK, night(7, finding(level=Level.WARN))), ""),
        ((*WEEK, night(7, late_s=60)), ""),
        ((*WEEK, night(7, late_s=-5)), ""),
        ((*WEEK, night(7, late_s=61)), "1 of 8 starts did not come at the predicted time"),
        ((*WEEK, night(7, late_s=61, predicted=False)), "1 of 8 starts did not come at the predicted time"),
    ],
    ids=[
        "a good week",
        "a day less",
        "never",
        "one was not predicted",
        "one was missed",
        "a good week, and one missed",
        "a good week, and one that failed unforeseen",
        "a good week, and one that failed as foreseen",
        "a false block",
        "a false warning",
        "a minute late",
        "early",
        "more than a minute late",
        "late, and not predicted",
    ],
)
def test_a_schedule_is_ready_after_seven_good_predictions_without_a_false_block_all_on_time(runs, why):
    assert [one.not_ready for one in report(*runs).schedules] == ([] if why is None else [why])


def test_of_two_starts_on_a_clock_change_night_either_is_on_time():
    starts = (DUE, DUE + timedelta(hours=1))
    run = story(seen(starts=starts), decided(), started("2", 3600), attempt_ended("2"), ended())
    assert record(run).on_time == 1


def test_a_run_that_goes_on_is_no_score_yet():
    found = report(story(seen(), decided(finding()), started()))
    assert (found.schedules[0].predicted, found.tallies) == (0, {})


def test_predictions_are_tallied_by_code():
    found = report(night(0, finding(), status="failure"), night(1, finding()), night(2, status="failure"))
    assert found.tallies == {"CHAIN_UNHEALTHY": Tally(hits=1, misses=1, false_alarms=1)}


@pytest.mark.parametrize(
    ("hits", "false_alarms", "wolves"),
    [(0, 1, ()), (0, 2, ("CHAIN_UNHEALTHY",)), (1, 2, ("CHAIN_UNHEALTHY",)), (2, 2, ()), (2, 3, ("CHAIN_UNHEALTHY",))],
)
def test_a_code_cries_wolf_when_it_was_wrong_more_than_once_and_more_often_than_right(hits, false_alarms, wolves):
    good = [night(number, finding(), status="failure") for number in range(hits)]
    bad = [night(10 + number, finding()) for number in range(false_alarms)]
    assert report(*good, *bad).wolves == wolves


def test_what_went_wrong_is_told_by_due_time_whatever_the_schedules_ids_are():
    late, early = night(2, status="failure", key="a"), night(1, status="failure", key="z")
    assert report(late, early).failed == (early, late)


def test_what_enforce_would_have_held_is_counted_by_verdict():
    held = [night(0, action=Action.START_SOME), night(1, action=Action.DEFER), night(2, action=Action.DEFER), night(3)]
    found = report(*held)
    assert found.would_have == {"start_some": 1, "defer": 2, "start": 1}
    assert found.schedules[0].would_hold == 3


# --- what the policy in force says

OFTEN = RunKey("often", DUE)


def often(*findings, acts=False, aside=""):
    entered = msgspec.structs.replace(seen(name="often"), cron="*/3 * * * *")
    judged = msgspec.structs.replace(decided(*findings), acts=acts, aside=aside)
    return story(entered, judged, started(), attempt_ended(), ended(), key=OFTEN)


def by(text, *runs):
    (only,) = make_report(runs, SINCE, UNTIL, load(f'[xo]\nurl = "http://x"\n{text}', file="g.toml")).schedules
    return only


def test_a_schedule_is_enforced_by_the_policy_in_force_whatever_its_last_story_says():
    assert not by("", often(acts=True)).enforced
    assert by('[defaults]\ngate = "enforce"\n', often()).enforced
    assert record(often(acts=True)).enforced


def test_where_only_xo_could_tell_whether_it_is_enforced_its_stories_do():
    tagged = '[[schedule]]\ntag = "prod"\ngate = "enforce"\n'
    assert by(tagged, often(acts=True)).enforced
    assert not by(tagged, often()).enforced


def test_a_schedule_that_fires_too_often_is_never_ready_and_says_why():
    why = "it fires more often than every 30 min"
    found = record(*(often() for _ in range(7)))
    assert (found.left_to_xo, found.not_ready) == (why, f"{why}, and guard leaves such a schedule to XO")


def test_a_run_by_hand_does_not_hide_that_a_schedule_fires_too_often():
    later = RunKey("often", DUE + timedelta(hours=1), BY_HAND)
    found = record(often(), story(seen(name="often"), started(), ended(), key=later))
    assert found.left_to_xo


def test_what_is_enforced_and_left_to_xo_is_not_what_enforce_would_have_held():
    held = [often(finding(), aside="it fires more often than every 30 min"), night(1, action=Action.DEFER)]
    assert report(*held).would_have == {"defer": 1}
