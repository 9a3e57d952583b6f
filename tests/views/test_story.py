"""A due run told from its events, as text and as guard.story/1."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import msgspec
import pytest
from guard.decision.verdict import Action
from guard.finding import Level
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import End, RunKey
from guard.outcomes.outcome import Times
from guard.views.story import outcome_sentence, story_document, story_text
from guard.views.text import cells
from tests.builders import DUE, GIB
from tests.lifecycle.stories import (
    KEY,
    after,
    alarmed,
    attempt_ended,
    decided,
    ended,
    fact,
    finding,
    held,
    result,
    seen,
    started,
)

PARIS = ZoneInfo("Europe/Paris")
HELD = decided(
    finding(facts=(fact(), fact("tolerated", 1, ""))),
    finding("REPOSITORY_NO_SPACE", level=Level.WARN, summary="nas has 3 GiB left."),
    finding("SR_NO_SPACE", level=Level.OK, summary="not told"),
    action=Action.START_SOME,
    sentence="1 VM of 2 is held.",
    clears="Once the coalesce is done.",
    held=[held()],
)
WHOLE = (seen(), HELD, started(), alarmed(), attempt_ended(status="failure"), ended())


def text(*events, key=KEY):
    return story_text(fold(key, events), events, PARIS).splitlines()


def document(*events, key=KEY):
    return json.loads(msgspec.json.encode(story_document(fold(key, events), events, after(hours=12))))


def test_every_event_is_a_line_with_its_time_in_the_zone():
    assert text(*WHOLE) == [
        "nightly / schedule, due Wed 25 Nov 01:00 CET",
        "  cron 0 0 * * * in utc",
        "  Wed 25 Nov 00:58 CET  entered",
        "  Wed 25 Nov 00:59 CET  on facts 2.0 s old guard would start some of it: 1 VM of",
        "      2 is held. Once the coalesce is done.",
        "      - block CHAIN_UNHEALTHY: web: 2 uncoalesced copies, XO tolerates 1.",
        "          uncoalesced 2 VDIs (GET /rest/v0/vdis); tolerated 1 (GET",
        "          /rest/v0/vdis)",
        "        > Wait for the coalesce.",
        "      - warn REPOSITORY_NO_SPACE: nas has 3 GiB left.",
        "        > Wait for the coalesce.",
        "  Wed 25 Nov 01:00 CET  XO runs it since Wed 25 Nov 01:00 CET (log",
        "      1795564800000)",
        "  Wed 25 Nov 10:00 CET  alarm JOB_STUCK: Nothing moved for 30 min.",
        "  Wed 25 Nov 01:30 CET  it ended as failure after 30 min: 0 of 1 VM backed up, 0",
        "      B sent; CHAIN_UNHEALTHY.",
        '      - vm: CHAIN_UNHEALTHY, "unhealthy VDI chain"',
        "  Wed 25 Nov 01:30 CET  observed",
    ]


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Action.START, "start it whole"),
        (Action.START_SOME, "start some of it"),
        (Action.DEFER, "defer it"),
        (Action.REFUSE, "refuse it"),
        (Action.SKIP, "skip it"),
    ],
)
def test_a_verdict_is_told_as_what_guard_would_do(action, words):
    assert f"guard would {words}:" in " ".join(text(seen(), decided(action=action)))


def test_a_late_entry_says_that_there_is_no_prediction():
    assert text(seen(late=True))[2] == "  Wed 25 Nov 00:58 CET  entered after it was due, too late to predict it"


@pytest.mark.parametrize(
    ("via", "head", "line"),
    [
        ("", "due Wed 25 Nov 01:00 CET", "  cron 0 0 * * * in utc"),
        ("weekend", "due Wed 25 Nov 01:00 CET", "  cron 0 0 * * * in utc, through weekend"),
        ("by hand", "began Wed 25 Nov 01:00 CET, at no due time", "  cron 0 0 * * * in utc"),
    ],
)
def test_what_started_it_is_told(via, head, line):
    lines = text(seen(), key=RunKey("schedule", DUE, via))
    assert lines[:2] == [f"nightly / schedule, {head}", line]
    assert document(seen(), key=RunKey("schedule", DUE, via))["via"] == (via or None)


def test_a_missed_due_time_tells_why():
    end = ended(End.MISSED, code="XO_DID_NOT_FIRE", reason="XO started no run.")
    assert text(seen(), end)[-1] == "  Wed 25 Nov 01:30 CET  missed: XO started no run."


def test_names_from_outside_reach_no_terminal_and_no_line_is_longer_than_80_columns():
    nasty = "\x1b[31m\u202eデータ" * 30
    odd = msgspec.structs.replace(seen(name=nasty), job_name=nasty, cron=nasty, zone=nasty)
    bad = finding(nasty, summary=nasty, remedy=nasty, facts=(fact(nasty, nasty, nasty),))
    failed = attempt_ended(status="failure", says=nasty, vm=nasty)
    events = (
        odd,
        decided(bad, sentence=nasty, clears=nasty),
        started(),
        alarmed(nasty, nasty),
        failed,
        ended(End.MISSED, reason=nasty),
    )
    lines = text(*events, key=RunKey("schedule", DUE, nasty))
    assert max(map(cells, lines)) <= 80
    assert not any(mark in "".join(lines) for mark in ("\x1b", "\u202e"))
    assert len(lines) > 50


# --- how a run ended, in a sentence


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (result(), "it ended as success after 30 min: 1 of 1 VM backed up, 5 B sent."),
        (
            result(status="failure"),
            "it ended as failure after 30 min: 0 of 1 VM backed up, 0 B sent; CHAIN_UNHEALTHY.",
        ),
        (msgspec.structs.replace(result(), status="unknown"), "how it ended is unknown: XO's list of logs no longer holds it."),
        (msgspec.structs.replace(result(), times=Times(5, None)), "it ended as success: 1 of 1 VM backed up, 5 B sent."),
        (msgspec.structs.replace(result(status="failure"), vms=()), "it ended as failure after 30 min; CHAIN_UNHEALTHY."),
        (
            msgspec.structs.replace(result(status="failure"), vms=(), causes=result(status="failure").causes * 2),
            "it ended as failure after 30 min; CHAIN_UNHEALTHY.",
        ),
        (msgspec.structs.replace(result(), vms=result().vms * 2),
         "it ended as success after 30 min: 2 of 2 VMs backed up, 5 B sent."),
    ],
)  # fmt: skip
def test_an_outcome_is_one_sentence(outcome, sentence):
    assert outcome_sentence(outcome) == sentence


# --- guard.story/1


def test_the_document_names_the_due_run():
    told = document(*WHOLE)
    assert told["schema"] == "guard.story/1"
    assert told["schedule"] == {"id": "schedule", "name": "schedule"}
    assert told["job"] == {"id": "job", "name": "nightly"}
    assert (told["due"], told["via"], told["end"]) == ("2026-11-25T00:00:00+00:00", None, "observed")
    assert [one["event"] for one in told["events"]] == [
        "seen",
        "decided",
        "started",
        "alarmed",
        "attemptended",
        "ended",
    ]
    assert document(seen())["end"] is None


def test_every_event_of_the_document_has_its_details():
    saw, predicted, began, alarm, over, end = document(*WHOLE)["events"]
    assert saw == {
        "at": "2026-11-24T23:58:30+00:00",
        "event": "seen",
        "expected_at": "2026-11-25T00:00:00+00:00",
        "late": False,
    }
    assert (predicted["facts_at"], predicted["verdict"]) == ("2026-11-24T23:59:03+00:00", "start_some")
    assert predicted["reason"] == "1 VM of 2 is held."
    assert predicted["held_vms"] == [{"id": "vm", "name": "web", "codes": ["CHAIN_UNHEALTHY"]}]
    assert [one["code"] for one in predicted["findings"]] == ["CHAIN_UNHEALTHY", "REPOSITORY_NO_SPACE", "SR_NO_SPACE"]
    assert (began["run"], began["began"]) == ("1795564800000", "2026-11-25T00:00:00+00:00")
    assert (alarm["code"], alarm["text"]) == ("JOB_STUCK", "Nothing moved for 30 min.")
    assert (over["run"], over["status"]) == ("1795564800000", "failure")
    assert over["vms"] == [{"id": "vm", "name": "", "status": "failure", "sent_bytes": 0}]
    scope = {"kind": "vm", "id": "vm", "name": ""}
    assert over["causes"] == [{"scope": scope, "code": "CHAIN_UNHEALTHY", "text": "unhealthy VDI chain"}]
    assert (end["end"], end["code"], end["reason"]) == ("observed", None, None)


def test_a_missed_end_has_its_code_and_reason_in_the_document():
    end = document(seen(), ended(End.MISSED, code="XO_DID_NOT_FIRE", reason="Nobody."))["events"][-1]
    assert (end["end"], end["code"], end["reason"]) == ("missed", "XO_DID_NOT_FIRE", "Nobody.")


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (GIB, "bytes", "1.0 GiB"),
        (0, "bytes", "0 B"),
        (None, "s", "unknown"),
        (90, "s", "90 s"),
        (5400.5, "s", "90 min"),
        (True, "", "yes"),
        (False, "", "no"),
        (2, "VDIs", "2 VDIs"),
        (0.5, "%", "0.5 %"),
        ("nfs", "", "nfs"),
    ],
)
def test_a_figure_is_told_as_a_person_reads_it(value, unit, told):
    lines = text(seen(), decided(finding(facts=(fact("it", value, unit),))))
    assert any(f"it {told} (" in line for line in lines)


def test_what_was_said_in_the_schedules_zone_is_told_in_the_readers():
    told = text(
        seen(), decided(sentence="Held until Wed 25 Nov 06:00 UTC."), alarmed(text="Since Wed 25 Nov 01:00 UTC.")
    )
    assert "UTC" not in " ".join(told)
    assert "Since Wed 25 Nov 02:00 CET." in told[-1]
