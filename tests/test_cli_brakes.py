"""guard hold, unhold, bypass and unbypass, beside a daemon that has the ledger open."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pwd
from datetime import timedelta

import msgspec
import pytest
from guard.cli import clock
from guard.cli.main import main
from guard.daemon.compose import LEDGER
from guard.decision.brakes import Brake
from guard.gate.watch import BRAKES
from tests.ledger.opening import NOW, XO, opened

POLICY = f'[xo]\nurl = "{XO}"\ntoken_file = "/nowhere/token"\n'
WHY = ("--reason", "moving disks")


class Place:
    """A policy and a state folder; the clock is ``now``."""

    def __init__(self, folder):
        self.state, self.policy, self.now = folder / "state", folder / "guard.toml", NOW
        self.state.mkdir()
        self.policy.write_text(POLICY)

    def guard(self, *words, env=None):
        """(exit code, stdout, stderr)"""
        out, err = io.StringIO(), io.StringIO()
        code = main([*words, "--config", str(self.policy), "--state", str(self.state)], out, err, env or {})
        return code, out.getvalue(), err.getvalue()

    def told(self, *words, env=None):
        """stdout with its folds undone; XO is away, so what it would say of a name is a warning at most."""
        code, out, err = self.guard(*words, env=env)
        assert (code, out.endswith("\n")) == (0, True)
        assert all(line.startswith("guard: warning: ") for line in err.splitlines())
        return " ".join(out.split())

    def brakes(self):
        with opened(self.state / LEDGER) as ledger:
            told = asyncio.run(ledger.recall(BRAKES))
        return list(msgspec.json.decode(told, type=tuple[Brake, ...])) if told else []


@pytest.fixture
def place(tmp_path, monkeypatch):
    made = Place(tmp_path)
    monkeypatch.setattr(clock, "now", lambda: made.now)
    with opened(made.state / LEDGER) as daemon:
        asyncio.run(daemon.lease("the daemon", NOW + timedelta(minutes=5)))
        yield made
        asyncio.run(daemon.remember("x", b"the daemon goes on"))


def test_a_hold_is_kept_for_the_daemon_with_who_set_it_and_until_when(place):
    said = place.told("hold", " pool : Lyon ", "--until", "4 h", *WHY, env={"USER": "root", "SUDO_USER": "alice"})
    assert said == "In force now: hold of pool:Lyon until Mon 02 Mar 16:00 UTC, by alice: moving disks."
    assert place.brakes() == [
        Brake(
            kind="hold",
            scope="pool:Lyon",
            until=NOW + timedelta(hours=4),
            reason="moving disks",
            since=NOW,
            by="alice",
        )
    ]


@pytest.mark.parametrize(
    ("env", "by"),
    [
        ({"USER": "bob"}, "bob"),
        ({"LOGNAME": "bob", "USER": ""}, "bob"),
        ({"USER": "root", "LOGNAME": "root", "SUDO_USER": "alice"}, "alice"),
        ({"USER": "", "SUDO_USER": ""}, pwd.getpwuid(os.geteuid()).pw_name),
        ({}, pwd.getpwuid(os.geteuid()).pw_name),
    ],
)
def test_who_set_it_is_the_user_as_far_as_known(place, env, by):
    place.told("hold", "all", "--until", "1 h", *WHY, env=env)
    assert [one.by for one in place.brakes()] == [by]


def test_an_account_without_a_name_is_told_by_its_number(place, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    place.told("hold", "all", "--until", "1 h", *WHY, env={})
    assert [one.by for one in place.brakes()] == ["user 4000000000"]


@pytest.mark.parametrize(
    ("until", "ends"),
    [
        ("13:30", NOW + timedelta(minutes=30)),  # in Paris it is 13:00
        ("13:00", NOW + timedelta(days=1)),
        (" 9:15 ", NOW + timedelta(hours=20, minutes=15)),
    ],
)
@pytest.mark.parametrize("kind", ["hold", "bypass"])
def test_a_time_of_day_is_the_next_one_in_the_zone_of_messages(place, kind, until, ends):
    place.policy.write_text(POLICY + 'zone = "utc"\n[notify]\nzone = "Europe/Paris"\n')
    place.told(kind, "all", "--until", until, *WHY)
    assert [one.until for one in place.brakes()] == [ends]


@pytest.mark.parametrize(
    "scope", ["all", "vm:web 01", "pool:Lyon", "sr:NFS", "repository:nas", "schedule:every night", "job:nightly"]
)
def test_every_scope_can_be_held_and_let_go_again(place, scope):
    place.told("hold", scope, "--until", "2026-03-02T18:00+01:00", *WHY)
    assert [one.scope for one in place.brakes()] == [scope]
    assert place.told("unhold", scope) == "No hold and no bypass is in force."
    assert place.brakes() == []


@pytest.mark.parametrize("scope", ["all", "schedule:every night", "job:nightly"])
def test_a_bypass_may_last_until_a_person_ends_it(place, scope):
    said = place.told("bypass", scope, *WHY)
    assert said.startswith(f"In force now: bypass of {scope} until guard unbypass ")
    assert [(one.kind, one.until) for one in place.brakes()] == [("bypass", None)]
    place.told("bypass", scope, "--until", "30 min", *WHY)
    assert [one.until for one in place.brakes()] == [NOW + timedelta(minutes=30)]
    assert place.told("unbypass", scope) == "No hold and no bypass is in force."


def test_a_hold_and_a_bypass_of_one_scope_are_two_things(place):
    place.told("hold", "all", "--until", "1 h", *WHY)
    said = place.told("bypass", "all", *WHY, env={"USER": "bob"})
    assert said.count("; bypass of all") == 1
    assert place.told("unhold", "all").startswith("In force now: bypass of all until guard unbypass all, by bob")


def test_what_has_ended_is_dropped_at_the_next_change(place):
    place.told("hold", "pool:Lyon", "--until", "1 h", *WHY)
    place.now = NOW + timedelta(hours=1)
    place.told("hold", "sr:NFS", "--until", "1 h", *WHY)
    assert [one.scope for one in place.brakes()] == ["sr:NFS"]
    code, _, err = place.guard("unhold", "pool:Lyon")
    assert (code, err.count("\n")) == (1, 1)
    assert "'pool:Lyon': there is no such hold. In force now: hold of sr:NFS" in err
    assert [one.scope for one in place.brakes()] == ["sr:NFS"]


def test_status_shows_what_is_in_force_and_how_to_end_it(place):
    place.told("hold", "vm:web 01", "--until", "1 h", *WHY)
    place.told("bypass", "all", "--until", "2 h", *WHY)
    place.now = NOW + timedelta(hours=1)
    out = place.guard("status")[1]
    assert "By hand: bypass of all until Mon 02 Mar 14:00 UTC" in out
    assert "web 01" not in out
    (brake,) = json.loads(place.guard("status", "--json")[1])["brakes"]
    assert (brake["scope"], brake["undo"]) == ("all", "guard unbypass all")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hold", "Lyon", "--until", "1 h", *WHY), "SCOPE 'Lyon' names no kind of thing; expected \"all\", or one of"),
        (("hold", "pool:", "--until", "1 h", *WHY), "SCOPE 'pool:' does not say which pool"),
        (("unhold", "all:x"), "SCOPE 'all:x': expected \"all\" alone"),
        (("bypass", "pool:Lyon", *WHY), "SCOPE 'pool:Lyon': a bypass is for \"all\", or for a schedule or job"),
        (("unbypass", "vm:web"), "guard hold vm:... keeps a vm out"),
        (("unbypass", "all"), "'all': there is no such bypass. No hold and no bypass is in force."),
        (("hold", "all", *WHY), "required: --until"),
        (("hold", "all", "--until", "1 h"), "required: --reason"),
        (("hold", "all", "--until", "1 h", "--reason", " "), "--reason is empty"),
        (("hold", "all", "--until", "tomorrow", *WHY), "--until 'tomorrow': expected a time such as"),
        (("hold", "all", "--until", "tomorrow", *WHY), 'or a duration such as "4 h"'),
        (("hold", "all", "--until", "24:00", *WHY), "a time of day such as 09:00"),
        (("hold", "all", "--until", "12:60", *WHY), "--until '12:60': expected a time such as"),
        (("hold", "all", "--until", "2026-03-02T12:00", *WHY), "has no zone"),
        (("hold", "all", "--until", "2026-03-02T12:00Z", *WHY), "that is over already"),
        (("bypass", "all", "--until", "0 s", *WHY), "that is over already"),
    ],
)
def test_a_wrong_word_is_one_sentence_and_changes_nothing(place, words, said):
    code, out, err = place.guard(*words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert said in err
    assert place.brakes() == []


def test_brakes_of_a_newer_guard_are_not_overwritten(tmp_path):
    place = Place(tmp_path)
    with opened(place.state / LEDGER) as ledger:
        asyncio.run(ledger.remember(BRAKES, b'{"version":2}'))
        code, out, err = place.guard("unhold", "all")
        assert asyncio.run(ledger.recall(BRAKES)) == b'{"version":2}'
    assert (code, out) == (1, "")
    assert "its holds and bypasses cannot be read" in err


def test_reasons_reach_no_terminal_as_they_are(place):
    said = place.told("hold", "all", "--until", "1 h", "--reason", "\x1b[31m\nfishing")
    assert said.isprintable()
    assert place.guard("status")[1].replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "words",
    [
        ("hold", "all", "--until", "1 h", *WHY),
        ("unhold", "all"),
        ("bypass", "all", *WHY),
        ("unbypass", "all"),
    ],
    ids=lambda words: words[0],
)
def test_without_a_ledger_the_daemon_is_named_that_makes_it_and_none_is_made(tmp_path, words):
    place = Place(tmp_path)
    code, out, err = place.guard(*words)
    assert (code, out) == (1, "")
    assert err == f"guard: {place.state}/ledger.sqlite: there is no ledger yet; guard daemon makes it\n"
    assert list(place.state.iterdir()) == []
