"""What the last decision means at a moment: which VMs start now, which wait, which are given up, and XO's fallback."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.decision.verdict import Action, Held, Verdict
from guard.finding import Harm
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import Decided, End, GaveUp, Started, Starter, Starting
from guard.lifecycle.resolution import Resolution, resolve, standby_at
from tests.lifecycle.stories import KEY, after, claimed, claiming, seen

DEADLINE = after(hours=4)


def one(vm, harm=Harm.NONE, deadline=DEADLINE):
    return Held(vm=vm, name=vm, codes=("CHAIN_UNHEALTHY",), deadline=deadline, harm=harm)


def decided(action, *held, start=(), **more):
    verdict = Verdict(
        action=action,
        sentence="So it is.",
        clears="",
        start_vms=tuple(start),
        held=held,
        findings=(),
        unknown=False,
        **({"deadline": DEADLINE} | more),
    )
    return Decided(at=after(-55), facts_at=after(-57), vms=("a", "b"), verdict=verdict)


def run_of(*events):
    return fold(KEY, (seen(), *events))


def started(attempt, vms, by=Starter.GUARD):
    begun = [Starting(at=after(1), attempt=attempt, vms=vms, known=())] if attempt else []
    return [*begun, Started(at=after(2), run=f"run {attempt}", began=after(1), by=by, attempt=attempt)]


def test_a_whole_start_names_no_vms_so_that_xo_applies_its_own_rules():
    assert resolve(run_of(decided(Action.START, start=("a", "b"))), after()) == Resolution(start=())


def test_a_part_starts_and_the_rest_waits_for_its_deadline():
    found = resolve(run_of(decided(Action.START_SOME, one("b"), start=("a",))), after())
    assert (found.start, [held.vm for held in found.wait], found.waits_until) == (("a",), ["b"], DEADLINE)


@pytest.mark.parametrize(("harm", "start", "given"), [(Harm.NONE, ("b",), []), (Harm.PRODUCTION, None, ["b"])])
def test_at_the_deadline_the_harm_decides(harm, start, given):
    run = run_of(decided(Action.START_SOME, one("b", harm), start=("a",)), *started(1, ("a",)))
    found = resolve(run, DEADLINE)
    assert (found.start, [held.vm for held in found.give_up]) == (start, given)


def test_what_was_started_or_given_up_is_out_of_it():
    given = GaveUp(at=after(3), vms=(one("b"),), whole=False, end=End.REFUSED)
    assert resolve(
        run_of(decided(Action.START_SOME, one("b"), start=("a",)), *started(1, ("a",)), given), after(4)
    ).is_over


@pytest.mark.parametrize("by", [Starter.XO, Starter.FALLBACK])
def test_a_run_that_xo_started_is_all_of_it(by):
    run = run_of(decided(Action.START_SOME, one("b"), start=("a",)), *started(0, None, by))
    assert resolve(run, after(4)).is_over


def test_a_part_whose_start_the_fallback_took_over_is_all_of_it():
    run = run_of(decided(Action.START_SOME, one("b"), start=("a",)), *started(1, ("a",), Starter.FALLBACK))
    assert resolve(run, after(4)).is_over


def test_another_run_covers_what_is_skipped():
    assert resolve(run_of(decided(Action.SKIP)), after()) == Resolution(covered=True)


@pytest.mark.parametrize(
    ("harm", "at", "expected"),
    [
        (Harm.NONE, after(), Resolution(waits_until=DEADLINE)),
        (Harm.NONE, DEADLINE, Resolution(start=())),
        (Harm.REPOSITORY, DEADLINE, Resolution(refused=True)),
    ],
)
def test_a_run_without_vms_of_its_own_waits_as_a_whole(harm, at, expected):
    assert resolve(run_of(decided(Action.DEFER, harm=harm)), at) == expected


def test_without_a_decision_a_run_that_is_due_is_to_be_started():
    assert resolve(run_of(), after()) == Resolution(start=())


def test_when_what_waited_has_left_the_job_the_whole_job_is_not_started_with_what_was_refused():
    given = GaveUp(at=after(3), vms=(one("b"),), whole=False, end=End.REFUSED)
    assert resolve(run_of(decided(Action.START), given), after(4)).is_over


# --- XO's fallback


def fallback(*events, at):
    run = run_of(*events)
    return standby_at(run, at, resolve(run, at))


def test_a_claim_has_its_fallback_until_the_run_is_asked_for():
    story = [decided(Action.START, start=("a",)), claiming(), claimed()]
    assert fallback(*story, at=after(-10)) == after(minutes=3)
    assert fallback(*story, Starting(at=after(), attempt=1, vms=None, known=()), at=after(1)) is None


def test_what_waits_for_harmless_things_has_a_fallback_after_its_deadline():
    story = [decided(Action.DEFER, one("a"), one("b")), claiming(), claimed()]
    assert fallback(*story, at=after(1)) == DEADLINE + timedelta(minutes=3)


@pytest.mark.parametrize("harm", [Harm.PRODUCTION, Harm.REPOSITORY])
def test_what_would_do_harm_has_no_fallback(harm):
    story = [decided(Action.DEFER, one("a"), one("b", harm)), claiming(), claimed()]
    assert fallback(*story, at=after(1)) is None


def test_a_run_of_which_a_part_was_started_has_no_fallback_since_xo_would_start_all_of_it():
    story = [decided(Action.START_SOME, one("b"), start=("a",)), claiming(), claimed(), *started(1, ("a",))]
    assert fallback(*story, at=after(5)) is None
