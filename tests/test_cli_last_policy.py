"""Commands that must work at night although an edit broke the policy: they go on with what the daemon remembered of it."""

from __future__ import annotations

import asyncio
import json
from argparse import Namespace

import pytest
from guard.cli import clock, last_policy
from guard.daemon.compose import LEDGER, only_one
from guard.daemon.last_policy import POLICY_XO, LastPolicy
from guard.errors import PolicyError
from guard.ledger.sqlite import open_ledger
from guard.policy.load import load
from tests.stories.claimed import Claimed

GOES_ON = "guard: warning: goes on with [xo] of the policy that was last in force\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A daemon claimed its one schedule and is gone; then the policy was broken by an edit."""
    made = Claimed(tmp_path)
    monkeypatch.setattr(clock, "now", made.now)
    with made.serving():
        made.tick()
        remember(made, load(made.policy.read_text() + '[notify]\nzone = "Europe/Paris"\n', file="g.toml"))
        made.policy.write_text(made.policy.read_text() + "gaet = 1\n[nofity]\n")
        yield made


def remember(place, policy):
    with open_ledger(
        place.state / LEDGER, xo=place.url, clock=place.now, instance=bytes(8), ballast_bytes=65_536
    ) as ledger:
        asyncio.run(LastPolicy(ledger, lambda: policy).keep())


def problems(err):
    assert err.endswith(GOES_ON)
    return [line.removeprefix("guard: warning: ") for line in err.splitlines()[:-1]]


def test_release_gives_everything_back_and_names_each_error(place):
    assert not place.is_on
    code, out, err = place.guard("release")
    assert (code, place.is_on, place.fallbacks) == (0, True, [])
    assert out.startswith("nightly / every night, due Wed 25 Nov 03:00 CET: released")
    told = problems(err)
    assert len(told) == 2
    assert "gaet" in "".join(told)
    assert "nofity" in "".join(told)


def test_what_was_due_is_started_by_release_before_it_is_given_back(place):
    place.live.advance(place.now().replace(minute=0, hour=2, second=20))
    assert place.guard("release")[0] == 0
    assert [start.origin for start in place.world.starts] == ["rpc"]
    assert place.is_on


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hold", "all", "--until", "07:00", "--reason", "x"), "hold of all until Wed 25 Nov 07:00 CET"),
        (("bypass", "all", "--reason", "x"), "bypass of all until guard unbypass all"),
        (("status",), "Claimed: nightly / every night, due Wed 25 Nov 03:00 CET"),
    ],
    ids=lambda words: words[0],
)
def test_brakes_and_status_work_and_say_what_they_go_on_with(place, words, said):
    code, out, err = place.guard(*words)
    assert code == 0
    assert said in " ".join(out.split())
    assert len(problems(err)) == 2
    if words[0] != "status":
        code, out, err = place.guard(f"un{words[0]}", "all")
        assert (code, out) == (0, "No hold and no bypass is in force.\n")
        assert len(problems(err)) == 2


def test_what_a_broken_file_says_of_gates_is_not_told_of_a_hold(place):
    assert "is enforced" not in place.guard("hold", "all", "--until", "1 h", "--reason", "x")[2]


def test_status_tells_monitoring_and_documents_of_the_errors(place):
    place.state.chmod(0o700)
    with only_one(place.state):  # a daemon that runs on, with the policy it has
        code, out, err = place.guard("status", "--nagios")
    assert (code, err, out.count("\n")) == (1, "", 1)
    assert out.startswith("GUARD WARNING - the policy has 2 errors: ")
    assert "gaet" in out
    told = json.loads(place.guard("status", "--json")[1])["policy_errors"]
    assert len(told) == 2


def test_a_wrong_word_is_still_one(place):
    code, out, err = place.guard("unhold", "all")
    assert (code, out) == (1, "")
    assert "guard: 'all': there is no such hold. No hold and no bypass is in force.\n" in err


@pytest.mark.parametrize("kept", [None, b"nonsense"], ids=["nothing", "what nobody can read"])
def test_where_the_ledger_remembers_nothing_usable_the_errors_end_the_command(place, kept):
    with open_ledger(
        place.state / LEDGER, xo=place.url, clock=place.now, instance=bytes(8), ballast_bytes=65_536
    ) as ledger:
        if kept is None:
            ledger._store.connection.execute("DELETE FROM document WHERE name = ?", (POLICY_XO,))
        else:
            asyncio.run(ledger.remember(POLICY_XO, kept))
    for words in (("release",), ("status",), ("unbypass", "all")):
        code, out, err = place.guard(*words)
        assert (code, out, err.count("\n")) == (1, "", 2)
        assert "warning" not in err
    assert not place.is_on


def test_without_a_ledger_the_errors_end_the_command(place):
    (place.state / LEDGER).unlink()
    code, _, err = place.guard("release")
    assert (code, err.count("\n"), "warning" in err) == (1, 2, False)


def test_a_file_that_is_gone_is_no_obstacle_where_the_ledger_is_named(place):
    place.policy.unlink()
    code, _, err = place.guard("release")
    assert (code, place.is_on) == (0, True)
    assert "the policy cannot be read" in problems(err)[0]


def test_the_ledger_of_the_default_policy_is_not_taken_for_that_of_another(place, monkeypatch):
    """A second XO's broken file must not have its commands act on the first one's ledger."""
    monkeypatch.setattr("guard.cli.state.DEFAULT_STATE", str(place.state))
    given = Namespace(config=str(place.policy), state=None)
    with pytest.raises(PolicyError):
        last_policy.read_or_last(given, {})
    assert not last_policy.read_or_last(given, {"STATE_DIRECTORY": str(place.state)}).is_whole
    monkeypatch.setattr(last_policy, "DEFAULT_CONFIG", str(place.policy))
    assert last_policy.read_or_last(given, {}).policy.xo.url == place.url
