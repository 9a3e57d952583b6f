"""guard workaround show | apply | revert."""

from __future__ import annotations

import asyncio
import io
import tempfile
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from guard.cli import clock
from guard.cli.main import main
from guard.lifecycle.remedy import RemedyKind, Result
from guard.mechanics.xo_config import OWN_FILE
from guard.remedies.xo_folder import look
from tests.ledger.opening import opened
from tests.remedies.folders import NOW, content, own, sets

WHY = ("--reason", "2 timeouts in the last 5 runs of nightly")


class Place:
    def __init__(self, folder):
        self.policy, self.etc = folder / "guard.toml", folder / "etc"
        self.etc.mkdir()
        self.says(f'xo_config = "{self.etc}"')

    def says(self, *lines):
        text = '[xo]\nurl = "https://xo"\ntoken_file = "/nowhere/token"\n[remedies]\n'
        self.policy.write_text(text + "\n".join(lines) + "\n")

    def guard(self, *words, env=None):
        """(exit code, stdout in one line, stderr)"""
        out, err = io.StringIO(), io.StringIO()
        code = main(["workaround", *words, "--config", str(self.policy)], out, err, env or {})
        return code, " ".join(out.getvalue().split()), err.getvalue()


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: NOW)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # a path that fits into a line of the output
        yield Place(Path(short))


def test_written_shown_and_taken_back(place):
    code, out, err = place.guard("apply", *WHY, env={"SUDO_USER": "anna", "USER": "root"})
    assert (code, err) == (0, "")
    assert (
        f"{own(place.etc)}: httpInactivityTimeout = 1800000 (30 min) until 2026-04-01 12:00 UTC. File verified." in out
    )
    assert "It hides the cause" in out
    found = look(place.etc, NOW).own
    assert (found.reason, found.until, found.by) == (
        WHY[1],
        NOW + timedelta(days=30),
        "anna, by guard workaround apply",
    )
    code, out, err = place.guard("show")
    assert (code, err) == (0, "")
    assert "file verified, httpInactivityTimeout = 1800000 (30 min), until 01 Apr 2026 12:00 UTC" in out
    code, out, err = place.guard("revert")
    assert (code, out, err) == (
        0,
        f"{own(place.etc)}: removed; then no file sets it, so XO's own 300000 (5 min) holds.",
        "",
    )
    assert content(place.etc) == {}
    assert place.guard("revert")[:2] == (0, f"{own(place.etc)}: there is no such file.")


def test_what_a_person_does_is_in_the_daemons_ledger_where_there_is_one(place):
    state = place.policy.parent / "state"
    state.mkdir()
    ledger = opened(state / "ledger.sqlite", xo="https://xo", clock=lambda: NOW)
    env = {"STATE_DIRECTORY": str(state)}
    for words in (("apply", *WHY), ("apply", *WHY), ("revert",), ("revert",)):
        assert place.guard(*words, env=env)[0] == 0
    wrote, back = sorted(asyncio.run(ledger.remedies(NOW - timedelta(days=1))), key=lambda one: one.kind.value)
    ledger.close()
    assert (wrote.kind, wrote.result, wrote.reason) == (RemedyKind.TIMEOUT_FILE, Result.DONE, WHY[1])
    assert wrote.until == NOW + timedelta(days=30)
    assert wrote.text.startswith("By hand: ")
    assert (back.kind, back.until, back.reason) == (RemedyKind.TIMEOUT_FILE_BACK, None, "guard workaround revert")


def test_value_and_days_are_the_policys_unless_they_are_given(place):
    place.says(f'xo_config = "{place.etc}"', 'timeout = "20 min"', "timeout_days = 3")
    assert place.guard("apply", *WHY)[0] == 0
    assert look(place.etc, NOW).own.value_ms == 1_200_000
    assert place.guard("apply", "--value", "1 h", "--days", "7", *WHY)[0] == 0
    found = look(place.etc, NOW).own
    assert (found.value_ms, found.until) == (3_600_000, NOW + timedelta(days=7))


def test_a_dry_run_shows_the_diff_and_changes_nothing(place):
    code, out, _ = place.guard("apply", "--dry-run", *WHY)
    assert (code, content(place.etc)) == (0, {})
    assert out.startswith(f"Would do: {own(place.etc)}: httpInactivityTimeout = 1800000")
    assert "+[xapiOptions] +httpInactivityTimeout = 1800000" in out
    place.guard("apply", *WHY)
    before = content(place.etc)
    code, out, _ = place.guard("revert", "--dry-run")
    assert (code, "-httpInactivityTimeout = 1800000" in out, content(place.etc)) == (0, True, before)
    assert place.guard("apply", "--dry-run", *WHY)[1] == f"Nothing to do: {own(place.etc)}: stands as wanted."
    assert place.guard("show", "--dry-run")[0] == 0


def test_what_is_set_elsewhere_is_enough(place):
    (place.etc / "config.toml").write_text(sets(7_200_000))
    code, out, _ = place.guard("apply", *WHY)
    assert (code, own(place.etc).exists()) == (0, False)
    assert "config.toml sets 7200000 (2 h); that is enough, guard's file is not needed." in out


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
@pytest.mark.parametrize("what", [("apply", *WHY), ("revert",)])
def test_what_guard_leaves_to_a_person_exits_2_with_one_sentence(place, what, dry):
    own(place.etc).write_text(sets(1))
    code, out, err = place.guard(*what, *dry)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "a person has edited it" in err


@pytest.mark.parametrize("what", [("apply", *WHY), ("revert",), ("show",), ("apply", "--dry-run", *WHY)])
def test_a_folder_that_is_missing_is_an_error(place, what):
    place.etc.rmdir()
    code, out, err = place.guard(*what)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "there is no such folder" in err


def test_a_helper_that_is_not_there_is_an_error(place):
    place.says(f'xo_config = "{place.etc}"', 'timeout_helper = "/nowhere/guard.sock"')
    code, _, err = place.guard("apply", *WHY)
    assert (code, "start guard-workaround.socket" in err) == (1, True)


def test_without_xo_config_it_tells_what_to_put_where_and_that_is_not_done(place):
    place.says()
    out, err = io.StringIO(), io.StringIO()
    code = main(["workaround", "apply", *WHY, "--config", str(place.policy)], out, err, {})
    assert (code, err.getvalue()) == (2, "")
    text = out.getvalue().split("\n\n")
    assert tomllib.loads("\n".join(text[1:3])) == {"xapiOptions": {"httpInactivityTimeout": 1_800_000}}
    assert OWN_FILE in text[0]
    assert "/etc/xo-proxy" in text[3]
    code, told, _ = place.guard("revert")
    assert (code, "delete /etc/xo-server/" in told) == (2, True)
    code, told, _ = place.guard("show")
    assert (code, "names no [remedies] xo_config" in told) == (0, True)


def test_a_file_put_there_by_hand_is_known_as_guards_own_later(place):
    place.says()
    out = io.StringIO()
    main(["workaround", "apply", *WHY, "--config", str(place.policy)], out, io.StringIO(), {})
    own(place.etc).write_text("\n\n".join(out.getvalue().split("\n\n")[1:3]) + "\n")
    assert look(place.etc, NOW).own.state == "intact"


@pytest.mark.parametrize(("gate", "said"), [("observe", True), ("enforce", False)])
def test_where_guard_does_not_take_it_back_by_itself_it_says_so(place, gate, said):
    place.says(f'xo_config = "{place.etc}"', "timeout_file = false", "[defaults]", f'gate = "{gate}"')
    assert ("it will not take it back by itself." in place.guard("apply", *WHY)[1]) is said


@pytest.mark.parametrize(
    ("gate", "own_accord", "said"), [("enforce", "true", True), ("enforce", "false", False), ("observe", "true", False)]
)
def test_a_revert_says_where_the_daemon_may_write_it_again(place, gate, own_accord, said):
    place.says(f'xo_config = "{place.etc}"', f"timeout_file = {own_accord}", "[defaults]", f'gate = "{gate}"')
    place.guard("apply", *WHY)
    assert ("guard daemon writes it again" in place.guard("revert")[1]) is said


@pytest.mark.parametrize(
    ("words", "saying"),
    [
        (("apply",), "--reason is missing or empty"),
        (("apply", "--reason", "  "), "--reason is missing or empty"),
        (("apply", "--value", "soon", *WHY), "--value 'soon': expected a duration"),
        (("apply", "--value", "5 min", *WHY), "expected more than 5 min, XO's own, and at most longest_timeout (2 h)"),
        (("apply", "--value", "3 h", *WHY), "at most longest_timeout (2 h)"),
        (("apply", "--days", "0", *WHY), "--days 0: expected 1 to 365"),
        (("apply", "--days", "366", *WHY), "--days 366"),
        (("apply", "--days", "x", *WHY), "--days"),
        (("revert", *WHY), "go with apply"),
        (("show", "--days", "0"), "go with apply"),
        (("remove",), "invalid choice"),
    ],
)
def test_a_wrong_command_line_is_an_error_that_says_what_would_be_right(place, words, saying):
    code, out, err = place.guard(*words)
    assert (code, out, saying in err) == (1, "", True), err
    assert content(place.etc) == {}
