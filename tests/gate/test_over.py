"""What of the last look is over is told once, also by a guard that was started in between."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.policy.load import load
from guard.policy.schema import default_policy
from tests.gate.night import EVENING, Night

ENFORCE = load('[xo]\nurl = "http://x"\n[defaults]\ngate = "enforce"\n', file="guard.toml")
UNTESTED = "xo-server 1.0 was never tested with guard"


@pytest.fixture
def night(tmp_path):
    return Night(tmp_path, policy=ENFORCE)


@pytest.fixture
def why(monkeypatch):
    """Why guard acts on nothing: ['']."""
    found = [UNTESTED]
    monkeypatch.setattr("guard.gate.watch.why_none", lambda looker, accepted: found[0])
    return found


def later(minutes):
    return EVENING + timedelta(minutes=minutes)


@pytest.mark.parametrize("is_new", [False, True], ids=["the same guard", "a new process"])
def test_a_guard_that_acts_again_says_so_once(night, why, is_new):
    night.tick()
    assert night.remembered().stands_aside == UNTESTED
    if is_new:
        night.restart()
    night.tick(later(1))
    assert night.told.acts == []
    why[0] = ""
    if is_new:
        night.restart()
    for minutes in (2, 3):
        night.tick(later(minutes))
    assert night.told.acts == [(UNTESTED, later(2))]


def test_a_policy_that_says_observe_now_is_no_acting_again(night, why):
    night.tick()
    night.policy, why[0] = default_policy(), ""
    night.tick(later(1))
    assert night.told.acts == []


def test_a_watch_that_only_lets_go_does_not_act_again(night, why):
    night.tick()
    night.watch.lets_go, why[0] = True, ""
    night.tick(later(1))
    assert night.told.acts == []


def test_while_xo_cannot_be_read_nothing_is_over(night, why):
    night.tick()
    night.xo.is_down(later(1), later(9))
    why[0] = ""
    night.tick(later(2))
    assert (night.told.acts, night.told.reads_again) == ([], [])
    night.tick(later(10))
    assert [one[0] for one in night.told.reads_again] == [later(2)]
    assert night.told.acts == [(UNTESTED, later(10))]
