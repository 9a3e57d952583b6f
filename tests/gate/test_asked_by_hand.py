"""Runs that a person had guard start: which are whose, and told once whoever sees them first."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import msgspec
import pytest
from guard.errors import ConflictError
from guard.gate.match import belongs
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import BY_HAND, Decided, Doubted, NotStarted, RunKey, Started, Starter, Starting
from tests.builders import DUE, make_log
from tests.gate.night import EVENING, Night, after
from tests.lifecycle.stories import seen, verdict
from tests.virtual_time import run as finished

HALF_PAST = after(1800)


def asked(at=HALF_PAST, *events, vms=None, known=("old",)):
    """A start by hand whose intent is open, and what came after it."""
    first = Decided(at=at, facts_at=at, vms=("vm",), verdict=verdict(), acts=True)
    intent = Starting(at=at, attempt=1, vms=vms, known=known, reason="Started by hand by ann.")
    return fold(RunKey("schedule", at, BY_HAND), (seen(due=at), first, intent, *events))


def due(at=DUE):
    return fold(RunKey("schedule", at), (seen(due=at),))


def began(seconds=1801, **more):
    return make_log(start=after(seconds), **more)


def started(seconds=1801, run="new"):
    return Started(at=after(seconds + 1), run=run, began=after(seconds), by=Starter.GUARD, attempt=1)


@pytest.mark.parametrize(("seconds", "mine"), [(1729, False), (1730, True), (1800, True), (1801, True), (2100, True)])
def test_a_run_that_was_not_known_before_belongs_to_the_open_start(seconds, mine):
    assert belongs(asked(), began(seconds), [asked()]) is mine


def test_a_run_that_was_known_before_does_not():
    assert not belongs(asked(), began(id="old"), [asked()])


@pytest.mark.parametrize(
    ("events", "mine"),
    [
        ((Doubted(at=after(1830), attempt=1, error="lost"),), True),
        ((NotStarted(at=after(1801), attempt=1, error="no"),), False),
        ((started(1801, "another"),), False),
        ((started(1801, "new"),), True),
    ],
)
def test_only_while_nobody_knows_what_came_of_it(events, mine):
    run = asked(HALF_PAST, *events)
    assert belongs(run, began(id="new"), [run]) is mine


@pytest.mark.parametrize(("seconds", "owner"), [(-5, "due"), (0, "due"), (5, "due"), (6, "hand"), (20, "hand")])
def test_of_a_due_time_and_a_start_by_hand_one_has_the_run(seconds, owner):
    runs = {"due": due(), "hand": asked(after(-20))}
    assert [name for name, run in runs.items() if belongs(run, began(seconds), list(runs.values()))] == [owner]


def test_what_began_at_a_due_time_that_is_told_already_is_not_the_starts():
    assert not belongs(asked(after(-20)), began(1), [asked(after(-20))])


def test_a_cron_that_xo_chokes_on_is_at_no_due_time():
    run = asked()
    odd = dataclasses.replace(run, seen=msgspec.structs.replace(run.seen, cron="nonsense"))
    assert belongs(odd, began(1800), [odd])


def test_a_run_that_was_recorded_as_the_starts_is_no_due_times():
    run = asked(after(-20), started(-4, "new"))
    assert belongs(run, began(-4, id="new"), [run, due()])
    assert not belongs(due(), began(-4, id="new"), [run, due()])


# --- the watch


@pytest.fixture
def night(tmp_path):
    made = Night(tmp_path)
    made.tick()
    yield made
    made.ledger.close()


def put(night, *events, seq=0, at=None):
    """What guard start writes beside the daemon."""
    key = RunKey("schedule", at or EVENING + timedelta(seconds=45), BY_HAND)
    finished(night.ledger.append(key, seq, *events))
    return key


def first(at=EVENING + timedelta(seconds=45)):
    run = asked(at, known=())
    return run.seen, run.decided, run.intents[0].starting


WATCHED = ["Seen", "Decided start", "Starting", "Started", "AttemptEnded success", "Ended ran"]


@pytest.mark.parametrize("begins", [46, 75])
def test_a_run_that_the_daemon_sees_first_is_in_one_story(night, begins):
    put(night, *first())
    night.xo.will_run(EVENING + timedelta(seconds=begins), seconds=120)
    night.go(after(-120))
    assert night.tales() == {("schedule", -555, "by hand"): WATCHED}
    (attempt,) = night.only().attempts
    assert (attempt.started.by, attempt.started.attempt) == (Starter.GUARD, 1)


def test_a_run_that_the_command_recorded_is_in_one_story_whatever_restarts(night):
    put(night, *first())
    run = night.xo.will_run(EVENING + timedelta(seconds=46), seconds=7200)
    night.tick(EVENING + timedelta(seconds=47))
    began_at = EVENING + timedelta(seconds=46)
    recorded = Started(at=began_at, run=run, began=began_at, by=Starter.GUARD, attempt=1)
    with pytest.raises(ConflictError):
        put(night, recorded, seq=3)
    for seconds in range(-480, -120, 60):
        night.restart()
        night.tick(after(seconds))
    assert night.tales() == {("schedule", -555, "by hand"): WATCHED[:4]}


def test_a_command_that_died_alarms_nobody_and_asks_for_no_rearming(night):
    put(night, *first())
    night.go(after(-120))
    assert night.tales() == {("schedule", -555, "by hand"): ["Seen", "Decided start", "Starting", "Ended missed"]}
    assert night.only().alarms == ()
