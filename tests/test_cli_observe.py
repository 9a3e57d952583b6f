"""guard daemon, status, why and report through the command line, on a ledger that the test made."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from guard.cli import clock
from guard.cli import daemon as daemon_command
from guard.cli.main import main
from guard.cli.state import state_folder
from guard.daemon.compose import LEDGER, only_one
from guard.decision.verdict import Action
from guard.finding import Scope, ScopeKind
from guard.gate.watch import LOOP
from guard.lifecycle.events import End, RunKey
from guard.lifecycle.loop import Loop
from guard.lifecycle.remedy import ForRun, Remedy, RemedyKind, Result
from guard.policy.remedies_schema import RemediesSection
from guard.remedies.workaround import Workaround
from msgspec.structs import replace
from tests.builders import DUE
from tests.ledger.opening import INSTANCE, XO, opened
from tests.lifecycle.stories import (
    after,
    alarmed,
    attempt_ended,
    claimed,
    claiming,
    decided,
    ended,
    held,
    seen,
    started,
)

NOW = after(hours=8)
POLICY = f'[xo]\nurl = "{XO}"\ntoken_file = "/nowhere/token"\n'


@pytest.fixture(autouse=True)
def at_eight(monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


class Place:
    """A policy and a state folder; ``put`` writes stories, ``guard`` runs a command, status beside a daemon."""

    daemon_runs = True

    def __init__(self, folder):
        self.folder = folder / "state"
        self.folder.mkdir(mode=0o700)
        self.policy = folder / "guard.toml"
        self.policy.write_text(POLICY)

    def put(self, *events, key=None, loop=None):
        async def append(ledger):
            if events:
                await ledger.append(key or RunKey("schedule", DUE), 0, *events)
            if loop is not None:
                await ledger.remember(LOOP, msgspec.json.encode(loop))

        with opened(self.folder / LEDGER) as ledger:
            asyncio.run(append(ledger))

    def guard(self, *words, state=None, env=None):
        """(exit code, stdout, stderr)"""
        out, err = io.StringIO(), io.StringIO()
        given = ["--config", str(self.policy), "--state", str(state or self.folder)]
        runs = words[0] == "status" and self.daemon_runs and any(self.folder.glob(LEDGER))
        with only_one(self.folder) if runs else contextlib.nullcontext():
            code = main([*words, *given], out, err, env or {})
        return code, out.getvalue(), err.getvalue()

    def told(self, *words):
        code, out, err = self.guard(*words)
        assert (code, err) == (0, "")
        return out


NIGHT = (seen(), decided(), started(), attempt_ended(), ended())
MISSED = (
    seen(),
    alarmed("XO_DID_NOT_FIRE", "XO started no run."),
    ended(End.MISSED, code="XO_DID_NOT_FIRE", reason="x"),
)
LOOKED = Loop(at=NOW - timedelta(seconds=10), next_due=DUE + timedelta(days=1))


# --- status


def test_status_tells_what_the_last_look_left(place):
    place.put(*NIGHT, loop=LOOKED)
    assert place.told("status").splitlines() == [
        "Nothing runs.",
        "Next due: Thu 26 Nov 00:00 UTC.",
        "Last look 10 s ago.",
    ]


def test_status_of_a_ledger_without_a_look_says_so(place):
    place.put(*NIGHT)
    assert place.told("status") == "The daemon has not looked at XO yet.\n"
    assert place.guard("status", "--nagios")[:2] == (3, "GUARD UNKNOWN - the daemon has not looked at XO yet\n")


def test_status_as_a_document(place):
    place.put(*MISSED, loop=LOOKED)
    told = json.loads(place.told("status", "--json"))
    assert (told["schema"], told["age_s"], [one["code"] for one in told["alarms"]]) == (
        "guard.status/1",
        10.0,
        ["XO_DID_NOT_FIRE"],
    )


def test_the_times_of_a_status_are_in_the_policys_zone(place):
    place.policy.write_text(POLICY + 'zone = "Europe/Paris"\n')
    place.put(loop=LOOKED)
    assert "Next due: Thu 26 Nov 01:00 CET." in place.told("status")


def test_status_tells_what_guard_holds_and_when_a_waiting_run_is_judged_anew_by_the_policy(place):
    place.policy.write_text(POLICY + '[defaults]\ngate = "enforce"\nrecheck_every = "20 min"\n')
    wait = decided(action=Action.DEFER, held=(replace(held(), deadline=after(hours=12)),))
    place.put(seen(), wait, claiming(), claimed(), loop=LOOKED)
    said = " ".join(place.told("status").split())
    assert "Claimed: nightly / schedule, due Wed 25 Nov 00:00 UTC: the schedule is off in XO" in said
    assert "for CHAIN_UNHEALTHY, until Wed 25 Nov 12:00 UTC at most, judged anew at Wed 25 Nov 00:19 UTC." in said
    document = json.loads(place.told("status", "--json"))
    assert (len(document["claims"]), len(document["deferrals"])) == (1, 1)
    assert all(one["name"].startswith(f"guard[{INSTANCE.hex()}]: ") for one in document["fallbacks"])


@pytest.mark.parametrize(
    ("events", "due", "code", "said"),
    [
        (NIGHT, DUE, 0, "GUARD OK - 0 runs going on|"),
        ((seen(), started(), alarmed()), DUE, 2, "GUARD CRITICAL - 1 alarm: Nothing moved for 30 min.|"),
        (MISSED, DUE, 2, "GUARD CRITICAL - 1 alarm: XO started no run.|"),
        (MISSED, DUE - timedelta(days=1), 2, "GUARD CRITICAL - 1 alarm: XO started no run.|"),
        ((*MISSED[:-1], replace(MISSED[-1], at=NOW - timedelta(days=1))), DUE, 0, "GUARD OK - 0 runs going on|"),
        ((seen(), started(), alarmed()), DUE - timedelta(days=9), 2, "GUARD CRITICAL - 1 alarm:"),
    ],
    ids=[
        "a good night",
        "a stuck run",
        "missed tonight",
        "missed long ago and found tonight",
        "missed the night before",
        "stuck for days",
    ],
)
def test_monitoring_gets_the_alarms_that_stand(place, events, due, code, said):
    place.put(*events, key=RunKey("schedule", due), loop=LOOKED)
    found, out, err = place.guard("status", "--nagios")
    assert (found, err, out.count("\n")) == (code, "", 1)
    assert out.startswith(said)


def test_monitoring_gets_unknown_for_whatever_is_wrong(place):
    assert place.guard("status", "--nagios")[0] == 3
    place.policy.write_text("[xo]\nurl = 5\nname = 'a|b'\n")
    code, out, err = place.guard("status", "--nagios")
    assert (code, err, out.count("\n"), out.count("|")) == (3, "", 1, 0)
    assert out.startswith("GUARD UNKNOWN - ")


def test_a_state_folder_that_may_not_be_entered_is_one_sentence_and_unknown_to_monitoring(place, monkeypatch):
    def refused(path, **_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refused)
    code, out, err = place.guard("status")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "ledger.sqlite: cannot be read (Permission denied): only root and guard's own user may" in err
    code, out, err = place.guard("status", "--nagios")
    assert (code, err) == (3, "")
    assert out.startswith("GUARD UNKNOWN - ")


def test_without_a_daemon_status_says_so_at_once_and_monitoring_gets_unknown(place):
    place.put(seen(), started(), alarmed(), loop=LOOKED)
    place.daemon_runs = False
    said = " ".join(place.told("status").split())
    assert said.startswith(
        "No daemon runs on this folder (systemctl start guard). What follows was so when the last one"
    )
    code, line, _ = place.guard("status", "--nagios")
    assert (code, line.count("\n")) == (3, 1)
    assert "no daemon runs on this folder; at the last look: CRITICAL - 1 alarm: Nothing moved for 30 min.|age=" in line
    assert json.loads(place.told("status", "--json"))["daemon_runs"] is False


def test_beside_a_daemon_status_says_nothing_of_it_and_its_document_does(place):
    place.put(*NIGHT, loop=LOOKED)
    assert "daemon" not in place.told("status")
    assert json.loads(place.told("status", "--json"))["daemon_runs"] is True


@pytest.mark.parametrize(
    "words",
    [("status",), ("why", "schedule"), ("report",), ("release",), ("hold", "all", "--until", "2 h", "--reason", "x")],
    ids="_".join,
)
def test_a_ledger_that_is_gone_beside_a_daemon_is_told_with_what_to_do(place, words):
    with only_one(place.folder):
        code, out, err = place.guard(*words)
    assert (code, out) == (1, "")
    assert "ledger.sqlite: a daemon runs and its ledger is gone: restart guard" in err


def test_a_state_folder_that_others_may_look_into_is_a_warning_to_monitoring_and_in_the_document(place):
    place.put(*NIGHT, loop=LOOKED)
    place.folder.chmod(0o755)
    code, line, _ = place.guard("status", "--nagios")
    assert (code, line.partition("|")[0]) == (
        1,
        f"GUARD WARNING - others may look into {place.folder} (mode 755): run chmod 700 {place.folder}",
    )
    assert json.loads(place.told("status", "--json"))["state_folder"]
    place.put(*MISSED, key=RunKey("other", DUE))
    assert place.guard("status", "--nagios")[0] == 2


# --- why


def test_why_tells_the_latest_due_time_that_has_come_and_only_else_the_next(place):
    for minutes in (0, 480, 481):
        due = after(minutes=minutes)
        place.put(seen(due=due), key=RunKey("schedule", due))
    assert place.told("why", "schedule").startswith("nightly / schedule, due Wed 25 Nov 08:00 UTC")
    assert place.told("why", "schedule", "2026-11-25T08:01Z").startswith("nightly / schedule, due Wed 25 Nov 08:01 UTC")
    assert place.told("why", "schedule", "2026-11-25T08:00Z").count("due Wed") == 1
    assert place.told("why", "schedule", "2026-11-25T08:00:30Z").count("due Wed") == 2
    place.put(seen(due=after(minutes=481), name="later"), key=RunKey("later", after(minutes=481)))
    assert place.told("why", "later").startswith("nightly / later, due Wed 25 Nov 08:01 UTC")


def test_why_tells_the_latest_story_of_a_schedule(place):
    place.put(*NIGHT)
    place.put(*MISSED, key=RunKey("schedule", DUE - timedelta(days=1)))
    lines = place.told("why", "schedule").splitlines()
    assert lines[0] == "nightly / schedule, due Wed 25 Nov 00:00 UTC"
    assert lines[-1].endswith("observed")


@pytest.mark.parametrize("name", ["schedule", "job", "nightly", "every night"])
def test_a_story_is_found_by_id_or_name_of_its_schedule_or_job(place, name):
    place.put(seen(name="every night"), *NIGHT[1:])
    assert place.told("why", name).startswith("nightly / every night, due")


@pytest.mark.parametrize(
    "due", ["2026-11-25T00:00Z", "2026-11-25T01:00:30+01:00", "2026-11-24T23:59:30+00:00"], ids=str
)
def test_a_due_time_is_found_within_a_minute_in_any_zone(place, due):
    place.put(*MISSED)
    place.put(*NIGHT, key=RunKey("schedule", DUE + timedelta(hours=1)))
    assert "missed" in place.told("why", "schedule", due)


def test_every_story_of_one_due_time_is_told(place):
    place.put(*NIGHT)
    place.put(*MISSED, key=RunKey("schedule", DUE, "weekend"))
    told = place.told("why", "schedule", "2026-11-25T00:00Z", "--json").splitlines()
    assert [json.loads(line)["via"] for line in told] == [None, "weekend"]
    assert {json.loads(line)["schema"] for line in told} == {"guard.story/1"}


# --- report


def test_report_covers_the_last_week_unless_told_otherwise(place):
    place.put(*NIGHT)
    place.put(*MISSED, key=RunKey("schedule", DUE - timedelta(days=8)))
    assert place.told("report").startswith("1 due time from Wed 18 Nov 08:00 UTC to Wed 25 Nov 08:00 UTC: 1 observed.")
    assert place.told("report", "--since", "10 d").startswith("2 due times")
    assert place.told("report", "--since", "2026-11-10T00:00Z").startswith("2 due times from Tue 10 Nov 00:00 UTC")


def test_report_as_a_document(place):
    place.put(*NIGHT)
    told = json.loads(place.told("report", "--json"))
    assert (told["schema"], told["ends"]) == ("guard.report/1", {"observed": 1})


# --- remedies


def remedied(place, *, due=DUE, at=DUE - timedelta(hours=4)):
    found = Remedy(
        kind=RemedyKind.RESCAN,
        scope=Scope(ScopeKind.SR, "sr", "SAN"),
        at=at,
        reason="3 wait",
        runs=(ForRun(schedule="schedule", name="nightly", due=due),),
        result=Result.DONE,
        text="XO scanned it.",
    )
    with opened(place.folder / LEDGER) as ledger:
        asyncio.run(ledger.put_remedy(found))


def test_why_tells_what_guard_did_for_that_run_and_for_no_other(place):
    place.put(*NIGHT)
    remedied(place)
    remedied(place, due=DUE + timedelta(days=1), at=DUE - timedelta(hours=1))
    told = place.told("why", "schedule").splitlines()
    at = told.index("What guard did so that it can start:")
    assert told[at + 1 :] == [
        "  Tue 24 Nov 20:00 UTC  guard scanned SAN. XO scanned it.",
        "      why: 3 wait.",
        "      for nightly, due Wed 25 Nov 00:00 UTC",
    ]
    (document,) = map(json.loads, place.told("why", "schedule", "--json").splitlines())
    assert [one["kind"] for one in document["remedies"]] == ["rescan"]


def test_why_of_a_run_for_which_nothing_was_done_says_nothing_of_it(place):
    place.put(*NIGHT)
    assert "What guard did" not in place.told("why", "schedule")
    assert json.loads(place.told("why", "schedule", "--json"))["remedies"] == []


def test_report_tells_what_was_done_in_its_time(place):
    place.put(*NIGHT)
    remedied(place)
    remedied(place, at=NOW - timedelta(days=8))
    told = place.told("report")
    assert told.count("guard scanned SAN") == 1
    assert place.told("report", "--since", "9 d").count("guard scanned SAN") == 2
    assert len(json.loads(place.told("report", "--json"))["remedies"]) == 1


def test_report_tells_what_stands_in_xo_s_configuration_as_long_as_it_does(place, tmp_path):
    folder = tmp_path / "xo-server"
    folder.mkdir()
    place.policy.write_text(f'{POLICY}[remedies]\nxo_config = "{folder}"\n')
    place.put(*NIGHT)
    assert "workaround" not in place.told("report")
    workaround = Workaround(RemediesSection(xo_config=str(folder)), clock=lambda: NOW)
    asyncio.run(workaround.apply(1_800_000, NOW + timedelta(days=30), "vm timed out twice."))
    assert "Note: The httpInactivityTimeout workaround stands until Fri 25 Dec" in place.told("report")


# --- what can be wrong is one sentence and exit code 1


COMMANDS = [("status",), ("status", "--json"), ("why", "schedule"), ("report",)]


@pytest.mark.parametrize("words", [*COMMANDS, ("daemon",)], ids=" ".join)
def test_a_state_folder_that_is_none_is_told(place, words):
    code, out, err = place.guard(*words, state="/nowhere/guard")
    assert (code, out) == (1, "")
    assert err == (
        "guard: /nowhere/guard: there is no such folder; the daemon keeps its ledger there: make it with"
        " install -d -m 700 /nowhere/guard, or name one with --state\n"
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_folder_without_a_ledger_is_told(place, words):
    code, out, err = place.guard(*words)
    assert (code, out, err) == (
        1,
        "",
        f"guard: {place.folder}/ledger.sqlite: there is no ledger yet; guard daemon makes it\n",
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_ledger_of_another_xo_is_refused(place, words):
    place.put(*NIGHT)
    place.policy.write_text(POLICY.replace(XO, "https://other.example"))
    code, out, err = place.guard(*words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "belongs to the XO at https://xo.example, not to the one at https://other.example" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("why", "schedule", "yesterday"), "DUE 'yesterday': expected a time such as"),
        (("why", "schedule", "2026-11-25T00:00"), "DUE '2026-11-25T00:00': has no zone"),
        (("why", "schedule", "1999-11-25T00:00Z"), "expected a year from 2000"),
        (
            ("why", "other"),
            "'other': the ledger has no due time of a schedule or job of that id or name. guard daemon enters",
        ),
        (("why", "schedule", "2026-11-26T00:00Z"), "of that id or name due at 2026-11-26T00:00Z. guard"),
        (("report", "--since", "last week"), "--since 'last week': expected a time such as"),
        (("report", "--since", "2026-11-25"), "--since '2026-11-25': has no zone"),
        (("report", "--since", "99999 d"), "--since '99999 d': expected a time such as"),
        (("report", "--since", "2 weeks"), 'or a duration such as "7 d", "12 h", "90 min"'),
        (("status", "--since", "1 d"), "unrecognized arguments: --since 1 d"),
    ],
)
def test_a_wrong_word_is_one_sentence(place, words, said):
    place.put(*NIGHT)
    code, out, err = place.guard(*words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert said in err


def test_names_from_outside_reach_no_terminal(place):
    nasty = "\x1b[31m\u202e"
    place.put(seen(name=nasty), alarmed(text=nasty), ended(), loop=msgspec.structs.replace(LOOKED, xo_error=nasty))
    for words in (("why", "schedule"), ("report",), ("status",), ("status", "--nagios")):
        out = place.guard(*words)[1]
        assert out
        assert not any(mark in out for mark in nasty if not mark.isascii() or not mark.isprintable())


# --- where the state is


def test_the_state_folder_is_the_one_given_else_the_units(tmp_path):
    assert state_folder(str(tmp_path), {"STATE_DIRECTORY": "/nowhere"}) == tmp_path
    assert state_folder(None, {"STATE_DIRECTORY": f"{tmp_path}:/other"}) == tmp_path


# --- daemon


def test_the_daemon_is_given_clock_ledger_and_log_and_lets_the_collector_run(place, monkeypatch):
    given = []

    async def once(in_force, state, routes_of, shell, flags):
        given.append((in_force.policy.xo.url, state, len(routes_of(in_force.policy)), gc.isenabled()))
        assert shell.clock() == NOW
        assert shell.monotonic_us() > 0
        assert (len(shell.instance), bool(shell.holder), flags.stop) == (8, True, False)
        shell.log("two\nlines \x1b[31m")

    monkeypatch.setattr(daemon_command, "run_daemon", once)
    place.policy.write_text(POLICY + 'verify = false\n[notify.webhook]\nurl = "https://hook.example"\n')
    was = gc.isenabled()
    gc.disable()
    try:
        code, out, err = place.guard("daemon")
    finally:
        gc.enable() if was else gc.disable()
    assert (code, out, given) == (0, "", [(XO, place.folder, 1, True)])
    assert err.splitlines() == [
        "guard: warning: [xo] verify = false: anybody on the way can read the token",
        "guard: two; lines \N{REPLACEMENT CHARACTER}[31m",
    ]


def test_a_daemon_without_its_token_ends_with_one_sentence(place):
    code, out, err = place.guard("daemon")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "/nowhere/token" in err


# --- the policy in force

OFTEN = (replace(seen(name="often"), cron="*/3 * * * *"), decided(), started(), attempt_ended(), ended())
LEFT = "Enforced, but left to XO: nightly / often. Why: it fires more often than every 30 min."


def test_status_and_report_name_what_is_enforced_and_left_to_xo_all_the_same(place):
    place.policy.write_text(POLICY + '[[schedule]]\nname = "often"\ngate = "enforce"\n')
    place.put(*OFTEN, loop=LOOKED)
    assert " ".join(place.told("status").split()).count(LEFT) == 1
    assert json.loads(place.told("status", "--json"))["left_to_xo"] == ["nightly / often"]
    assert LEFT in " ".join(place.told("report").split())
    (told,) = json.loads(place.told("report", "--json"))["schedules"]
    assert (told["enforced"], told["left_to_xo"]) == (True, "it fires more often than every 30 min")


def test_what_only_was_enforced_is_enforced_no_more_in_the_report(place):
    place.put(seen(), replace(decided(), acts=True), started(), attempt_ended(), ended(), loop=LOOKED)
    assert not json.loads(place.told("report", "--json"))["schedules"][0]["enforced"]
    assert "left to XO" not in place.told("status")


def test_an_entry_that_does_nothing_is_told_by_status_and_report(place):
    entry = "schedule[1] of the policy does nothing."
    place.put(*NIGHT, loop=replace(LOOKED, idle_entries=(entry,)))
    assert f"Note: {entry}" in place.told("status").splitlines()
    assert f"Note: {entry}" in place.told("report").splitlines()
    assert json.loads(place.told("report", "--json"))["idle_entries"] == [entry]
