"""Whose turn it is among a sequence's members, and what XO may go through by itself."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from guard.decision.verdict import Action, Held
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import End, Ended, GaveUp, NotStarted, RunKey, Standby, Started, Starter, Starting
from guard.lifecycle.resolution import expected_standby, is_ours, until_its_turn
from guard.lifecycle.turn import FRESH, DueSequence, turn_of
from tests.builders import DUE
from tests.lifecycle import stories
from tests.lifecycle.stories import after, claimed, claiming, released, seen

SEQUENCE = "sequence"
NAMES = ("one", "two", "three")
WAITS = Held(vm="vm", name="web", codes=("CHAIN_UNHEALTHY",), deadline=after(hours=4))


def own(*events):
    """The sequence's own story, claimed and given back unless told otherwise."""
    begun = msgspec.structs.replace(seen(name="in a row"), members=NAMES)
    return fold(RunKey(SEQUENCE, DUE), (begun, *(events or (claiming(), claimed(), released()))))


def member(name, *events, action=Action.START, held=(), at=None):
    decision = stories.decided(action=action, held=held)
    if at is not None:
        decision = msgspec.structs.replace(decision, at=at)
    return fold(RunKey(name, DUE, SEQUENCE), (seen(name=name), decision, *events))


def ran(name, *, number=0, along=(), over=600, by=Starter.XO, seconds=1):
    """Events of a run that began so long after the due time; ``number`` 0: guard did not start it."""
    asked = [Starting(at=after(seconds), attempt=number, vms=None, known=(), along=along)] if number else []
    begun = Started(at=after(seconds), run=f"run of {name}", began=after(seconds), by=by, attempt=number)
    ends = [] if over is None else [stories.attempt_ended(begun.run, at=after(over))]
    return [*asked, begun, *ends]


def turn(name, members, now=None, sequence=None, **more):
    now = now or after(5)
    return turn_of(
        next(one for one in members if one.key.schedule == name),
        DueSequence(sequence or own(), tuple(members), **more),
        now,
        now,
    )


def test_first_comes_the_first_and_xo_may_go_on_with_those_that_pass():
    members = [member(name) for name in NAMES]
    first = turn("one", members)
    assert (first.ours, first.has_come, first.along) == (True, True, ("two", "three"))
    assert not turn("two", members).has_come


def test_a_member_that_waits_gives_up_its_place():
    members = [member("one", action=Action.DEFER, held=(WAITS,)), member("two"), member("three")]
    assert (turn("two", members).has_come, turn("two", members).along) == (True, ("three",))


def test_one_that_is_taken_out_in_the_middle_is_passed_over():
    members = [member("one"), member("two", action=Action.DEFER, held=(WAITS,)), member("three")]
    assert turn("one", members).along == ("three",)


def test_one_that_starts_in_part_ends_what_xo_goes_through():
    some = stories.decided(action=Action.START_SOME, held=(WAITS,))
    part = msgspec.structs.replace(
        some, vms=("vm", "good"), verdict=msgspec.structs.replace(some.verdict, start_vms=("good",))
    )
    two = fold(RunKey("two", DUE, SEQUENCE), (seen(name="two"), part))
    members = [member("one"), two, member("three")]
    assert turn("one", members).along == ()
    members[0] = member("one", *ran("one", number=1))
    assert turn("two", members, after(601)).has_come


def test_one_that_was_judged_long_ago_is_not_left_to_xo():
    members = [member("one"), member("two", at=after(5) - FRESH), member("three")]
    assert turn("one", members).along == ()


def test_what_xo_was_asked_to_go_on_with_is_xos_until_a_minute_after_the_one_before():
    members = [member("one", *ran("one", number=1, along=("two", "three"))), member("two"), member("three")]
    at_once, later = turn("two", members, after(601)), turn("two", members, after(671))
    assert (at_once.has_come, at_once.entrusted, at_once.through) == (False, True, Starter.GUARD)
    assert (later.has_come, later.entrusted) == (True, False)
    assert later.since == after(670)


def test_after_a_start_of_guards_alone_the_next_one_follows_at_once():
    members = [member("one", *ran("one", number=1)), member("two"), member("three")]
    assert turn("two", members, after(600)).has_come


def test_while_one_runs_no_other_starts_not_even_one_that_waited():
    members = [member("one", action=Action.DEFER, held=(WAITS,)), member("two", *ran("two", number=1, over=None))]
    assert not turn("one", members, after(hours=1)).has_come
    assert turn("one", members[:1], after(hours=1)).has_come


def test_while_xo_itself_goes_through_it_nothing_starts():
    members = [member(name) for name in NAMES]
    assert not turn("one", members, goes_on=True).has_come


def test_while_nobody_knows_what_came_of_a_start_nothing_else_starts():
    open_start = Starting(at=after(1), attempt=1, vms=None, known=(), along=("two",))
    members = [member("one", open_start), member("two")]
    assert (turn("two", members).has_come, turn("two", members).entrusted) == (False, True)


def test_a_call_that_came_to_nothing_entrusts_nothing():
    failed = [
        Starting(at=after(1), attempt=1, vms=None, known=(), along=("two",)),
        NotStarted(at=after(2), attempt=1, error="XO refused"),
        GaveUp(at=after(3), vms=(), whole=True, end=End.EXPIRED),
    ]
    members = [member("one", *failed), member("two")]
    assert (turn("two", members).has_come, turn("two", members).entrusted) == (True, False)


def test_one_that_has_ended_stands_in_nobodys_way():
    members = [member("one", Ended(at=after(3), end=End.REFUSED)), member("two")]
    assert turn("two", members).has_come


@pytest.mark.parametrize(
    ("events", "more", "ours"),
    [
        ((claiming(), claimed()), {"is_off": True}, True),
        ((claiming(), claimed()), {"is_off": False}, False),
        ((claiming(),), {"is_off": True}, False),
        ((claiming(), claimed(), released()), {}, True),
        ((claiming(), claimed(), released(after(-20))), {}, False),
    ],
    ids=["held", "enabled by somebody", "still being taken", "given back after it was due", "given back before"],
)
def test_guard_answers_for_a_sequence_that_xo_surely_does_not_start(events, more, ours):
    assert turn("one", [member("one")], sequence=own(*events), **more).ours is ours


def test_before_the_due_time_by_either_clock_nothing_is_guards():
    sequence = DueSequence(own(claiming(), claimed()), (member("one"),), is_off=True)
    ahead = timedelta(seconds=3)
    assert not turn_of(sequence.members[0], sequence, after(-1), after(2)).ours
    assert not turn_of(sequence.members[0], sequence, after(2), after(2) - ahead).ours


def test_a_member_that_xos_fallback_reached_is_known_as_such():
    members = [member("one", *ran("one", seconds=180, by=Starter.FALLBACK)), member("two")]
    assert turn("two", members, after(200)).through is Starter.FALLBACK
    assert turn("two", members, after(100)).through is None


def test_a_fallback_of_a_members_own_shows_that_guard_answers_for_it():
    waiting = member("two", Standby(at=after(60), start_at=after(hours=2)))
    assert is_ours(waiting)
    assert expected_standby(waiting, after(hours=1)) == after(hours=2)
    assert until_its_turn(waiting, after(hours=1)) == after(hours=2)
    assert until_its_turn(waiting, after(minutes=100)) == after(minutes=220)
