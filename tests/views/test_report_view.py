"""The report as text and as guard.report/1."""

from __future__ import annotations

import json
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import msgspec
from guard.decision.verdict import Action
from guard.finding import Scope, ScopeKind
from guard.lifecycle.events import End, RunKey
from guard.lifecycle.remedy import Remedy, RemedyKind, Result
from guard.lifecycle.report import make_report
from guard.outcomes.score import Tally
from guard.views.report import report_document, report_text
from guard.views.text import cells
from tests.builders import DUE
from tests.lifecycle.stories import alarmed, attempt_ended, decided, ended, finding, seen, started, story

UNTIL = DUE + timedelta(days=7)


def night(
    number, *findings, status="success", key="schedule", name=None, action=Action.START, says="unhealthy VDI chain"
):
    due = DUE + timedelta(days=number)
    run = f"{key}-{number}"
    return story(
        seen(due=due, name=name or key),
        decided(*findings, due=due, action=action),
        started(run, due=due),
        attempt_ended(run, status=status, says=says),
        ended(),
        key=RunKey(key, due),
    )


def missed(number, reason="XO started no run."):
    due = DUE + timedelta(days=number)
    end = ended(End.MISSED, code="XO_DID_NOT_FIRE", reason=reason)
    return story(seen(due=due), alarmed("XO_DID_NOT_FIRE"), end, key=RunKey("schedule", due))


def report(*runs):
    return make_report(runs, DUE, UNTIL)


def text(*runs):
    return report_text(report(*runs), UTC)


def document(*runs):
    return json.loads(msgspec.json.encode(report_document(report(*runs))))


def test_a_report_of_nothing_says_so():
    assert text() == (
        "0 due times from Wed 25 Nov 00:00 UTC to Wed 02 Dec 00:00 UTC: nothing.\n\nReady to be enforced: 0 of 0 schedules\n"
    )


def test_a_week_is_told_by_ends_causes_score_and_readiness():
    runs = [night(number, finding(), action=Action.START_SOME) for number in range(2)]
    runs += [night(2, finding(), status="failure", action=Action.DEFER), missed(3)]
    runs += [story(seen(due=DUE + timedelta(days=4)), key=RunKey("schedule", DUE + timedelta(days=4)))]
    assert text(*runs).splitlines() == [
        "5 due times from Wed 25 Nov 00:00 UTC to Wed 02 Dec 00:00 UTC: 3 observed, 1",
        "  missed, 1 open.",
        "XO's runs: 1 failure, 2 success.",
        "",
        "What went wrong:",
        "  Fri 27 Nov 00:00 UTC  nightly / schedule",
        "      it ended as failure after 30 min: 0 of 1 VM backed up, 0 B sent;",
        "        CHAIN_UNHEALTHY.",
        "  Sat 28 Nov 00:00 UTC  nightly / schedule",
        "      XO started no run.",
        "     1  CHAIN_UNHEALTHY",
        "",
        "Predictions:              hit  miss  false alarm  wrong cause",
        "  CHAIN_UNHEALTHY           1     0            2            0",
        "These cry wolf: CHAIN_UNHEALTHY. Tune their thresholds, or set effect = \"warn\".",
        "",
        "Had it been enforced, guard would not have started whole: 1 defer, 2 start some.",
        "",
        "Ready to be enforced: 0 of 1 schedule",
        "  not ready  nightly / schedule: 3 of 7 runs predicted and seen",
    ]  # fmt: skip


def test_schedules_that_have_just_begun_are_counted_where_they_are_many():
    def ready(*names):
        stories = [story(seen(name=name), decided(), started(), key=RunKey(name, DUE)) for name in names]
        return text(*stories, *(night(number) for number in range(7))).splitlines()[-4:]

    assert ready("a", "b", "c")[:3] == [
        f"  not ready  nightly / {name}: 0 of 7 runs predicted and seen" for name in "abc"
    ]
    assert ready("a", "b", "c", "d")[-3:] == [
        "Ready to be enforced: 1 of 5 schedules",
        "  not ready  4 schedules: fewer than 7 runs predicted and seen",
        "  ready      nightly / schedule",
    ]


def test_a_schedule_that_is_ready_is_told_as_ready():
    lines = text(*(night(number) for number in range(7))).splitlines()
    assert lines[-2:] == ["Ready to be enforced: 1 of 1 schedule", "  ready      nightly / schedule"]
    assert not [line for line in lines if "Predictions" in line or "Enforced" in line or "wrong" in line]


def test_a_run_that_failed_and_one_that_worked_of_one_due_time_tell_the_one_that_failed():
    both = story(
        seen(),
        started("a"),
        started("b"),
        attempt_ended("a", status="failure"),
        attempt_ended("b"),
        ended(),
    )
    told = text(both)
    assert told.count("it ended as") == 1
    assert "it ended as failure" in told


def test_a_run_that_goes_on_beside_one_that_failed_is_not_told_yet():
    both = story(seen(), started("a"), started("b"), attempt_ended("a", status="failure"))
    assert text(both).count("it ended as") == 1


def test_causes_of_runs_that_xo_calls_a_success_stand_under_what_went_wrong():
    lost = attempt_ended(status="failure")
    lost = msgspec.structs.replace(lost, outcome=msgspec.structs.replace(lost.outcome, status="success"))
    lines = text(story(seen(), started(), lost, ended())).splitlines()
    assert lines[lines.index("What went wrong:") + 1] == "     1  CHAIN_UNHEALTHY"


def test_names_from_outside_reach_no_terminal_and_no_line_is_longer_than_80_columns():
    nasty = "\x1b[31m\u202eデータ" * 30
    runs = [night(0, finding(), status="failure", name=nasty, says=nasty), missed(1, nasty)]
    lines = text(*runs).splitlines()
    assert max(map(cells, lines)) <= 80
    assert not any(mark in "".join(lines) for mark in ("\x1b", "\u202e"))


def test_a_code_longer_than_its_column_does_not_run_into_the_figures():
    long = msgspec.structs.replace(report(night(0)), tallies={"VENDOR_DEVICE_UNLICENSED": Tally(hits=12)})
    assert "  VENDOR_DEVICE_UNLICENSED   12" in report_text(long, UTC)


def test_a_schedule_that_guard_acts_on_is_told_as_enforced_and_not_offered_for_it():
    acted = story(seen(), msgspec.structs.replace(decided(action=Action.DEFER), acts=True), started(), ended())
    told = text(acted)
    assert "Enforced: 1 schedule" in told
    assert "Ready to be enforced" not in told
    assert "would not have started whole" not in told
    assert "Ready to be enforced: 0 of 1 schedule" in text(acted, night(1, key="other"))


def test_the_document_has_every_figure():
    runs = [night(0, finding()), night(1, status="failure"), missed(2)]
    assert document(*runs) == {
        "schema": "guard.report/1",
        "since": "2026-11-25T00:00:00+00:00",
        "until": "2026-12-02T00:00:00+00:00",
        "due": 3,
        "open": 0,
        "ends": {"observed": 2, "missed": 1},
        "statuses": {"success": 1, "failure": 1},
        "causes": {"CHAIN_UNHEALTHY": 1},
        "score": {"CHAIN_UNHEALTHY": {"hits": 0, "misses": 1, "false_alarms": 1, "wrong_causes": 0}},
        "would_have": {"start": 2},
        "cry_wolf": [],
        "schedules": [
            {
                "id": "schedule",
                "name": "schedule",
                "job_name": "nightly",
                "due": 3,
                "observed": 2,
                "missed": 1,
                "failed": 2,
                "predicted": 2,
                "false_blocks": 1,
                "on_time": 2,
                "would_hold": 0,
                "not_ready": "2 of 7 runs predicted and seen",
                "enforced": False,
                "left_to_xo": "",
            }
        ],
        "remedies": [],
        "idle_entries": [],
    }


# --- remedies

SCANNED = Remedy(
    kind=RemedyKind.RESCAN,
    scope=Scope(ScopeKind.SR, "sr", "SAN"),
    at=DUE - timedelta(hours=4),
    reason="3 wait",
    result=Result.DONE,
    text="XO scanned it.",
)


def test_what_guard_did_and_what_stands_come_after_what_went_wrong():
    told = report_text(report(missed(0)), UTC, [SCANNED], ["Note: it stands."]).splitlines()
    at = told.index("What guard did so that runs can start:")
    assert told[at - 1 : at + 5] == [
        "",
        "What guard did so that runs can start:",
        "  Tue 24 Nov 20:00 UTC  guard scanned SAN. XO scanned it.",
        "      why: 3 wait.",
        "Note: it stands.",
        "",
    ]
    assert at > told.index("What went wrong:")


def test_what_stands_is_told_also_where_guard_did_nothing():
    told = report_text(report(), UTC, (), ["Note: it stands."])
    assert "\n\nNote: it stands.\n\n" in told
    assert "What guard did" not in told


def test_the_document_has_the_remedies():
    (told,) = report_document(report(), [SCANNED])["remedies"]
    assert (told["kind"], told["result"]) == ("rescan", "done")


def test_enforced_schedules_that_guard_leaves_to_xo_are_named_with_the_reason():
    made = report(*(night(0, key=f"s{number}") for number in range(5)))
    left = tuple(msgspec.structs.replace(one, enforced=True, left_to_xo="x") for one in made.schedules)
    told = report_text(msgspec.structs.replace(made, schedules=left), UTC).splitlines()
    assert told[-3:] == [
        "Enforced: 5 schedules",
        "Enforced, but left to XO: nightly / s0, nightly / s1, nightly / s2 and 2 more.",
        "  Why: it fires more often than every 30 min.",
    ]


def test_an_entry_of_the_policy_that_does_nothing_is_told_last():
    entry = "schedule[1] of the policy does nothing."
    assert report_text(report(), UTC, idle=[entry]).splitlines()[-2:] == ["", f"Note: {entry}"]
    assert report_document(report(), idle=[entry])["idle_entries"] == [entry]


def test_why_a_run_went_wrong_is_told_in_the_zone_of_the_report():
    missed_one = story(seen(), ended(End.MISSED, code="XO_DID_NOT_FIRE", reason="None came at Wed 25 Nov 00:00 UTC."))
    report = make_report([missed_one], DUE - timedelta(days=1), DUE + timedelta(days=1))
    assert "None came at Wed 25 Nov 01:00 CET." in report_text(report, ZoneInfo("Europe/Paris"))
