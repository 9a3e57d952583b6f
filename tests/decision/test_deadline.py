"""How long what is held may wait: by the policy, by the interval, by the window, and by the age of the last backup."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from guard.decision.deadline import interval_after, run_deadline, vm_deadlines
from guard.finding import Certainty, ClearedBy, Clears, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.due import Storm
from guard.policy.load import load
from guard.policy.resolve import effective
from tests.builders import DUE, make_due, make_estate, make_log, make_schedule, make_view, ms

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def rules(text=""):
    policy = load(f'xo.url = "https://xo"\n{text}', file="p")
    return effective(policy, schedule_id="schedule", schedule_name="schedule", job_name="job", tags=())


def window(cron, hours):
    return f'[[window]]\ncron = "{cron}"\nduration = "{hours} h"\n'


def run(*logs):
    return make_view(make_estate(logs=logs)).run


def finding(by=ClearedBy.TIME):
    return Finding(
        code="X",
        check="x",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, "v", "v"),
        holds=("v",),
        summary="x",
        remedy="x",
        clears=Clears(by),
    )


@pytest.mark.parametrize(
    ("cron", "apart"),
    [
        ("0 0 * * *", None),
        ("0 0,12 * * *", 12 * HOUR),
        ("0 0,8 * * *", 8 * HOUR),
        ("0 * * * *", HOUR),
        ("*/10 * * * *", 10 * MINUTE),
        ("", None),
    ],
)
def test_the_next_due_time_counts_within_twelve_hours(cron, apart):
    assert interval_after(make_due(cron=cron), make_schedule()) == apart


def test_the_interval_of_a_member_is_that_of_its_sequence():
    due = make_due(at=DUE + 40 * MINUTE, cron="0 */2 * * *", via="seq", sequence_at=DUE)
    assert interval_after(due, make_schedule(cron="5 5 5 5 *")) == 2 * HOUR


def test_the_two_starts_of_a_spring_night_are_one_due_time():
    spring = datetime(2027, 3, 28, tzinfo=UTC)
    due = make_due(at=spring + 30 * MINUTE, cron="30 2 * * *", zone="Europe/Paris")
    assert interval_after(due, make_schedule()) is None


@pytest.mark.parametrize(
    ("text", "interval", "waits"),
    [
        ("", None, 6 * HOUR),
        ("", 12 * HOUR, 6 * HOUR),
        ("", 8 * HOUR, 4 * HOUR),
        ("", HOUR, 30 * MINUTE),
        ('defaults.max_defer = "8 h"', HOUR, 8 * HOUR),
        ('defaults.max_defer = "0 s"', None, 0 * HOUR),
        (window("0 22 * * *", 4), None, 2 * HOUR),
        (window("0 22 * * *", 12), None, 6 * HOUR),
        (window("0 1 * * *", 2), None, 3 * HOUR),
        ('defaults.max_defer = "1 h"\n' + window("0 22 * * *", 4), None, HOUR),
        (window("0 0 * * *", 24), None, 6 * HOUR),
    ],
)
def test_a_run_waits_by_policy_or_six_hours_or_half_the_interval_and_never_beyond_its_window(text, interval, waits):
    assert run_deadline(run(), rules(text), interval) == DUE + waits


def test_a_run_in_a_gap_of_the_clocks_waits_an_hour_beyond_it_at_least():
    gap = Storm(first=DUE, last=DUE + 8 * HOUR)
    stormy = replace(run(), due=replace(run().due, storm=gap))
    assert run_deadline(stormy, rules(""), None) == DUE + 9 * HOUR
    assert (
        run_deadline(replace(run(), due=replace(run().due, storm=Storm(DUE, DUE))), rules(""), None) == DUE + 6 * HOUR
    )


def test_where_the_past_tells_how_long_it_takes_it_must_end_inside_its_window():
    took = make_log(seconds=3600)
    assert run_deadline(run(took), rules(window("0 22 * * *", 4)), None) == DUE + HOUR
    long = make_log(seconds=10 * 3600)
    assert run_deadline(run(long), rules(window("0 22 * * *", 4)), None) == DUE


def test_a_window_that_never_opens_shortens_nothing():
    shut = window("0 22 * * *", 1) + '[[window]]\nkind = "deny"\ncron = "0 0 * * *"\nduration = "24 h"\n'
    assert run_deadline(run(), rules(shut), None) == DUE + 6 * HOUR


def deadline_of(*hours_ago, age=None, reasons=None):
    backups = {"v": tuple(ms(DUE - one * HOUR) for one in hours_ago)} if hours_ago else {}
    found = vm_deadlines(
        {"v": reasons or (finding(),)},
        due=DUE,
        deadline=DUE + 6 * HOUR,
        backups=backups,
        max_backup_age=age and age * HOUR,
    )
    return (found["v"] - DUE) / HOUR


@pytest.mark.parametrize(
    ("hours_ago", "age", "waits"),
    [
        ((), None, 6),
        ((), 1, 6),
        ((72, 48, 24), None, 6),
        ((18, 12, 6), None, 6),
        ((12, 8, 4), None, 6),
        ((9, 6, 3), None, 6),
        ((4, 3, 2), None, 1),
        ((11, 9, 7, 2), None, 4),
        ((90, 80), None, 6),
        ((90, 80), 84, 4),
        ((20,), 24, 4),
        ((20,), 20.5, 1),
        ((90,), 24, 1),
    ],
)
def test_a_vm_waits_until_its_last_good_backup_is_too_old_but_for_an_hour_at_least(hours_ago, age, waits):
    assert deadline_of(*hours_ago, age=age) == waits


def test_the_age_does_not_count_where_only_a_person_can_clear_what_holds_the_vm():
    person, time = finding(ClearedBy.PERSON), finding()
    assert deadline_of(90, age=24, reasons=(person,)) == 6
    assert deadline_of(90, age=24, reasons=(person, person)) == 6
    assert deadline_of(90, age=24, reasons=(person, time)) == 1
    assert deadline_of(90, age=24, reasons=(finding(ClearedBy.REMEDY),)) == 1


def test_a_run_that_may_not_wait_an_hour_does_not_because_of_an_age():
    found = vm_deadlines(
        {"v": (finding(),)},
        due=DUE,
        deadline=DUE + 10 * MINUTE,
        backups={"v": (ms(DUE - 90 * HOUR),)},
        max_backup_age=HOUR,
    )
    assert found == {"v": DUE + 10 * MINUTE}
