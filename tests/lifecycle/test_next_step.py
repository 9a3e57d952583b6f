"""What is to be done next, over the whole life of a due run: due at midnight, the prediction a minute before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from guard.lifecycle.due_run import apply
from guard.lifecycle.events import Alarmed, AttemptEnded, End, Ended, Started
from guard.lifecycle.next_step import Evaluate, LogSeen, Observed, Record, Wait, next_step
from tests.builders import DUE
from tests.lifecycle.stories import RUN, after, attempt_ended, decided, ended, result, seen, started, story

LEAD, LOOK = timedelta(seconds=60), timedelta(seconds=30)
ENTERED, PREDICTED = story(seen()), story(seen(), decided())
RUNNING = story(seen(), decided(), started())
OVER = story(seen(), decided(), started(), attempt_ended())
TWICE = (DUE, after(3600))
TWICE_RUNNING = story(seen(starts=TWICE), decided(), started(), attempt_ended())
LATE = story(seen(late=True))


def log(run=RUN, seconds=0, outcome=None, quiet_since=None):
    return LogSeen(run=run, began=after(seconds), outcome=outcome, progress_at=quiet_since)


def at(seconds, *logs, logs_age=0, **more):
    """What XO shows so long after the due time; ``logs_age`` None: it cannot be read."""
    now = after(seconds)
    read = None if logs_age is None else now - timedelta(seconds=logs_age)
    return Observed(now=now, logs_at=read, logs=logs, **more)


def step(run, observed):
    return next_step(run, observed, lead=LEAD, look_every=LOOK)


def wait(seconds):
    return Wait(after(seconds))


def begins(seconds, run=RUN, began=0):
    return Record((Started(at=after(seconds), run=run, began=after(began)),))


def ends(seconds, run=RUN, **of_result):
    return AttemptEnded(at=after(seconds), run=run, outcome=result(run, **of_result))


DAY = 86400

LIFE = [
    ("entered early: it waits for the prediction", ENTERED, at(-90), wait(-60)),
    ("a second before the lead", ENTERED, at(-61), wait(-60)),
    ("at the lead it predicts", ENTERED, at(-60), Evaluate()),
    ("until the due time it still may", ENTERED, at(-1), Evaluate()),
    ("predicted: it looks again", PREDICTED, at(-50), wait(-20)),
    ("predicted, XO down: it looks again", PREDICTED, at(-50, logs_age=None), wait(-20)),
    ("at the due time a prediction is too late", ENTERED, at(0), wait(30)),
    ("XO down before the due time: the prediction is tried", ENTERED, at(-30, logs_age=None), Evaluate()),
    ("its run is there", PREDICTED, at(20, log()), begins(20)),
    ("its run is there before guard's clock says so", PREDICTED, at(-2, log(seconds=-3)), begins(-2, began=-3)),
    ("a run that began early needs no prediction any more", story(seen(), started(seconds=-3)), at(-1), wait(29)),
    ("unpredicted, its run is there", ENTERED, at(20, log()), begins(20)),
    ("no run yet: it looks until the settling time", PREDICTED, at(20), wait(50)),
    ("no run yet: it looks right at the settling time", PREDICTED, at(50), wait(70)),
    ("it goes on", RUNNING, at(600, log()), wait(630)),
    ("it goes on, XO down", RUNNING, at(600, logs_age=None), wait(630)),
    ("it goes on, XO down for hours", RUNNING, at(9 * 3600, logs_age=None), wait(9 * 3600 + 30)),
    ("it ended", RUNNING, at(1800, log(outcome=result())), Record((ends(1800),))),
    ("it ended, and a second may begin until all is settled", OVER, at(40), wait(70)),
    ("a run that ended is told once", OVER, at(40, log(outcome=result())), wait(70)),
    ("it is observed", OVER, at(1830), Record((Ended(at=after(1830), end=End.OBSERVED),))),
    ("it is observed though XO is down again", OVER, at(1830, logs_age=None), Record((ended(at=after(1830)),))),
]  # fmt: skip


@pytest.mark.parametrize(("run", "observed", "expected"), [row[1:] for row in LIFE], ids=[row[0] for row in LIFE])
def test_an_ordinary_life(run, observed, expected):
    assert step(run, observed) == expected


def test_a_run_that_was_over_before_it_was_seen_begins_and_ends_in_one_record():
    shown = at(40, log(outcome=result(status="failure")))
    assert step(PREDICTED, shown) == Record((*begins(40).events, ends(40, status="failure")))


def test_the_run_that_failed_as_already_running_is_this_due_times_run():
    first = result("0", status="failure", says="the job (x) is already running")
    shown = at(20, log("0", outcome=first))
    run = PREDICTED
    for event in step(run, shown).events:
        run = apply(run.key, run, event)
    assert run.attempts[0].ended.outcome.status == "failure"
    assert [one.code for one in run.attempts[0].ended.outcome.causes] == ["JOB_RUNNING"]
    assert step(run, at(70, log("0", outcome=first))) == Record((ended(at=after(70)),))


def test_several_runs_begin_and_end_in_the_order_of_their_begin():
    shown = at(80, log("b", 40), log("a", 0, outcome=result("a")))
    begun = Started(at=after(80), run="a", began=after(0)), Started(at=after(80), run="b", began=after(40))
    assert step(PREDICTED, shown) == Record((begun[0], ends(80, "a"), begun[1]))


def test_as_long_as_one_of_several_runs_goes_on_the_due_time_is_open():
    both = story(seen(), started("a"), started("b", 40), attempt_ended("a"))
    assert step(both, at(3600, log("a", outcome=result("a")), log("b", 40))) == wait(3630)
    last = log("b", 40, outcome=result("b"))
    assert step(both, at(3600, last)) == Record((ends(3600, "b"),))


def test_a_run_that_xo_lists_no_longer_is_given_up_after_a_day_and_its_end_is_unknown():
    assert step(RUNNING, at(DAY)) == wait(DAY + 30)
    assert step(RUNNING, at(DAY + 1, logs_age=None)) == wait(DAY + 31)
    (given_up,) = step(RUNNING, at(DAY + 1)).events
    assert (given_up.run, given_up.outcome.status, given_up.outcome.job.name) == (RUN, "unknown", "nightly")
    assert step(RUNNING, at(DAY + 1, log("other", DAY))) == Record(
        (Started(at=after(DAY + 1), run="other", began=after(DAY)), given_up)
    )
    done = story(seen(), decided(), started(), given_up)
    assert step(done, at(DAY + 1)) == Record((ended(at=after(DAY + 1)),))


# --- a clock-change night: XO starts it twice, an hour apart


@pytest.mark.parametrize(
    ("run", "observed", "expected"),
    [
        (TWICE_RUNNING, at(60), wait(3600 - 5)),
        (TWICE_RUNNING, at(3600 - 5), wait(3600 + 25)),
        (TWICE_RUNNING, at(1800, logs_age=None), wait(3600 - 5)),
        (story(seen(starts=TWICE), decided(), started()), at(1800, log()), wait(1830)),
        (TWICE_RUNNING, at(3600 + 50), wait(3600 + 70)),
        (TWICE_RUNNING, at(3600 + 20, log("2", 3600)), begins(3600 + 20, "2", 3600)),
        (TWICE_RUNNING, at(3600 + 70), Record((ended(at=after(3670)),))),
        (TWICE_RUNNING, at(3600 + 71, logs_age=2), wait(3600 + 101)),
        (TWICE_RUNNING, at(9000, logs_age=None), wait(9030)),
        (story(seen(starts=TWICE)), at(1800), wait(1830)),
        (story(seen(starts=TWICE)), at(1800, log("1", 0)), begins(1800, "1")),
    ],
    ids=[
        "between both nothing can begin",
        "just before the second, it may",
        "between both, XO down",
        "the first goes on",
        "the second is awaited as long as the first",
        "the second begins",
        "no second came, and that is sure",
        "no second came, and the logs are older than that",
        "whether a second came cannot be read",
        "no run after the first start yet",
        "the first is seen late",
    ],
)
def test_a_due_time_that_xo_starts_twice_is_open_until_both_are_settled(run, observed, expected):
    assert step(run, observed) == expected


# --- no run


def missed(seconds, run=PREDICTED):
    (alarm, end) = step(run, at(seconds)).events
    assert isinstance(alarm, Alarmed)
    return alarm, end


def test_no_run_after_a_minute_and_the_ten_seconds_of_xos_cache_is_an_alarm_and_the_end():
    alarm, end = missed(70)
    assert (alarm.at, alarm.code) == (after(70), "XO_DID_NOT_FIRE")
    assert alarm.text.startswith("XO started no run of schedule (nightly), due at Wed 25 Nov 00:00 UTC: it was down")
    assert end == Ended(at=after(70), end=End.MISSED, code="XO_DID_NOT_FIRE", reason=alarm.text)


@pytest.mark.parametrize(
    ("run", "unread", "why"),
    [
        (PREDICTED, False, "it was down, or its scheduler is not armed."),
        (
            PREDICTED,
            True,
            "guard could not read XO at that time, so most likely XO was down; else its scheduler is not armed.",
        ),
        (
            LATE,
            True,
            "guard could not read XO at that time, so most likely XO was down; else its scheduler is not armed.",
        ),
        (LATE, False, "guard did not look at XO at that time; XO was down too, or its scheduler is not armed."),
    ],
)
def test_what_was_missed_says_whether_guard_could_see_xo_then(run, unread, why):
    (alarm, _) = step(run, at(70, unread=unread)).events
    assert alarm.text == f"XO started no run of schedule (nightly), due at Wed 25 Nov 00:00 UTC: {why}"


@pytest.mark.parametrize("run", [ENTERED, PREDICTED, LATE], ids=["unpredicted", "predicted", "entered late"])
def test_an_unseen_run_is_missed_whether_it_was_predicted_or_not(run):
    assert missed(70, run)[1].end is End.MISSED


@pytest.mark.parametrize(
    ("observed", "until"),
    [
        (at(69), 70),
        (at(70, logs_age=1), 100),
        (at(300, logs_age=231), 330),
        (at(70, logs_age=None), 100),
        (at(9 * 3600, logs_age=None), 9 * 3600 + 30),
        (at(DAY, sequence_runs=True), DAY + 30),
    ],
    ids=[
        "before XO had its minute",
        "the logs were read a second too early",
        "the logs are old",
        "XO cannot be read",
        "XO cannot be read for hours",
        "the sequence it comes through goes on",
    ],
)
def test_a_due_time_is_not_missed_before_that_is_sure(observed, until):
    assert step(PREDICTED, observed) == wait(until)


def test_a_member_of_a_sequence_is_awaited_from_when_its_turn_should_come():
    member = story(seen(expected_at=after(1800), starts=(after(1800),)), decided())
    assert step(member, at(600)) == wait(630)
    assert step(member, at(1869)) == wait(1870)
    assert step(member, at(1870)).events[-1].end is End.MISSED


@pytest.mark.parametrize("fires", [True, None], ids=["it still fires", "that cannot be told"])
def test_without_a_reason_of_the_schedules_own_xo_did_not_fire(fires):
    assert step(PREDICTED, at(70, fires=fires)).events[-1].code == "XO_DID_NOT_FIRE"


def test_a_schedule_that_was_switched_off_or_changed_is_missed_without_an_alarm():
    reason = "Schedule schedule is disabled, changed or deleted now; XO started no run due at Wed 25 Nov 00:00 UTC."
    expected = Ended(at=after(70), end=End.MISSED, code="SCHEDULE_DISABLED", reason=reason)
    assert step(PREDICTED, at(70, fires=False)) == Record((expected,))


def test_a_run_counts_even_when_its_schedule_was_switched_off_since():
    assert step(PREDICTED, at(70, log(), fires=False)) == begins(70)


def test_a_due_time_entered_late_takes_its_run_with_its_end():
    shown = at(9 * 3600, log(outcome=result()))
    (begin, end) = step(LATE, shown).events
    assert (begin.began, end.outcome) == (DUE, result())


# --- stuck


def stuck(seconds, *, run=RUNNING, quiet_for=None, usual_s=None):
    since = None if quiet_for is None else after(seconds) - timedelta(seconds=quiet_for)
    found = step(run, at(seconds, log(quiet_since=since), usual_s=usual_s))
    return found.events if isinstance(found, Record) else None


@pytest.mark.parametrize(
    ("seconds", "quiet_for", "usual_s", "is_stuck"),
    [
        (DAY + 1, 1800, None, True),
        (DAY + 1, None, None, True),
        (DAY, 1800, None, False),
        (DAY + 1, 1799, None, False),
        (3 * DAY, 60, None, False),
        (3001, 1800, 1000, True),
        (3001, None, 1000, True),
        (3000, 1800, 1000, False),
        (3001, 1799, 1000, False),
        (1801, None, 60, True),
        (1799, None, 60, False),
        (DAY + 1, 1800, 100_000, False),
    ],
)
def test_a_run_is_stuck_when_it_is_three_times_as_long_as_usual_and_nothing_moves(
    seconds, quiet_for, usual_s, is_stuck
):
    found = stuck(seconds, quiet_for=quiet_for, usual_s=usual_s)
    assert ([one.code for one in found] if found else found) == (["JOB_STUCK"] if is_stuck else None)


def test_the_alarm_tells_since_when_how_long_it_usually_takes_and_how_long_nothing_moved():
    (alarm,) = stuck(10 * 3600, quiet_for=2400, usual_s=3600)
    assert alarm == Alarmed(
        at=after(36000),
        code="JOB_STUCK",
        text="The run of nightly that began Wed 25 Nov 00:00 UTC goes on for 10 h, usually at most 60 min, and its log "
        "shows no step for 40 min: it may be stuck, or one large transfer. No time limit of XO's ends it.",
    )
    (alarm,) = stuck(25 * 3600)
    assert "goes on for 25 h, and its log shows no step for 25 h: it may be stuck" in alarm.text


def test_a_stuck_run_is_told_once_and_still_ends():
    told = apply(RUNNING.key, RUNNING, stuck(DAY + 1)[0])
    assert step(told, at(2 * DAY, log())) == wait(2 * DAY + 30)
    assert step(told, at(2 * DAY, log(outcome=result()))) == Record((ends(2 * DAY),))


def test_a_run_first_seen_long_after_it_began_is_seen_before_it_is_called_stuck():
    shown = at(2 * DAY, log())
    assert step(LATE, shown) == begins(2 * DAY)
    seen_now = story(seen(late=True), started())
    assert [one.code for one in step(seen_now, shown).events] == ["JOB_STUCK"]


# --- whatever is true


@pytest.mark.parametrize("run", [ENTERED, PREDICTED, RUNNING, OVER, LATE, TWICE_RUNNING])
@pytest.mark.parametrize("seconds", [-90, -60, -1, 0, 1, 70, 3670, 2 * DAY])
@pytest.mark.parametrize("shown", [(), (log(),), (log(outcome=result()),)])
@pytest.mark.parametrize("logs_age", [0, 300, None])
def test_records_lead_to_an_end_or_to_a_wait_that_lies_ahead(run, seconds, shown, logs_age):
    observed = at(seconds, *(shown if logs_age is not None else ()), logs_age=logs_age)
    for _ in range(5):
        found = step(run, observed)
        if not isinstance(found, Record):
            break
        assert found.events
        for event in found.events:
            run = apply(run.key, run, event)
        if run.ended is not None:
            return
    waits = run.attempts and not run.running  # for the next start, or for the time after which none comes any more
    longest = timedelta(seconds=3600 + 70) if waits else max(LOOK, LEAD)
    assert found == Evaluate() or observed.now < found.until <= observed.now + longest


def test_stepping_again_on_the_same_sight_changes_nothing():
    shown = at(20, log())
    run = apply(PREDICTED.key, PREDICTED, step(PREDICTED, shown).events[0])
    assert step(run, shown) == wait(50)
    assert step(replace(run), shown) == wait(50)
