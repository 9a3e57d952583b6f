"""Lines of the log: what each event says, its fields, and that no name from outside breaks their form."""

from __future__ import annotations

import json
import unicodedata
from typing import get_args

import pytest
from guard.decision.verdict import Action
from guard.finding import Level, Scope, ScopeKind
from guard.lifecycle.events import (
    BY_HAND,
    AnyEvent,
    Doubted,
    End,
    FollowingUp,
    GaveUp,
    NotStarted,
    ReleasedHow,
    Releasing,
    RunKey,
    Standby,
    Starting,
    SwitchingOff,
)
from guard.lifecycle.loop import SwitchedOff
from guard.lifecycle.remedy import Effect, ForRun, Remedy, RemedyKind, Result
from guard.views.log import (
    MOST_FIELD,
    MOST_PIECES,
    PIECE,
    Line,
    Priority,
    as_json,
    datagram,
    line_of,
    line_of_remedy,
    line_of_switched_off,
    pieces,
    plain,
)
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace
from tests.builders import DUE
from tests.lifecycle.stories import (
    after,
    alarmed,
    attempt_ended,
    claimed,
    claiming,
    decided,
    ended,
    finding,
    held,
    released,
    seen,
    started,
    story,
)
from tests.views.journal import parse

HEAD = "nightly / schedule, due Wed 25 Nov 00:00 UTC: "


def line(event, key=None):
    return line_of(story(seen(), key=key or RunKey("schedule", DUE)), event)


EVENTS = [
    (seen(), "seen", 6, "entered", ()),
    (seen(late=True), "seen", 6, "entered after it was due", ()),
    (decided(), "decided", 6, "guard would start it whole: Nothing stands in its way.", ()),
    (
        replace(decided(finding(), finding("OK", level=Level.OK), action=Action.DEFER, clears="The chain."), acts=True),
        "decided",
        5,
        "guard will defer it: Nothing stands in its way. The chain.",
        ("CHAIN_UNHEALTHY",),
    ),
    (
        replace(decided(finding(level=Level.UNKNOWN), action=Action.SKIP), aside="the clocks differ"),
        "decided",
        5,
        "guard would skip it: Nothing stands in its way. It is left to XO: the clocks differ.",
        ("CHAIN_UNHEALTHY",),
    ),
    (started(), "started", 6, "XO started it; XO runs it since Wed 25 Nov 00:00 UTC", ()),
    (alarmed(), "alarmed", 3, "alarm JOB_STUCK: Nothing moved for 30 min.", ("JOB_STUCK",)),
    (attempt_ended(), "attempt_ended", 6, "it ended as success after 30 min: 1 of 1 VM backed up, 5 B sent.", ()),
    (
        attempt_ended(status="failure"),
        "attempt_ended",
        4,
        "it ended as failure after 30 min: 0 of 1 VM backed up, 0 B sent; CHAIN_UNHEALTHY.",
        ("CHAIN_UNHEALTHY",),
    ),
    (ended(), "ended", 6, "observed", ()),
    (ended(End.MISSED, code="XO_DID_NOT_FIRE", reason="No run."), "ended", 4, "missed: No run.", ("XO_DID_NOT_FIRE",)),
    (ended(End.RAN_IN_PART), "ended", 5, "ran_in_part", ()),
    (
        GaveUp(at=DUE, vms=(held(),), whole=False, end=End.REFUSED, code="RUN_REFUSED", reason="The SR is full."),
        "gave_up",
        4,
        "refused: web: The SR is full.",
        ("RUN_REFUSED", "CHAIN_UNHEALTHY"),
    ),
    (
        FollowingUp(at=DUE, vms=(held(),), reason="The chain."),
        "following_up",
        5,
        "follow-up: 1 VM to be started once more when the cause is gone, until Wed 25 Nov 04:00 UTC at most: The chain.",
        ("CHAIN_UNHEALTHY",),
    ),
    (Doubted(at=DUE, attempt=1, error="broke off"), "doubted", 4, "attempt 1: XO's answer was lost: broke off", ()),
    (NotStarted(at=DUE, attempt=1, error="refused"), "not_started", 4, "attempt 1 came to nothing: refused", ()),
    (released(), "released", 6, "released: the schedule is enabled again", ()),
    (released(how=ReleasedHow.TOUCHED), "released", 4, "released, and left off", ()),
    (released(how=ReleasedHow.GONE), "released", 4, "released: the schedule was deleted", ()),
    (claimed(), "claimed", 6, "claimed: the schedule is off in XO, both fallbacks stand", ()),
    (
        claiming(),
        "claiming",
        6,
        "claims the schedule; XO's fallback starts it at Wed 25 Nov 00:03 UTC if guard is gone: web waits.",
        (),
    ),
    (SwitchingOff(at=DUE), "switching_off", 6, "has XO switch the schedule off", ()),
    (
        Standby(at=DUE, start_at=after(hours=1)),
        "standby",
        6,
        "from now on XO's fallback starts it at Wed 25 Nov 01:00 UTC if guard is gone",
        (),
    ),
    (Starting(at=DUE, attempt=1, vms=None, known=()), "starting", 6, "attempt 1: asks XO to start all VMs", ()),
    (Releasing(at=DUE), "releasing", 6, "gives the schedule back", ()),
]


@pytest.mark.parametrize(("event", "name", "priority", "text", "codes"), EVENTS)
def test_every_event_has_its_line(event, name, priority, text, codes):
    told = line(event)
    assert (told.event, told.priority, told.message, told.codes) == (name, priority, HEAD + text, codes)
    assert (told.schedule, told.schedule_name, told.job, told.due) == ("schedule", "schedule", "nightly", DUE)


def test_no_kind_of_event_is_left_out_here():
    assert {type(event) for event, *_ in EVENTS} == set(get_args(AnyEvent))


def test_a_decision_tells_its_verdict_and_a_run_by_hand_when_it_began():
    assert line(decided(action=Action.REFUSE)).verdict == "refuse"
    assert "begun Wed 25 Nov 00:00 UTC: " in line(started(), RunKey("schedule", DUE, BY_HAND)).message


def remedy(**changes):
    given = {
        "kind": RemedyKind.RESCAN,
        "scope": Scope(ScopeKind.SR, "sr", "local"),
        "at": DUE,
        "reason": "A coalesce stands still.",
        "runs": (ForRun(schedule="schedule", name="every night", due=DUE),),
        "result": Result.DONE,
    }
    return Remedy(**(given | changes))


@pytest.mark.parametrize(
    ("changes", "priority"),
    [
        ({}, Priority.NOTICE),
        ({"result": Result.FAILED, "text": "XO said no."}, Priority.WARNING),
        ({"effect": Effect.NOTHING, "effect_at": DUE}, Priority.WARNING),
    ],
)
def test_a_remedy_is_a_line_of_the_first_run_it_was_done_for(changes, priority):
    told = line_of_remedy(remedy(**changes))
    assert (told.priority, told.event, told.schedule, told.due) == (priority, "remedy_rescan", "schedule", DUE)
    assert "Why: A coalesce stands still." in told.message
    assert line_of_remedy(remedy(runs=())).schedule == ""


def test_a_schedule_that_was_switched_off_is_an_error_with_its_code():
    told = line_of_switched_off(SwitchedOff(schedule="s", name="every night", at=DUE))
    assert (told.priority, told.codes, told.schedule_name) == (Priority.ERROR, ("SCHEDULE_DISABLED",), "every night")


def test_a_plain_line_is_one_line():
    assert plain(Line(message="two\nlines \x1b[31m")) == "guard: two; lines \N{REPLACEMENT CHARACTER}[31m\n"


def test_the_json_line_has_what_applies_in_snake_case_and_a_version():
    told = json.loads(as_json(line(decided(finding(), action=Action.DEFER)), after(-55)))
    assert told == {
        "schema": "guard.log/1",
        "ts": "2026-11-24T23:59:05Z",
        "level": "notice",
        "message": HEAD + "guard would defer it: Nothing stands in its way.",
        "event": "decided",
        "schedule": "schedule",
        "schedule_name": "schedule",
        "job": "nightly",
        "due": "2026-11-25T00:00:00Z",
        "code": "CHAIN_UNHEALTHY",
        "codes": ["CHAIN_UNHEALTHY"],
        "verdict": "defer",
    }
    assert set(json.loads(as_json(Line(message="hello"), DUE))) == {"schema", "ts", "level", "message"}


def test_the_journal_gets_every_field_and_each_code_of_its_own():
    told = line(GaveUp(at=DUE, vms=(held(),), whole=False, end=End.REFUSED, code="RUN_REFUSED", reason="Full."))
    assert parse(datagram(told)) == [
        ("MESSAGE", HEAD + "refused: web: Full."),
        ("PRIORITY", "4"),
        ("SYSLOG_IDENTIFIER", "guard"),
        ("GUARD_EVENT", "gave_up"),
        ("GUARD_SCHEDULE", "schedule"),
        ("GUARD_SCHEDULE_NAME", "schedule"),
        ("GUARD_JOB", "nightly"),
        ("GUARD_DUE", "2026-11-25T00:00:00Z"),
        ("GUARD_CODE", "RUN_REFUSED"),
        ("GUARD_CODE", "CHAIN_UNHEALTHY"),
    ]
    verdicts = [value for name, value in parse(datagram(line(decided()))) if name == "GUARD_VERDICT"]
    assert verdicts == ["start"]


NAMES = some.text(some.characters(), max_size=40) | some.sampled_from(
    ["a\nGUARD_CODE=FORGED\n", "\x00\x1b]0;x\x07", "\ud800", "=", "\u2028MESSAGE=x", "x" * 5000, "é\r\nb"]
)


@given(name=NAMES, job=NAMES, message=NAMES, code=NAMES)
def test_no_name_from_outside_adds_a_field_or_a_line(name, job, message, code):
    told = Line(
        message=f"m{message}",
        schedule=f"s{name}",
        schedule_name=f"n{name}",
        job=f"j{job}",
        codes=(f"c{code}",),
        due=DUE,
    )
    fields = parse(datagram(told))
    assert [field for field, _ in fields] == [
        "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "GUARD_SCHEDULE", "GUARD_SCHEDULE_NAME", "GUARD_JOB", "GUARD_DUE", "GUARD_CODE",
    ]  # fmt: skip
    assert all(len(value) <= MOST_FIELD and "\n" not in value for field, value in fields if field != "MESSAGE")
    (one,) = as_json(told, DUE).splitlines()
    assert json.loads(one)["schedule_name"] == dict(fields)["GUARD_SCHEDULE_NAME"]
    assert plain(told).count("\n") == 1
    assert not {unicodedata.category(one) for one in plain(told)[:-1]} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_a_message_of_several_lines_keeps_them_in_the_journal():
    assert dict(parse(datagram(Line(message="one\r\ntwo\nthree"))))["MESSAGE"] == "one\ntwo\nthree"


def test_an_ordinary_name_is_as_it_is():
    told = Line(message="x", schedule_name="Büro, nightly")
    assert dict(parse(datagram(told)))["GUARD_SCHEDULE_NAME"] == "Büro, nightly"


@pytest.mark.parametrize("length", [1, PIECE, PIECE + 1, MOST_PIECES * PIECE])
def test_a_long_message_goes_in_pieces_with_the_same_fields(length):
    told = pieces(Line(message="x" * length, schedule="s", due=DUE))
    assert "".join(one.message for one in told) == "x" * length
    assert {(one.schedule, one.due) for one in told} == {("s", DUE)}
    assert max(len(one.message) for one in told) <= PIECE


def test_a_message_beyond_all_pieces_says_that_it_was_cut():
    told = pieces(Line(message="x" * (MOST_PIECES * PIECE + 1)))
    assert (len(told), told[-1].message[-1]) == (MOST_PIECES, "…")
