"""Remedies for people and programs: what guard would do, what it did and what came of it, what stands for now."""

from __future__ import annotations

import json
from datetime import UTC, timedelta

import msgspec
import pytest
from guard.estate.workaround import OwnFile, Setting, State
from guard.finding import Fact, Scope, ScopeKind
from guard.lifecycle.remedy import Effect, ForRun, Remedy, RemedyKind, Result, Wanted
from guard.views.remedies import (
    DOES,
    lately_lines,
    of_run,
    remedy_document,
    remedy_lines,
    remedy_sentence,
    standing_lines,
    standing_sentence,
    wanted_document,
    wanted_lines,
)
from guard.views.text import cells
from tests.builders import DUE, GIB, NOW

HOUR = timedelta(hours=1)
SR = Scope(ScopeKind.SR, "sr", "SAN")
RUN = ForRun(schedule="schedule", name="nightly", due=DUE)


def figure(name="waiting", value=3, unit="VDIs"):
    return Fact(name=name, value=value, unit=unit, source="XO", observed_at=NOW)


def wanted(kind=RemedyKind.RESCAN, **more):
    given = {"scope": SR, "at": NOW, "latest": DUE, "reason": "3 un-coalesced VDIs wait on SAN", "runs": (RUN,)}
    return Wanted(kind=kind, **given | more)


def remedy(kind=RemedyKind.RESCAN, **more):
    given = {
        "scope": SR,
        "at": NOW,
        "reason": "3 wait",
        "runs": (RUN,),
        "result": Result.DONE,
        "text": "XO scanned it.",
    }
    return Remedy(kind=kind, **given | more)


def sentence(kind=RemedyKind.RESCAN, **more):
    return remedy_sentence(remedy(kind, **more), UTC)


# --- what it would do


def test_what_guard_would_do_is_told_with_its_time_and_its_reason():
    assert wanted_lines([wanted()], UTC) == [
        "Would do: scan SAN at Tue 24 Nov 22:00 UTC.",
        "      Why: 3 un-coalesced VDIs wait on SAN.",
    ]


def test_nothing_wanted_is_no_line():
    assert wanted_lines([], UTC) == []


def test_what_it_leaves_to_a_person_is_told_with_why_and_exact_steps():
    told = wanted_lines([wanted(aside="the policy says observe", steps=("Do this:", "[xapiOptions]"))], UTC)
    assert told == [
        "Would help, and guard does not do it: scan SAN. Why not: the policy says",
        "      observe.",
        "      Why: 3 un-coalesced VDIs wait on SAN.",
        "        Do this:",
        "        [xapiOptions]",
    ]


def test_the_learned_rate_is_told_where_there_is_one_and_guard_does_it():
    told = " ".join(wanted_lines([wanted(expected_at=DUE - HOUR)], UTC))
    assert "By the rate guard has learned there," in told
    assert "merged by" in told
    assert "rate" not in " ".join(wanted_lines([wanted(expected_at=DUE, aside="no")], UTC))


def test_that_the_file_holds_for_all_runs_and_ends_is_told():
    told = " ".join(line.strip() for line in wanted_lines([wanted(RemedyKind.TIMEOUT_FILE, until=DUE)], UTC))
    assert "It holds for all runs of this XO that begin while it stands." in told
    assert "guard takes it back after Wed 25 Nov 00:00 UTC." in told
    for other in (
        wanted(RemedyKind.TIMEOUT_FILE, until=DUE, aside="no"),
        wanted(RemedyKind.TIMEOUT_FILE),
        wanted(until=DUE),
    ):
        assert "all runs" not in " ".join(wanted_lines([other], UTC))


def test_names_keep_their_case_and_reach_no_terminal_unclean():
    told = wanted_lines([wanted(reason="iscsi-1 \x1b[2J is not plugged", aside="nightly runs")], UTC)
    assert "      Why: iscsi-1 \N{REPLACEMENT CHARACTER}[2J is not plugged." in told
    assert any("Why not: nightly runs." in line for line in told)
    assert all(cells(line) <= 80 for line in told)


def test_every_kind_has_its_words():
    assert set(DOES) == set(RemedyKind)


# --- what it did


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (Result.OPEN, "guard began to scan SAN; what came of it is not known yet."),
        (Result.DONE, "guard scanned SAN. XO scanned it."),
        (Result.FAILED, "guard tried to scan SAN, and could not: XO scanned it."),
        (Result.UNKNOWN, "guard tried to scan SAN. XO scanned it."),
    ],
)
def test_a_remedy_is_one_sentence_by_what_came_of_asking(result, said):
    assert sentence(result=result) == said


def test_whether_it_helped_is_told_once_that_is_known():
    assert sentence(effect=Effect.HELPED, effect_at=NOW + 2 * HOUR).endswith("It helped within 2 h.")
    assert sentence(effect=Effect.HELPED).endswith("What waits there gets less.")
    assert sentence(effect=Effect.NOTHING).endswith("It did not help.")
    assert sentence(effect=Effect.NOTHING, result=Result.FAILED).endswith("XO scanned it.")
    assert sentence(RemedyKind.RECONNECT, effect=Effect.HELPED).endswith("XO scanned it.")
    assert sentence(RemedyKind.PROBE, effect=Effect.HELPED, effect_at=NOW).endswith("XO scanned it.")
    assert sentence(RemedyKind.PROBE, effect=Effect.NOTHING).endswith("XO scanned it.")
    assert "within 0 s" in sentence(effect=Effect.HELPED, effect_at=NOW - HOUR) or "within 0.0 s" in sentence(
        effect=Effect.HELPED, effect_at=NOW - HOUR
    )


def test_the_learned_time_stands_next_to_the_real_one():
    told = sentence(expected_at=NOW + HOUR, effect=Effect.HELPED, effect_at=NOW + 2 * HOUR)
    assert told.endswith("Expected by the learned rate: Tue 24 Nov 23:00 UTC; seen done: Wed 25 Nov 00:00 UTC.")
    assert sentence(expected_at=NOW + HOUR).endswith("seen done: not yet.")
    assert "rate" not in sentence(RemedyKind.PLUG, expected_at=NOW + HOUR)


def test_how_long_it_stands_is_told_of_what_was_done():
    assert sentence(RemedyKind.TIMEOUT_FILE, until=DUE).endswith("It was written to stand until Wed 25 Nov 00:00 UTC.")
    assert "stands" not in sentence(RemedyKind.TIMEOUT_FILE, until=DUE, result=Result.FAILED)


def test_a_remedy_tells_why_before_after_and_for_what():
    figures = [
        figure(),
        figure("waiting_bytes", 3 * GIB, "bytes"),
        figure("coalesce_bytes", 2.0 * GIB, "bytes/h"),
        figure("attached", False, ""),
        figure("error", None, ""),
    ]
    assert remedy_lines([remedy(before=tuple(figures), after=(figure("left", 0),))], UTC) == [
        "  Tue 24 Nov 22:00 UTC  guard scanned SAN. XO scanned it.",
        "      why: 3 wait.",
        "      before: waiting 3 VDIs, waiting bytes 3.0 GiB, coalesce bytes 2.0 GiB/h,",
        "        attached False, error unknown",
        "      after: left 0 VDIs",
        "      for nightly, due Wed 25 Nov 00:00 UTC",
    ]
    assert remedy_lines([remedy(runs=())], UTC) == [
        "  Tue 24 Nov 22:00 UTC  guard scanned SAN. XO scanned it.",
        "      why: 3 wait.",
    ]


def test_the_status_tells_the_newest_first_in_a_line_each():
    first, second = remedy(), remedy(at=NOW + HOUR)
    assert lately_lines([first, second], UTC) == [
        "What guard did lately so that runs can start:",
        "  Tue 24 Nov 23:00 UTC  guard scanned SAN. XO scanned it.",
        "  Tue 24 Nov 22:00 UTC  guard scanned SAN. XO scanned it.",
    ]
    assert lately_lines([], UTC) == []


def test_those_of_one_due_run_are_found():
    other = remedy(runs=(ForRun(schedule="schedule", name="n", due=DUE + HOUR),))
    assert of_run([remedy(), other, remedy(runs=())], "schedule", DUE) == [remedy()]


# --- what stands


def standing(state="intact", **own):
    given = {"value_ms": 1_800_000, "until": DUE, "reason": "vm timed out twice."}
    return State(
        folder="/etc/xo-server",
        looked_at=NOW,
        own=OwnFile(state=state, **given | own),
        in_force=Setting(value_ms=1_800_000, file="f"),
    )


def test_while_the_file_stands_every_plan_and_report_says_why_and_what_it_hides():
    told = standing_sentence(standing(), UTC)
    assert told.startswith(
        "The httpInactivityTimeout workaround stands until Wed 25 Nov 00:00 UTC: XO may wait 30 min for a host (file verified)."
    )
    assert (
        "because: vm timed out twice. It hides that a host is slow: look at the load and the memory of its dom0" in told
    )
    lines = standing_lines(standing(), UTC)
    assert lines[0].startswith("Note: The httpInactivityTimeout workaround stands")
    assert all(line.startswith("      ") and cells(line) <= 80 for line in lines[1:])


def test_one_that_a_person_edited_is_told_as_theirs_as_far_as_it_can_be_read():
    told = standing_sentence(standing("edited", value_ms=None, until=None, reason=""), UTC)
    assert told.startswith("The httpInactivityTimeout workaround stands: XO may wait an unknown time for a host")
    assert "Somebody edited it since, so guard leaves it alone." in told
    assert "because: no reason is told in it. It hides" in told


@pytest.mark.parametrize("state", [None, standing("absent"), standing("unreadable")])
def test_where_it_does_not_stand_nothing_is_told(state):
    assert standing_lines(state, UTC) == []


# --- for programs


def as_json(document):
    return json.loads(msgspec.json.encode(document))


def test_a_wanted_remedy_as_a_document():
    assert as_json(wanted_document(wanted(before=(figure(),), expected_at=DUE, steps=("s",), aside="no"))) == {
        "kind": "rescan",
        "scope": {"kind": "sr", "id": "sr", "name": "SAN"},
        "at": "2026-11-24T22:00:00+00:00",
        "reason": "3 un-coalesced VDIs wait on SAN",
        "would_do": False,
        "aside": "no",
        "steps": ["s"],
        "for": [{"schedule": "schedule", "name": "nightly", "due": "2026-11-25T00:00:00+00:00"}],
        "until": None,
        "expected_at": "2026-11-25T00:00:00+00:00",
        "before": {"waiting": {"value": 3, "unit": "VDIs", "source": "XO", "observed_at": "2026-11-24T22:00:00+00:00"}},
    }
    assert wanted_document(wanted())["would_do"] is True


def test_a_remedy_as_a_document():
    done = remedy(ended_at=NOW + HOUR, effect=Effect.HELPED, effect_at=NOW + HOUR, after=(figure("left", 0),))
    assert as_json(remedy_document(done)) == {
        "kind": "rescan",
        "scope": {"kind": "sr", "id": "sr", "name": "SAN"},
        "at": "2026-11-24T22:00:00+00:00",
        "reason": "3 wait",
        "for": [{"schedule": "schedule", "name": "nightly", "due": "2026-11-25T00:00:00+00:00"}],
        "result": "done",
        "text": "XO scanned it.",
        "ended_at": "2026-11-24T23:00:00+00:00",
        "effect": "helped",
        "effect_at": "2026-11-24T23:00:00+00:00",
        "expected_at": None,
        "until": None,
        "before": {},
        "after": {"left": {"value": 0, "unit": "VDIs", "source": "XO", "observed_at": "2026-11-24T22:00:00+00:00"}},
    }
