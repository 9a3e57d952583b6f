"""A sequence's own story: when its schedule is taken, how long XO's fallback for all of it stands, how it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta

import msgspec
import pytest
from guard.decision.verdict import Action, Held
from guard.finding import Harm
from guard.lifecycle.claiming import PlaceClaim, Release, Rules, Scene, Sync
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import (
    Claiming,
    End,
    Ended,
    FollowingUp,
    ReleasedHow,
    RunKey,
    Standby,
    Started,
    Starter,
    Starting,
)
from guard.lifecycle.next_step import Record, Wait
from guard.lifecycle.sequence import next_of_sequence
from guard.lifecycle.turn import DueSequence
from guard.mechanics.fallback import Fallback, FallbackKind, Placed, at_minutes
from tests.builders import DUE, make_schedule
from tests.lifecycle import stories
from tests.lifecycle.stories import after, claimed, claiming, released, seen

NAMES = ("one", "two")
LEAD, LOOK = timedelta(seconds=60), timedelta(seconds=30)
RULES = Rules(claim_always=False, on_uncertain="start", recheck_every=timedelta(minutes=10))
ON = make_schedule(name="every night", cron="0 0 * * *", enabled=True)
OFF = msgspec.structs.replace(ON, enabled=False)
WAITS = Held(vm="vm", name="web", codes=("CHAIN_UNHEALTHY",), deadline=after(hours=4))
HARMS = msgspec.structs.replace(WAITS, harm=Harm.PRODUCTION)


def placed(schedule, at, kind=FallbackKind.START):
    made = Fallback(kind=kind, schedule=schedule, due=DUE.astimezone(UTC), cron=at_minutes(at), instance="ab12")
    return Placed(job_id=f"{kind} {schedule}", fallback=made, armed=True)


ALL_OF_IT = placed("sequence", [after(minutes=3)])
GIVES_BACK = placed("sequence", [after(minutes=5), after(minutes=8), after(minutes=12)], FallbackKind.RELEASE)


def own(*events):
    return fold(RunKey("sequence", DUE), (msgspec.structs.replace(seen(name="in a row"), members=NAMES), *events))


def member(name, *events, action=Action.START, held=(), is_judged=True):
    judged = (stories.decided(action=action, held=held),) if is_judged else ()
    return fold(RunKey(name, DUE, "sequence"), (seen(name=name), *judged, *events))


def step(now, *, story=(), members=None, record=ON, fallbacks=(), others=(), rules=RULES, **scene):
    given = tuple(members or (member("one"), member("two")))
    shown = Scene(now=now, is_read=True, xo_now=now, record=record, fallbacks=fallbacks, **scene)
    sequence = DueSequence(own(*story), given, is_off=record is not None and not record.enabled)
    return next_of_sequence(sequence, shown, rules, (*fallbacks, *others), lead=LEAD, look_every=LOOK)


def begun(name, number=1):
    asked = Starting(at=after(1), attempt=number, vms=None, known=())
    return asked, Started(at=after(1), run=f"run of {name}", began=after(1), by=Starter.GUARD, attempt=number)


HELD = (claiming(), claimed())
WAITING = {"action": Action.DEFER, "held": (WAITS,)}


def test_it_waits_until_its_members_are_judged():
    assert step(after(-90)) == Wait(after(-60))
    assert step(after(-50), members=[member("one"), member("two", is_judged=False)]) == Wait(after(-20))


def test_all_members_pass_so_that_xo_runs_it():
    assert isinstance(step(after(-50)), Wait)


def test_one_member_that_does_not_pass_has_the_sequence_claimed():
    found = step(after(-50), members=[member("one", **WAITING), member("two")])
    assert isinstance(found, Record)
    (event,) = found.events
    assert isinstance(event, Claiming)
    assert event.reason == "1 member of 2 would not start whole: one."
    assert (event.found, event.start_at) == (ON, after(minutes=3))


def test_by_policy_it_is_claimed_although_all_pass():
    found = step(after(-50), rules=replace(RULES, claim_always=True))
    assert isinstance(found, Record)


@pytest.mark.parametrize(
    "scene",
    [{"aside": "the clocks differ"}, {"bypass": True}, {"rolling": True}, {"record": OFF}, {"record": None}],
    ids=lambda one: next(iter(one)),
)
def test_it_is_not_claimed_where_guard_stands_aside(scene):
    assert isinstance(step(after(-50), members=[member("one", **WAITING), member("two")], **scene), Wait)


def test_seconds_before_it_is_due_it_is_too_late():
    assert isinstance(step(after(-4), members=[member("one", **WAITING), member("two")]), Wait)


def test_a_claim_under_way_is_gone_on_with():
    assert step(after(-40), story=(claiming(),)) == PlaceClaim()


def test_until_the_due_time_xos_fallback_for_all_of_it_stands():
    assert step(after(-20), story=HELD, record=OFF, fallbacks=(ALL_OF_IT, GIVES_BACK)) == Wait(DUE)
    assert step(after(0), story=HELD, record=OFF, fallbacks=(GIVES_BACK,)) == Sync(after(minutes=3))


def test_it_is_given_back_three_seconds_after_it_was_due():
    assert step(after(1), story=HELD, record=OFF, fallbacks=(ALL_OF_IT, GIVES_BACK)) == Wait(after(3))
    found = step(after(3), story=HELD, record=OFF, fallbacks=(ALL_OF_IT, GIVES_BACK))
    assert found == Release(ReleasedHow.ENABLED)


def test_once_a_member_was_started_the_fallback_that_starts_all_again_goes():
    members = [member("one", *begun("one")), member("two")]
    assert step(after(2), story=HELD, record=OFF, members=members, fallbacks=(ALL_OF_IT,)) == Sync(None)


def test_while_all_wait_it_stands_until_each_has_a_fallback_of_its_own():
    at = after(hours=4, minutes=3)
    waiting = [member(name, Standby(at=after(1), start_at=at), **WAITING) for name in NAMES]
    now = {"story": HELD, "record": OFF, "members": waiting, "fallbacks": (ALL_OF_IT,)}
    assert step(after(2), others=(placed("one", [at]),), **now) == Wait(after(3))
    assert step(after(2), others=(placed("one", [at]), placed("two", [at])), **now) == Sync(None)


def test_for_members_that_must_not_start_there_is_no_fallback():
    waiting = [member(name, action=Action.DEFER, held=(HARMS,)) for name in NAMES]
    assert step(after(2), story=HELD, record=OFF, members=waiting, fallbacks=(ALL_OF_IT,)) == Sync(None)


def test_what_stands_without_a_claim_is_removed():
    assert step(after(20), story=(*HELD, released()), fallbacks=(ALL_OF_IT,)) == Sync(None)


def over(name, end):
    ran = begun(name) if end is End.RAN else ()
    by_xo = (Started(at=after(1), run="run", began=after(1)),) if end is End.LEFT_TO_XO else ()
    runs = ["run"] if by_xo else [f"run of {name}"] if ran else []
    done = tuple(stories.attempt_ended(one, at=after(90)) for one in runs)
    return member(name, *ran, *by_xo, *done, Ended(at=after(100), end=end))


@pytest.mark.parametrize(
    ("ends", "end"),
    [
        ((End.RAN, End.RAN), End.RAN),
        ((End.RAN, End.REFUSED), End.RAN_IN_PART),
        ((End.LEFT_TO_XO, End.LEFT_TO_XO), End.LEFT_TO_XO),
        ((End.REFUSED, End.REFUSED), End.REFUSED),
    ],
)
def test_it_ends_with_its_last_member(ends, end):
    members = [over(name, one) for name, one in zip(NAMES, ends, strict=True)]
    found = step(after(120), members=members)
    assert isinstance(found, Record)
    assert found.events[0].end is end


def test_while_a_member_goes_on_it_goes_on_too():
    assert isinstance(step(after(hours=2), members=[over("one", End.RAN), member("two")]), Wait)


def test_while_xo_cannot_be_read_nothing_is_done():
    sequence = DueSequence(own(*HELD), (member("one"), member("two")))
    scene = Scene(now=after(5), is_read=False, xo_now=after(5))
    assert next_of_sequence(sequence, scene, RULES, (), lead=LEAD, look_every=LOOK) == Wait(after(35))


def test_a_member_that_guard_followed_up_was_started_by_xo_all_the_same():
    done = stories.attempt_ended("1", at=after(600), status="skipped")
    over = (Started(at=after(1), run="1", began=after(1)), done)
    again = Starting(at=after(700), attempt=1, vms=("vm",), known=("1",))
    more = (
        FollowingUp(at=after(600), vms=(WAITS,)),
        again,
        Started(at=after(700), run="2", began=after(700), by=Starter.GUARD, attempt=1),
        stories.attempt_ended("2", at=after(800)),
        Ended(at=after(800), end=End.LEFT_TO_XO),
    )
    members = member("one", *over, *more), member("two", *over, Ended(at=after(800), end=End.LEFT_TO_XO))
    assert step(after(900), members=members) == Record((Ended(at=after(900), end=End.LEFT_TO_XO),))
