"""[[accept]] through the command line: plan and why show what is accepted, status and monitoring are silent of it."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from guard.cli import clock
from guard.cli.main import main
from guard.finding import Accepted
from guard.lifecycle.events import End
from guard.lifecycle.loop import SwitchedOff
from msgspec.structs import replace
from tests.lifecycle.stories import after, alarmed, attempt_ended, decided, ended, finding, seen, started
from tests.test_cli_observe import LOOKED, NOW, Place

MISSED = (
    seen(),
    alarmed("XO_DID_NOT_FIRE", "XO started no run."),
    ended(End.MISSED, code="XO_DID_NOT_FIRE", reason="x"),
)
FAILED = (seen(), decided(), started(), attempt_ended(status="failure"), ended())


@pytest.fixture(autouse=True)
def at_eight(monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def run(*words):
    """(exit code, stdout, stderr) of a command that has no state folder."""
    out, err = io.StringIO(), io.StringIO()
    return main([*words], out, err, {}), out.getvalue(), err.getvalue()


def accept(place, code, scope="all", until=None):
    ends = until or NOW + timedelta(days=1)
    with place.policy.open("a") as file:
        file.write(f'[[accept]]\ncode = "{code}"\nscope = "{scope}"\nuntil = {ends.isoformat()}\nreason = "known"\n')


def test_an_accepted_alarm_is_no_trouble_for_monitoring_nor_in_status(place):
    place.put(*MISSED, loop=LOOKED)
    assert place.guard("status", "--nagios")[0] == 2
    accept(place, "XO_DID_NOT_FIRE", "schedule:schedule")
    assert "Alarm" not in place.told("status")
    code, line, _ = place.guard("status", "--nagios")
    assert (code, "alarms=0" in line) == (1, True)  # it was not started all the same
    assert json.loads(place.told("status", "--json"))["alarms"] == []


def test_a_run_that_failed_for_accepted_causes_alone_is_no_warning(place):
    place.put(*FAILED, loop=LOOKED)
    assert place.guard("status", "--nagios")[0] == 1
    accept(place, "CHAIN_UNHEALTHY", "vm:vm")
    assert place.guard("status", "--nagios")[0] == 0
    assert "Last 24 h" not in place.told("status")


def test_a_schedule_whose_being_off_is_accepted_is_no_alarm(place):
    off = SwitchedOff(schedule="s1", name="nightly", at=NOW - timedelta(hours=1))
    place.put(loop=replace(LOOKED, switched_off=(off,)))
    assert place.guard("status", "--nagios")[0] == 2
    accept(place, "SCHEDULE_DISABLED", "schedule:nightly")
    assert place.guard("status", "--nagios")[0] == 0


def test_an_entry_that_ended_does_nothing_and_is_told_by_config_check(place):
    accept(place, "XO_DID_NOT_FIRE", until=NOW - timedelta(minutes=1))
    accept(place, "CHAIN_UNHEALTHY")
    place.put(*MISSED, loop=LOOKED)
    assert place.guard("status", "--nagios")[0] == 2
    code, out, err = run("config", "check", "--config", str(place.policy))
    assert (code, out) == (0, "")
    token = "guard: warning: [xo] token_file = /nowhere/token: there is no such file"
    assert [line for line in err.splitlines()[1:] if line != token] == [
        "guard: warning: accept[1] (XO_DID_NOT_FIRE for all) ended on 2026-11-25T07:59:00+00:00 and does nothing any more"
    ]


def test_why_shows_a_month_later_what_was_accepted_then(place):
    word = Accepted(until=after(days=3), shown="2026-11-28", reason="a larger disk is ordered")
    place.put(seen(), decided(finding(accepted=word)), started(), attempt_ended(), ended())
    assert "        accepted until 2026-11-28: a larger disk is ordered\n" in place.told("why", "schedule")
    story = json.loads(place.told("why", "schedule", "--json"))
    (found,) = next(one for one in story["events"] if one["event"] == "decided")["findings"]
    assert found["accepted"] == {"until": "2026-11-28T00:00:00+00:00", "reason": "a larger disk is ordered"}


def test_a_plan_shows_what_is_accepted_and_an_unknown_of_it_does_not_turn_the_exit_code(place):
    accept(place, "REPOSITORY_NO_SPACE", "repository:usb-box", NOW + timedelta(days=900))
    accept(place, "CHAIN_UNHEALTHY", "vm:nobody")
    code, out, err = run("plan", "--demo", "--exit-code", "--config", str(place.policy))
    assert (code, err) == (2, "")  # what is held is held
    told = " ".join(out.split())
    assert "accepted until 2029-" in told
    assert "accept[2] of the policy (CHAIN_UNHEALTHY for vm:nobody) ended on" in told
