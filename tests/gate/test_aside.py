"""Why guard leaves a run to XO although the policy says enforce."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.agenda import make_agenda
from guard.gate.aside import Standing, firing_of, interval, other_guard, why_aside
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import RunKey
from guard.mechanics.fallback import Fallback, FallbackKind, Placed
from tests.builders import DUE, make_estate, make_job, make_schedule
from tests.lifecycle.stories import seen

NOW = DUE - timedelta(seconds=60)


def run_of(via=""):
    key = RunKey("schedule", DUE, via)
    return fold(key, [seen()])


def reason(*, jobs=None, schedules=None, run=None, confirmed=True, **standing):
    estate = make_estate(jobs=jobs or [make_job()], schedules=schedules or [make_schedule(cron="0 0 * * *")])
    agenda = make_agenda(
        estate, after=NOW, until=NOW + timedelta(days=1), local_zone=None, seconds_of=lambda _schedule: None
    )
    known = {"schedule": firing_of(run_of())} if confirmed else {}
    given = {"untrusted": "", "ahead": timedelta(), "confirmed": known} | standing
    return why_aside(run or run_of(), Standing(**given), estate, agenda, NOW)


def test_nothing_keeps_guard_from_a_plain_nightly_schedule():
    assert reason() == ""


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"untrusted": "the token's user is no administrator"}, "no administrator"),
        ({"jobs": [make_job(type="metadataBackup")]}, "metadata"),
        ({"ahead": timedelta(seconds=11)}, "clocks"),
        ({"ahead": timedelta(seconds=-11)}, "clocks"),
        ({"schedules": [make_schedule(cron="*/29 * * * *")]}, "more often"),
        ({"confirmed": False}, "confirmed"),
        ({"jobs": [make_job(), make_job(id="config", xoMetadata=True, runId="1")]}, "configuration is being backed up"),
        (
            {
                "jobs": [make_job(), make_job(id="config", type="metadataBackup", xoMetadata=True)],
                "schedules": [
                    make_schedule(cron="0 0 * * *"),
                    make_schedule(id="other", jobId="config", cron="0 0 * * *"),
                ],
            },
            "in these minutes",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else None,
)
def test_each_reason_is_told_in_words(case, words):
    assert words in reason(**case)


def test_half_an_hour_between_due_times_is_enough():
    assert reason(schedules=[make_schedule(cron="0,30 * * * *")]) == ""


def test_the_interval_of_a_schedule_that_fires_no_more_is_a_day():
    estate = make_estate(jobs=[make_job()], schedules=[make_schedule(enabled=False)])
    agenda = make_agenda(estate, after=NOW, until=DUE, local_zone=None, seconds_of=lambda _schedule: None)
    assert interval(run_of(), agenda) == timedelta(days=1)


@pytest.mark.parametrize(
    ("other", "age", "told"), [("0a0a", 0, "0a0a"), ("ffff", 0, ""), ("0a0a", 25, ""), ("5555", 0, "")]
)
def test_of_two_guards_the_lower_id_goes_first_and_what_a_dead_one_left_counts_for_nothing(other, age, told):
    due = NOW - timedelta(hours=age)
    fallback = Fallback(kind=FallbackKind.START, schedule="s", due=due, cron="3 0 25 10 *", instance=other)
    assert other_guard([Placed(job_id="j", fallback=fallback, armed=True)], "5555", NOW) == told
