"""Which due runs of one job meet a run that still goes on (failure-modes.md 3.14)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from guard.mechanics.due import DueTime
from guard.mechanics.history import Quantiles
from guard.mechanics.occupancy import RunningNow, collisions
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import DUE, make_due

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Run:
    due: DueTime
    seconds: Quantiles

    @property
    def ends(self) -> datetime | None:
        return None if self.seconds.p90 is None else self.due.at + timedelta(seconds=self.seconds.p90)


def run(at, minutes, samples=5, *, schedule="schedule", turn=None):
    """A due run ``at`` minutes after DUE; ``turn``: when the sequence it belongs to begins."""
    via = {} if turn is None else {"via": "sequence", "sequence_at": DUE + turn * MINUTE}
    lasts = Quantiles() if minutes is None else Quantiles(p50=60 * minutes, p90=60 * minutes, samples=samples)
    return Run(make_due(schedule, at=DUE + at * MINUTE, **via), lasts)


def going_on(ends, samples=5):
    return RunningNow(DUE - 60 * MINUTE, None if ends is None else DUE + ends * MINUTE, samples)


def met(*runs, running=None, min_samples=5):
    """(minute of a refused run, minute of the one it meets; None for the one that goes on now)."""
    found = collisions(runs, running, min_samples)
    return [
        ((due.at - DUE) // MINUTE, None if other is None else (other.due.at - DUE) // MINUTE)
        for due, other in found.items()
    ]


def hourly(minutes, count=6):
    return [run(60 * hour, minutes) for hour in range(count)]


def test_a_job_without_runs_meets_nothing():
    assert met() == met(running=going_on(30)) == []


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (59, []),
        (60, []),
        (61, [(60, 0), (180, 120), (300, 240)]),
        (119, [(60, 0), (180, 120), (300, 240)]),
        (121, [(60, 0), (120, 0), (240, 180), (300, 180)]),
        (None, []),
    ],
)
def test_a_refused_run_does_not_go_on_itself(minutes, expected):
    assert met(*hourly(minutes)) == expected


def test_the_end_is_that_of_the_run_that_goes_on_and_not_of_the_due_one():
    assert met(run(0, 90), run(60, 5), run(120, 5)) == [(60, 0)]
    assert met(run(0, 5), run(60, 90), run(120, 5)) == [(120, 60)]


@pytest.mark.parametrize(
    ("samples", "min_samples", "meets"), [(4, 5, False), (5, 5, True), (1, 1, True), (9, 10, False)]
)
def test_too_few_past_runs_tell_no_end(samples, min_samples, meets):
    assert bool(met(run(0, 90, samples), run(60, 1), min_samples=min_samples)) is meets
    assert bool(met(run(60, 1), running=going_on(90, samples), min_samples=min_samples)) is meets


def test_two_at_the_same_minute_meet_whatever_the_past_tells():
    assert met(run(0, None), run(0, None, schedule="b"), run(0, None, schedule="c")) == [(0, 0), (0, 0)]
    assert met(run(0, None), run(1, None)) == []


def test_the_run_that_goes_on_now_is_met_until_its_end():
    runs = hourly(5, 3)
    assert met(*runs, running=going_on(0)) == []
    assert met(*runs, running=going_on(1)) == [(0, None)]
    assert met(*runs, running=going_on(60)) == [(0, None)]
    assert met(*runs, running=going_on(61)) == [(0, None), (60, None)]
    assert met(*runs, running=going_on(None)) == []


def test_after_the_run_that_goes_on_the_next_ones_are_met():
    assert met(*hourly(70, 4), running=going_on(10)) == [(0, None), (120, 60)]


def test_members_of_one_turn_wait_for_one_another():
    assert met(run(0, 90, turn=0), run(60, 90, turn=0, schedule="b")) == []
    assert met(run(0, None, turn=0), run(0, None, turn=0, schedule="b")) == []
    assert met(run(0, 90, turn=0), run(0, 90, turn=0)) == []


def test_members_of_different_turns_and_others_do_not():
    assert met(run(0, 90, turn=0), run(60, 5, turn=60)) == [(60, 0)]
    assert met(run(0, 90, turn=0), run(60, 5)) == [(60, 0)]
    assert met(run(0, 90), run(60, 5, turn=60)) == [(60, 0)]
    assert met(run(0, 5, turn=0), run(0, 5)) == [(0, 0)]
    assert met(run(0, 5, turn=-30), run(0, 5, turn=0)) == [(0, 0)]
    assert met(run(0, None), run(0, None, turn=0)) == met(run(0, None, turn=-30), run(0, None, turn=0)) == [(0, 0)]
    assert met(run(0, 5, turn=0), running=going_on(30)) == [(0, None)]


def test_a_later_member_is_what_goes_on_then():
    runs = [run(0, 30, turn=0), run(30, 90, turn=0, schedule="b"), run(60, 5, schedule="c")]
    assert met(*runs) == [(60, 30)]


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 200), st.integers(0, 9)), max_size=10), st.integers(0, 100)
)
def test_runs_that_start_never_overlap_and_a_refused_one_meets_one_that_does(drawn, until):
    runs = [
        run(at, minutes, samples, schedule=f"s{number}") for number, (at, minutes, samples) in enumerate(sorted(drawn))
    ]
    now = going_on(until)
    found = collisions(runs, now, 5)
    started = [one for one in runs if one.due not in found]
    for earlier, later in pairwise(started):
        assert earlier.due.at < later.due.at
        assert earlier.seconds.samples < 5 or earlier.ends <= later.due.at
    assert all(one.due.at >= now.ends for one in started)
    for due, other in found.items():
        if other is None:
            assert due.at < now.ends
        else:
            assert other in started
            assert other.due.at == due.at or other.due.at < due.at < other.ends


@pytest.mark.parametrize(
    ("lasts", "quiet", "longest", "is_stuck"),
    [
        (None, None, None, False),
        (25, None, None, False),
        (25, 25, None, True),
        (24, 24, None, False),
        (25, 24, None, False),
        (25, 25, 8, True),
        (25, 25, 9, False),
        (28, 25, 9, True),
        (27, 25, 9, False),
    ],
)
def test_a_run_is_stuck_when_it_lasts_beyond_a_day_and_three_times_its_past_and_no_task_moved_for_a_day(
    lasts, quiet, longest, is_stuck
):
    since, moved = (None if hours is None else DUE - timedelta(hours=hours) for hours in (lasts, quiet))
    usual = None if longest is None else timedelta(hours=longest)
    assert RunningNow(since, None, 5, moved=moved, longest=usual).is_stuck(DUE) is is_stuck
