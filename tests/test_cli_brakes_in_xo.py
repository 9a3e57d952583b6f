"""guard hold and bypass beside a simulated XO: what they say of names it does not show, and of schedules nobody holds."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
from guard.cli import clock
from guard.daemon.compose import LEDGER
from guard.decision.brakes import Brake
from guard.gate.watch import BRAKES
from guard.ledger.sqlite import read_ledger
from guard.simulator.faults import Hang, HttpStatus
from guard.xo import named
from tests.stories.claimed import BEFORE, Claimed

PATHS = ("/rest/v0/schedules", "/rest/v0/vms")
HOLD = ("--until", "4 h", "--reason", "disks")
OBSERVED = 'no schedule that it names is enforced (gate = "enforce"): XO starts them all the same\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A job "nightly" of VM "web-01" on SR "NFS", to "nas"; its schedule is enforced."""
    made = Claimed(tmp_path_factory.mktemp("brakes"))
    with pytest.MonkeyPatch.context() as patch, made.serving():
        patch.setattr(clock, "now", made.now)
        made.whole = made.policy.read_text()
        yield made


@pytest.fixture(autouse=True)
def _as_it_was(place):
    yield
    place.policy.write_text(place.whole)
    for path in PATHS:
        place.faults.lift(path)


def scopes(place):
    with read_ledger(place.state / LEDGER, xo=place.url, clock=place.now) as ledger:
        told = asyncio.run(ledger.recall(BRAKES))
    return [one.scope for one in msgspec.json.decode(told, type=tuple[Brake, ...])]


@pytest.mark.parametrize(
    "scope", ["all", "vm:web-01", "pool:paris", "sr:NFS", "repository:nas", "schedule:every night", "job:nightly"]
)
def test_what_xo_shows_and_guard_holds_is_held_without_a_word(place, scope):
    code, out, err = place.guard("hold", scope, *HOLD)
    assert (code, err, "In force now: " in out) == (0, "", True)


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("vm:nosuch", "no VM of the name or id 'nosuch'; the hold stands all the same\n"),
        ("vm:web", "no VM of the name or id 'web'; the hold stands all the same; did you mean vm:web-01?\n"),
        ("sr:nfs", "no SR of the name or id 'nfs'; the hold stands all the same; did you mean sr:NFS?\n"),
        ("pool:pariss", "; did you mean pool:paris?\n"),
        ("repository:nas-2", "no backup repository of the name or id 'nas-2'"),
        ("schedule:every nigth", "; did you mean 'schedule:every night'?\n"),
        ("job:often", "no job of the name or id 'often'; the hold stands all the same\n"),
    ],
)
def test_a_hold_of_what_xo_does_not_show_stands_and_says_so(place, scope, said):
    code, out, err = place.guard("hold", scope, *HOLD)
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("guard: warning: XO shows ")
    assert said in err
    assert scope in scopes(place)
    assert scope in out


def test_a_bypass_of_what_xo_does_not_show_says_so_too(place):
    code, _, err = place.guard("bypass", "job:nihgtly", "--reason", "x")
    assert (code, err) == (
        0,
        "guard: warning: XO shows no job of the name or id 'nihgtly'; the bypass stands all the same; did you mean job:nightly?\n",
    )


@pytest.mark.parametrize("scope", ["all", "vm:web-01", "job:nightly", "repository:nas"])
def test_a_hold_where_guard_only_observes_says_that_xo_starts_them_all_the_same(place, scope):
    place.policy.write_text(place.whole.replace("enforce", "observe"))
    code, _, err = place.guard("hold", scope, *HOLD)
    assert (code, err) == (0, f"guard: warning: hold of {scope}: {OBSERVED}")
    assert place.guard("bypass", "all", "--reason", "x")[2] == ""


def test_only_what_the_scope_names_counts(place):
    told = '[[schedule]]\njob = "other"\ngate = "enforce"\n'
    place.policy.write_text(place.whole.replace("enforce", "observe") + told)
    assert place.guard("hold", "job:nightly", *HOLD)[2] == f"guard: warning: hold of job:nightly: {OBSERVED}"
    place.policy.write_text(place.whole.replace("enforce", "observe") + told.replace("other", "nightly"))
    assert place.guard("hold", "job:nightly", *HOLD)[2] == ""


@pytest.mark.parametrize("path", PATHS)
def test_an_xo_that_refuses_is_told_and_the_hold_is_in_force(place, path):
    place.faults.plant(path, HttpStatus(500, "boom"))
    code, _, err = place.guard("hold", "vm:web-01", *HOLD)
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith(
        "guard: warning: whether XO has vm:web-01 could not be checked; the hold stands all the same: "
    )
    assert "vm:web-01" in scopes(place)


def test_an_xo_that_hangs_is_waited_for_no_longer_than_a_person_would(place, monkeypatch):
    monkeypatch.setattr(named, "LONGEST_S", 0.2)
    place.faults.plant("/rest/v0/vms", Hang())
    code, _, err = place.guard("hold", "vm:web-01", *HOLD)
    assert (code, err.count("\n")) == (0, 1)
    assert "could not be checked" in err


# --- what guard plan tells of it


def test_a_plan_judges_by_the_holds_of_the_ledger_that_is_named(place):
    for scope in scopes(place):
        place.guard("unhold", scope)
        place.guard("unbypass", scope)
    assert "ON_HOLD" not in place.guard("plan")[1]
    place.guard("hold", "vm:web-01", *HOLD, env={"USER": "bob"})
    code, out, err = place.guard("plan")
    told = " ".join(out.split())
    assert (code, err) == (0, "")
    assert "block ON_HOLD: 1 VM of this run is held by bob (vm:web-01), until Wed 25 Nov 05:59 UTC: disks." in told
    assert "By hand: hold of vm:web-01 until Wed 25 Nov 05:59 UTC, by bob: disks." in told
    assert '"verdict":"start"' not in place.guard("plan", "--json")[1]
    place.guard("unhold", "vm:web-01")


def test_a_bypass_is_told_by_the_plan(place):
    place.guard("bypass", "job:nightly", "--reason", "restore test", env={"USER": "bob"})
    out = " ".join(place.guard("plan")[1].split())
    assert "By hand: bypass of job:nightly until guard unbypass job:nightly, by bob: restore test." in out
    place.guard("unbypass", "job:nightly")


def test_a_hold_that_ends_before_a_run_is_due_does_not_hold_it(place):
    place.guard("hold", "all", "--until", (BEFORE + timedelta(seconds=30)).isoformat(), "--reason", "x")
    assert "ON_HOLD" not in place.guard("plan")[1]


def test_a_plan_with_a_ledger_that_is_not_there_is_an_error(place, tmp_path):
    config = ("--config", str(place.policy))
    assert place.guard("plan", "--state", str(tmp_path))[0] == 0  # the last one given counts
    tmp = Claimed(tmp_path)
    tmp.policy = place.policy
    code, out, err = tmp.guard("plan", *config)
    assert (code, out) == (1, "")
    assert err == f"guard: {tmp.state}/ledger.sqlite: there is no ledger yet; guard daemon makes it\n"


def test_a_plan_may_name_a_job_that_has_only_one_schedule(place):
    out = place.guard("plan", "--schedule", "nightly")[1]
    assert "nightly / every night" in out
    assert place.guard("plan", "--schedule", "nighty")[2].endswith("XO has no schedule of that id or name\n")
