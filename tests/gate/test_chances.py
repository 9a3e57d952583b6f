"""What stands for and against a follow-up, by the policy and by XO's setup."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from guard.agenda import make_agenda
from guard.estate.xo_records import Schedule
from guard.gate.chances import FAR, chances_of, is_question
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import End, Ended, RunKey, Starting
from guard.lifecycle.turn import DueSequence
from guard.policy.remedies_schema import RemediesSection
from tests.builders import DUE, make_estate, make_job, make_schedule, make_sequence
from tests.lifecycle.stories import seen
from tests.lifecycle.test_follow_up import OVER, SKIPPED, decided, following, good, ran, run_of

ON = make_schedule(name="every night", cron="0 0 * * *", enabled=True)
RUN = run_of(*SKIPPED)


def chances(run=RUN, *, schedules=(ON,), jobs=None, calls=(), sequence=None, remedies=None, now=OVER, **more):
    setup = make_estate(schedules=schedules, jobs=[make_job()] if jobs is None else jobs, call_jobs=calls)
    agenda = make_agenda(setup, after=now, until=now, local_zone="utc", seconds_of=lambda _: None)
    told = {"enforced": True, "aside": ""} | more
    return chances_of(run, setup, agenda, remedies or RemediesSection(), sequence, 60.0, now, **told)


def test_only_a_run_in_which_something_went_wrong_is_a_question_and_one_that_is_followed_up():
    assert not is_question(run_of(decided(), *ran(good(), good("vm"), status="success")))
    assert is_question(RUN)
    assert is_question(run_of(*SKIPPED, following()))


def test_by_default_a_backup_job_of_an_enforced_schedule_may_be_followed_up_but_not_its_transfers():
    found = chances()
    assert (found.why_not, found.transfers, found.proxied, found.waits_for, found.usual_s) == (
        "",
        False,
        False,
        "",
        60.0,
    )


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"enforced": False}, "the policy does not ask for it"),
        ({"remedies": RemediesSection(follow_up=False)}, "the policy does not ask for it"),
        ({"jobs": []}, "the job is gone"),
        ({"jobs": [make_job(type="mirrorBackup")]}, "the job backs up no VMs"),
        ({"jobs": [make_job(type="metadataBackup")]}, "the job backs up no VMs"),
    ],
)
def test_why_there_is_none(more, why):
    assert chances(**more).why_not == why


def test_the_policy_and_the_job_tell_the_rest():
    found = chances(remedies=RemediesSection(follow_up_transfers=True), jobs=[make_job(proxy="a-proxy")], aside="no")
    assert (found.transfers, found.proxied, found.aside) == (True, True, "no")


# --- when XO starts the job next


def test_xo_starts_the_job_next_at_its_schedules_next_due_time():
    assert chances().next_start == DUE + timedelta(days=1)


def test_any_schedule_of_the_job_counts_and_none_of_others():
    sooner = make_schedule("sooner", cron="0 3 * * *", enabled=True)
    other = make_schedule("other", job="another", cron="0 1 * * *", enabled=True)
    assert chances(schedules=(ON, sooner, other)).next_start == DUE + timedelta(hours=3)
    off = make_schedule("sooner", cron="0 3 * * *", enabled=False)
    assert chances(schedules=(ON, off)).next_start == DUE + timedelta(days=1)


def test_through_a_sequence_too():
    fires = make_schedule("fires", job="sequence-job", cron="0 4 * * *", enabled=True)
    member = make_schedule(cron="0 0 1 jan *", enabled=False)
    found = chances(schedules=(member, fires), calls=[make_sequence("schedule", "gone")])
    assert found.next_start == DUE + timedelta(hours=4)


@pytest.mark.parametrize("cron", ["0 0 1 jan *", "nonsense"])
def test_what_is_far_or_cannot_be_told_is_none(cron):
    assert chances(schedules=(make_schedule(cron=cron, enabled=True),)).next_start is None
    assert timedelta(hours=12) <= FAR <= timedelta(hours=24)


def test_a_schedule_that_xo_chokes_on_after_it_was_entered_is_none():
    setup = make_estate(schedules=[ON], jobs=[make_job()])
    agenda = make_agenda(setup, after=OVER, until=OVER, local_zone="utc", seconds_of=lambda _: None)
    bad: Schedule = msgspec.structs.replace(ON, cron="nonsense")
    agenda = replace(agenda, firings=tuple(replace(one, schedule=bad) for one in agenda.firings))
    found = chances_of(RUN, setup, agenda, RemediesSection(), None, None, OVER, enforced=True, aside="")
    assert found.next_start is None


# --- sequences


def member(name, *events):
    return fold(RunKey(name, DUE, "sequence"), (seen(name=name), *events))


def own():
    begun = msgspec.structs.replace(seen(name="in a row"), members=("one", "two"))
    return fold(RunKey("sequence", DUE), (begun,))


ASKED = (decided(), Starting(at=DUE, attempt=1, vms=None, known=()))


@pytest.mark.parametrize(
    ("other", "waits"),
    [
        (SKIPPED, False),
        ((*SKIPPED, following()), False),
        ((*SKIPPED, Ended(at=OVER, end=End.LEFT_TO_XO)), False),
        ((decided(),), True),  # not begun
        ((decided(), ran(good())[0]), True),  # it runs
        (ASKED, True),  # nobody knows
    ],
)
def test_as_long_as_another_member_is_not_over_the_sequence_goes_on(other, waits):
    one, two = member("one", *SKIPPED), member("two", *other)
    found = chances(one, sequence=DueSequence(own(), (one, two)))
    assert bool(found.waits_for) is waits


def test_as_long_as_xo_shows_it_running_it_goes_on():
    one = member("one", *SKIPPED)
    assert chances(one, sequence=DueSequence(own(), (one,), goes_on=True)).waits_for == "the sequence goes on"
    assert chances(one, sequence=DueSequence(own(), (one,))).waits_for == ""
