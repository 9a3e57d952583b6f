"""How a night went, as the head of the digest."""

from __future__ import annotations

from dataclasses import replace as replace_night
from datetime import UTC, timedelta

import pytest
from guard.lifecycle.events import End, RunKey
from guard.lifecycle.loop import Loop, SwitchedOff
from guard.policy.accept_schema import AcceptRule
from guard.views.nightly import Night, accept_lines, night_of, night_text, night_title
from msgspec.structs import replace
from tests.builders import DUE
from tests.lifecycle.stories import after, alarmed, attempt_ended, decided, ended, seen, started, story

SINCE, UNTIL = after(hours=-17), after(hours=7)
BEGUN = (seen(), decided(), started())
GOOD = story(*BEGUN, attempt_ended(), ended())
BAD = story(*BEGUN, attempt_ended(status="failure"), ended())
MISSED = story(seen(), ended(End.MISSED, code="XO_DID_NOT_FIRE"))
COVERED = story(seen(), ended(End.COVERED))
KNOWN = AcceptRule(code="CHAIN_UNHEALTHY", until="2026-11-28", reason="known", ends=after(days=3, hours=7))


def night(*runs, accepts=()):
    return night_of(runs, SINCE, UNTIL, accepts)


def test_what_went_well_is_counted_with_its_vms_and_bytes():
    found = night(GOOD, GOOD)
    assert (found.due, found.well, found.vms, found.sent_bytes, found.is_quiet) == (2, 2, 2, 10, True)


def test_what_ended_badly_or_was_not_started_did_not_go_well():
    found = night(GOOD, BAD, MISSED)
    assert (found.due, found.well, found.wrong, found.is_quiet) == (3, 1, 2, False)


def test_what_failed_for_accepted_causes_alone_is_known():
    found = night(GOOD, BAD, accepts=(KNOWN,))
    assert (found.well, found.known, found.wrong, found.is_quiet) == (1, 1, 0, True)


def test_what_another_run_covered_lost_nothing():
    assert (night(COVERED).covered, night(COVERED).is_quiet) == (1, True)


def test_only_what_ended_since_the_last_digest_counts_and_each_night_once():
    edge = story(*BEGUN, attempt_ended(), ended(at=SINCE))
    last = story(*BEGUN, attempt_ended(), ended(at=UNTIL))
    later = story(*BEGUN, attempt_ended(), ended(at=UNTIL + timedelta(seconds=1)))
    assert [night(one).due for one in (edge, last, later)] == [0, 1, 0]


def test_a_run_that_failed_and_goes_on_is_no_quiet_night():
    found = night(GOOD, story(*BEGUN, attempt_ended(status="failure")))
    assert (found.due, found.open, found.wrong_so_far, found.is_quiet) == (1, 1, 1, False)
    assert night_title(found, None) == "1 due run: 0 did not go well, 1 that goes on did not so far"
    assert night_title(replace_night(found, wrong_so_far=2), None).endswith(", 2 that go on did not so far")


def test_what_goes_on_is_counted_apart_and_what_is_not_due_yet_is_not():
    tomorrow = DUE + timedelta(days=1)
    ahead = story(seen(due=tomorrow), key=RunKey("schedule", tomorrow))
    assert (night(story(*BEGUN), ahead).open, night(story(*BEGUN)).due) == (1, 0)


def test_a_sequence_counts_by_its_members():
    assert night(story(replace(seen(), members=("a", "b")), ended(End.RAN))).due == 0


@pytest.mark.parametrize(
    ("counts", "title"),
    [
        ({"due": 12, "well": 12}, "Quiet night: 12 due runs, all went well"),
        ({"due": 1, "well": 1}, "Quiet night: 1 due run, all went well"),
        ({}, "Quiet night: no due run ended"),
        ({"due": 12, "well": 10, "wrong": 2}, "12 due runs: 2 did not go well"),
        ({"due": 12, "well": 11, "known": 1}, "Quiet night: 12 due runs, 11 went well, 1 failed for accepted causes"),
        ({"due": 12, "well": 11, "covered": 1}, "Quiet night: 12 due runs, 11 went well, 1 covered by other runs"),
    ],
)
def test_the_title_says_how_it_went(counts, title):
    assert night_title(Night(since=SINCE, **counts), None) == title


def test_while_xo_cannot_be_read_no_night_is_called_quiet():
    loop = Loop(at=UNTIL, xo_error="No XO answers")
    assert night_title(night(GOOD), loop) == "XO cannot be read: 1 due run ended"
    text = night_text(night(GOOD), (), loop, UNTIL, UTC)
    assert text.splitlines()[-1] == "XO cannot be read: No XO answers"


def test_what_did_not_go_well_is_told_also_while_xo_cannot_be_read():
    loop = Loop(at=UNTIL, xo_error="No XO answers")
    assert night_title(night(GOOD, BAD), loop) == "XO cannot be read: 2 due runs ended, 1 did not go well"


@pytest.mark.parametrize(
    ("code", "accepts", "is_quiet"),
    [
        ("JOB_STUCK", (), False),
        ("JOB_STUCK", (replace(KNOWN, code="JOB_STUCK"),), True),
        ("XO_DID_NOT_FIRE", (), True),
        ("START_UNCERTAIN", (), True),
    ],
)
def test_a_run_that_goes_on_with_an_alarm_is_no_quiet_night(code, accepts, is_quiet):
    found = night(GOOD, story(*BEGUN, alarmed(code)), accepts=accepts)
    assert (found.open, found.is_quiet) == (1, is_quiet)


@pytest.mark.parametrize(
    ("off", "unwatched", "title"),
    [
        (1, (), "1 due run, all went well; 1 schedule is off"),
        (2, ("a zone",), "1 due run, all went well; 2 schedules are off; not all due times are watched"),
        (0, ("a zone",), "1 due run, all went well; not all due times are watched"),
    ],
)
def test_no_night_is_called_quiet_in_which_a_schedule_was_off_or_not_watched(off, unwatched, title):
    switched = tuple(SwitchedOff(schedule=str(one), name=f"n{one}", at=DUE) for one in range(off))
    loop = Loop(at=UNTIL, switched_off=switched, unwatched=unwatched)
    assert night_title(night(GOOD), loop) == title
    assert night_title(night(BAD), loop) == title.replace("1 due run, all went well", "1 due run: 1 did not go well")
    text = night_text(night(GOOD), (), loop, UNTIL, UTC)
    assert text.count("was on and is off now") == off
    assert text.count("Not watched: a zone") == len(unwatched)


def test_of_much_that_is_off_or_not_watched_only_some_is_named():
    loop = Loop(at=UNTIL, unwatched=tuple(f"reason {one}" for one in range(8)))
    lines = night_text(night(GOOD), (), loop, UNTIL, UTC).splitlines()
    assert lines[1:] == [*(f"Not watched: reason {one}" for one in range(5)), "And 3 more; guard status lists them."]


def test_the_text_says_what_was_saved_what_goes_on_what_is_next_and_what_ends_soon():
    loop = Loop(at=UNTIL, next_due=after(days=1), next_due_of="shop / nightly")
    found = Night(since=SINCE, due=2, well=2, vms=3, sent_bytes=2048, open=1)
    assert night_text(found, (KNOWN,), loop, UNTIL, UTC).splitlines() == [
        "Since Tue 24 Nov 07:00 UTC: 2 due runs ended, 3 VMs backed up, 2.0 KiB sent.",
        "Going on or waiting: 1 due run.",
        "Next due: Thu 26 Nov 00:00 UTC, shop / nightly.",
        "accept of CHAIN_UNHEALTHY for all ends on 2026-11-28: known",
    ]
    unnamed = night_text(found, (), replace(loop, next_due_of=""), UNTIL, UTC)
    assert unnamed.endswith("\nNext due: Thu 26 Nov 00:00 UTC.")
    bare = night_text(Night(since=SINCE), (), None, UNTIL, UTC)
    assert bare == "Since Tue 24 Nov 07:00 UTC: 0 due runs ended, 0 VMs backed up, 0 B sent."
    assert night_text(Night(since=SINCE), (), Loop(at=UNTIL), UNTIL, UTC) == bare


def test_an_accept_is_named_from_a_week_before_its_end():
    assert accept_lines((KNOWN,), KNOWN.ends - timedelta(days=7)) != []
    assert accept_lines((KNOWN,), KNOWN.ends - timedelta(days=7, seconds=1)) == []


# --- what was paged


def test_what_was_paged_since_the_last_digest_is_counted_by_code_and_no_night_with_a_page_is_called_quiet():
    paged = {"XO_DID_NOT_FIRE": 4, "XO_UNREADABLE": 1}
    assert night_title(night(GOOD), None, paged) == "1 due run, all went well; 5 pages meanwhile"
    assert night_title(night(GOOD, BAD), None, paged) == "2 due runs: 1 did not go well"
    line = night_text(night(GOOD), (), None, UNTIL, UTC, paged).splitlines()[1]
    assert line == "Paged meanwhile: 4 x XO_DID_NOT_FIRE, XO_UNREADABLE."
    assert "Paged meanwhile: without a known cause." in night_text(night(GOOD), (), None, UNTIL, UTC, {"": 1})
