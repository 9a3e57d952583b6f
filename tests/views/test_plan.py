"""The plan for people: what comes first, what is said once, ages and units, 80 columns, and no colour in plain style."""

from __future__ import annotations

import dataclasses
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from guard.agenda import Note
from guard.decision.brakes import Brake
from guard.decision.verdict import Action
from guard.estate.estate import PartName
from guard.estate.workaround import OwnFile, State
from guard.finding import Level, Scope, ScopeKind
from guard.lifecycle.remedy import RemedyKind, Wanted
from guard.units import format_time
from guard.views.plan import plain, plan_text
from guard.views.text import cells
from tests.views.plans import NOW, estate, finding, held, part, plan, run


def text(*runs, took_s=0.42, **changes):
    return plan_text(plan(*runs, **changes), took_s=took_s)


def lines(*runs, **changes):
    return text(*runs, **changes).splitlines()


def test_a_night_without_trouble_is_told_in_a_few_lines():
    assert text(run()) == (
        "XO 5.207.2 at https://xo.example.org\n"
        "1 run due within 24 h: 1 start.\n"
        "\n"
        "Every run would start whole:\n"
        "  Wed 25 Nov 02:00 CET  nightly web / at two\n"
        "\n"
        "Facts are up to 3 min old; this took 0.4 s.\n"
    )


def test_a_night_without_runs_says_so():
    assert text() == (
        "XO 5.207.2 at https://xo.example.org\n"
        "0 runs due within 24 h.\n"
        "\n"
        "Facts are up to 3 min old; this took 0.4 s.\n"
    )  # fmt: skip


def test_a_troubled_run_tells_its_verdict_its_reason_what_clears_it_and_what_to_do():
    troubled = run(
        finding(),
        action=Action.DEFER,
        sentence="No VM is left to start; held are web: CHAIN_UNHEALTHY.",
        clears="Clears by itself; the wait ends at Wed 25 Nov 06:00 CET.",
        seconds=(600, 1500, 7),
        bytes_p90=3 * 2**30,
    )
    assert lines(troubled)[3:] == [
        "Wed 25 Nov 02:00 CET  DEFER       nightly web",
        "  schedule at two",
        "  No VM is left to start; held are web: CHAIN_UNHEALTHY.",
        "  Clears by itself; the wait ends at Wed 25 Nov 06:00 CET.",
        "  Expected: 10 min, at P90 25 min (7 runs); up to 3.0 GiB.",
        "    - block CHAIN_UNHEALTHY: web: 2 uncoalesced copies, XO tolerates 1.",
        "      > Wait for the coalesce.",
        "",
        'This is what guard does where the policy says gate = "enforce"; elsewhere it',
        "  watches, and XO starts every run.",
        "Facts are up to 3 min old; this took 0.4 s.",
    ]


def test_a_plan_that_is_not_from_xo_just_now_says_so_first():
    told = plan_text(plan(run()), took_s=0, origin="From the capture night.guard:").splitlines()
    assert told[0] == "From the capture night.guard:"
    assert not [line for line in told if "elsewhere it" in line]


def test_what_would_not_start_whole_comes_first_and_the_rest_is_listed_below():
    shown = lines(run(job="calm"), run(action=Action.REFUSE, job="troubled"), run(finding(Level.WARN), job="warned"))
    where = {name: next(at for at, line in enumerate(shown) if name in line) for name in ("calm", "troubled", "warned")}
    assert where["troubled"] < where["warned"] < shown.index("Nothing to say about:") < where["calm"]
    assert "3 runs due within 24 h: 2 start, 1 refuse." in shown


@pytest.mark.parametrize(
    ("action", "word"),
    [
        (Action.START_SOME, "START SOME"),
        (Action.DEFER, "DEFER     "),
        (Action.REFUSE, "REFUSE    "),
        (Action.SKIP, "SKIP      "),
    ],
)
def test_each_verdict_has_its_word_in_the_title_and_in_the_count(action, word):
    shown = lines(run(action=action))
    assert f"Wed 25 Nov 02:00 CET  {word}  nightly web" in shown
    assert shown[1] == f"1 run due within 24 h: 1 {word.strip().lower()}."


def test_a_reason_that_a_finding_tells_anyway_is_said_once():
    one = finding(summary="The job is still running.", holds=())
    shown = text(run(one, action=Action.SKIP, sentence="The job is still running."))
    assert shown.count("The job is still running.") == 1
    assert "- block CHAIN_UNHEALTHY: The job is still running." in shown


@pytest.mark.parametrize(
    ("level", "shown"), [(Level.OK, False), (Level.WARN, True), (Level.UNKNOWN, True), (Level.BLOCK, True)]
)
def test_findings_are_shown_with_their_level_unless_all_is_well(level, shown):
    told = text(run(finding(level)))
    assert (f"- {level.value} CHAIN_UNHEALTHY" in told) is shown
    assert ("Every run would start whole:" in told) is not shown


def test_a_finding_that_all_is_well_is_left_out_beside_one_that_tells_something():
    told = text(run(finding(Level.OK, code="FINE"), finding(Level.WARN)))
    assert ("FINE" in told, "- warn CHAIN_UNHEALTHY" in told) == (False, True)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"seconds": (90, 95, 1)}, "  Expected: 90 s, at P90 95 s (1 run)."),
        ({"bytes_p90": 1536.4}, "  Expected: up to 1.5 KiB."),
        ({"bytes_p90": 0.0}, None),
        ({}, None),
    ],
)
def test_what_a_run_is_expected_to_take_is_told_in_units_where_it_is_known(known, said):
    shown = [line for line in lines(run(action=Action.DEFER, **known)) if "Expected" in line]
    assert shown == ([said] if said else [])


def test_a_run_through_a_sequence_says_so():
    sequenced = run(action=Action.DEFER)
    due = dataclasses.replace(sequenced.run.due, via="sequence")
    sequenced = dataclasses.replace(sequenced, run=dataclasses.replace(sequenced.run, due=due))
    assert "  schedule at two, through a sequence" in lines(sequenced)


def test_due_times_are_shown_in_the_zone_of_their_schedule():
    shown = text(run(job="quiet", zone=UTC), run(action=Action.DEFER, job="loud", zone=UTC))
    assert "Wed 25 Nov 01:00 UTC  quiet / at two" in shown
    assert "Wed 25 Nov 01:00 UTC  DEFER       loud" in shown


def test_what_could_not_be_read_is_told_before_the_runs():
    failed = part(PartName.HOSTS, ok=False, error="XO answered GET /rest/v0/hosts with 500: boom")
    shown = lines(estate=estate(parts=[failed]))
    assert shown[2] == "Not read: hosts. XO answered GET /rest/v0/hosts with 500: boom"
    assert "Not read" not in text()


def test_a_token_of_no_administrator_is_told():
    shown = text(estate=estate(admin=False))
    assert "no administrator" in shown
    assert "no administrator" not in text()


def test_notes_are_told_at_the_end_and_those_about_the_unknown_by_that_word():
    notes = (Note("Schedule x is odd.", unknown=False), Note("Schedule y may be missing.", unknown=True))
    assert lines(notes=notes)[-3:-1] == ["Note: Schedule x is odd.", "Unknown: Schedule y may be missing."]


def test_the_age_is_that_of_the_oldest_fact():
    old = msgspec.structs.replace(part(PartName.SRS), read_at=NOW - timedelta(hours=3))
    assert lines(estate=estate(parts=[old]), took_s=75)[-1] == "Facts are up to 3 h old; this took 75 s."


def test_without_any_fact_nothing_is_old():
    bare = dataclasses.replace(plan(), estate=dataclasses.replace(estate(), parts={}))
    assert plan_text(bare, took_s=0).endswith("Facts are up to 0.0 s old; this took 0.0 s.\n")


LONG = "a job whose name is told in full, with its reasons and many more words than one line of a screen can hold"


@pytest.mark.parametrize("name", [LONG, "x" * 200, "データベース" * 20, "é" * 100])
def test_no_line_is_wider_than_80_columns_whatever_names_xo_has(name):
    failed = part(PartName.HOSTS, ok=False, error=name)
    everything = run(
        finding(summary=name, remedy=name), action=Action.START_SOME, sentence=f"{name} {name}.", clears=name, job=name
    )
    shown = lines(everything, run(job=name), estate=estate(parts=[failed]), notes=(Note(name, unknown=True),))
    assert max(map(cells, shown)) <= 80
    assert shown[0] == "XO 5.207.2 at https://xo.example.org"


def test_a_long_title_goes_on_below_itself_and_a_finding_below_its_own():
    title = lines(run(finding(summary=LONG), action=Action.DEFER, job=LONG))
    at = next(at for at, line in enumerate(title) if "DEFER" in line and line.startswith("Wed"))
    assert title[at + 1].startswith(" " * 12)
    told = next(at for at, line in enumerate(title) if "- block" in line)
    assert title[told + 1].startswith("      ")


def test_the_plain_style_has_no_escape_and_neither_have_names_that_hold_one():
    hostile = "\x1b[31mred\x1b[0m\nXO 9.9.9 at https://evil.example.org\u202e"
    shown = text(run(finding(summary=hostile), action=Action.DEFER, job=hostile), notes=(Note(hostile, unknown=False),))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert sum(line.startswith("XO ") for line in shown.splitlines()) == 1
    assert plain("DEFER", "defer") == "DEFER"


@pytest.mark.parametrize("action", [one for one in Action if one is not Action.START])
@pytest.mark.parametrize("level", [Level.WARN, Level.UNKNOWN, Level.BLOCK])
def test_a_style_is_given_the_verdict_and_the_level_and_changes_nothing_else(action, level):
    seen = []

    def marking(told, kind):
        seen.append((told, kind))
        return f"<{kind}>{told}</>"

    made = plan(
        run(finding(level, code="WARN_BLOCK", summary="warn unknown block"), action=action, job="DEFER or SKIP")
    )
    marked = plan_text(made, took_s=0, style=marking)
    words = {Action.START_SOME: "START SOME", Action.DEFER: "DEFER", Action.REFUSE: "REFUSE", Action.SKIP: "SKIP"}
    assert seen == [(words[action], action.value), (level.value, level.value)]
    assert marked.replace(f"<{action.value}>", "").replace(f"<{level.value}>", "").replace("</>", "") == plan_text(
        made, took_s=0
    )
    assert (marked.count(f"<{action.value}>"), marked.count(f"<{level.value}>")) == (1, 1)
    assert f"CET  <{action.value}>" in marked
    assert f"- <{level.value}>{level.value}</> WARN_BLOCK" in marked


def test_a_run_that_starts_otherwise_than_its_job_says_is_a_deed_of_guard():
    sentence = "8 VMs start with concurrency 2 instead of 4 for this run; 1 warning."
    fewer = run(finding(Level.WARN), sentence=sentence)
    as_it_is = text(fewer)
    changed = msgspec.structs.replace(fewer.verdict, settings={"": {"concurrency": 2}})
    told = text(dataclasses.replace(fewer, verdict=changed))
    assert sentence in " ".join(told.split())
    assert ("This is what guard does where" in told, "This is what guard does where" in as_it_is) == (True, False)


# --- remedies


def test_what_would_help_stands_below_the_runs_and_above_the_age():
    wanted = Wanted(
        kind=RemedyKind.RESCAN,
        scope=Scope(ScopeKind.SR, "sr", "SAN"),
        at=NOW,
        latest=NOW + timedelta(hours=1),
        reason="3 wait",
        runs=(),
    )
    told = plan_text(plan(run()), took_s=0.42, remedies=[wanted]).splitlines()
    assert told[-3:] == [
        "Would do: scan SAN at Tue 24 Nov 21:00 CET.",
        "      Why: 3 wait.",
        "Facts are up to 3 min old; this took 0.4 s.",
    ]


def test_what_a_person_holds_now_stands_below_the_runs():
    brake = Brake(kind="bypass", scope="job:nightly", until=None, reason="disks.", since=NOW, by="alice")
    told = plan_text(plan(run()), took_s=0.42, brakes=[brake]).splitlines()
    assert told[-3:] == [
        "By hand: bypass of job:nightly until guard unbypass job:nightly, by alice:",
        "      disks.",
        "Facts are up to 3 min old; this took 0.4 s.",
    ]


def test_a_workaround_that_stands_is_told_by_every_plan():
    own = OwnFile(state="intact", value_ms=1_800_000, reason="vm timed out.")
    stands = State(folder="/etc/xo-server", looked_at=NOW, own=own)
    told = " ".join(line.strip() for line in lines(estate=estate(workaround=stands)))
    assert "Note: The httpInactivityTimeout workaround stands: XO may wait 30 min" in told
    assert "workaround" not in text()


def at(planned, **after):
    """A run moved, with its deadline, so much later."""
    later = timedelta(**after)
    held = tuple(
        msgspec.structs.replace(one, deadline=one.deadline and one.deadline + later) for one in planned.verdict.held
    )
    verdict = msgspec.structs.replace(planned.verdict, held=held)
    due = dataclasses.replace(planned.run.due, at=planned.run.due.at + later)
    return dataclasses.replace(planned, verdict=verdict, run=dataclasses.replace(planned.run, due=due))


def waiting(**after):
    """A deferred run whose wait ends four hours after it is due."""
    moved = at(run(finding(), action=Action.DEFER, held=(held(),)), **after)
    (one,) = moved.verdict.held
    clears = f"Clears by itself; the wait ends at {format_time(one.deadline, moved.zone)}."
    return dataclasses.replace(moved, verdict=msgspec.structs.replace(moved.verdict, clears=clears))


def test_runs_of_one_schedule_of_which_the_same_is_to_be_said_are_told_once():
    told = lines(*(waiting(minutes=3 * number) for number in range(480)))
    assert told[1] == "480 runs due within 24 h: 480 defer."
    assert told[3:10] == [
        "Wed 25 Nov 02:00 CET  DEFER       nightly web",
        "  schedule at two",
        "  Said in one sentence.",
        "  Clears by itself; the wait ends at Wed 25 Nov 06:00 CET.",
        "    - block CHAIN_UNHEALTHY: web: 2 uncoalesced copies, XO tolerates 1.",
        "      > Wait for the coalesce.",
        "  and 479 more like it, until Thu 26 Nov 01:57 CET",
    ]
    assert len(told) < 15


def test_one_more_run_of_the_same_is_told_with_its_due_time():
    assert "  and 1 more like it, at Wed 25 Nov 03:00 CET" in lines(waiting(), waiting(hours=1))


def test_a_run_with_another_finding_another_wait_or_another_verdict_has_a_block_of_its_own():
    other = run(finding(summary="web: 3 uncoalesced copies."), action=Action.DEFER)
    longer = waiting(hours=1)
    longer = dataclasses.replace(
        longer, verdict=msgspec.structs.replace(longer.verdict, clears=waiting(hours=2).verdict.clears)
    )
    skipped = run(finding(), action=Action.SKIP)
    told = lines(waiting(), other, longer, skipped, waiting(hours=3))
    assert [one for one in told if "CET  DEFER" in one or "CET  SKIP" in one or "more like it" in one] == [
        "Wed 25 Nov 02:00 CET  DEFER       nightly web",
        "  and 1 more like it, at Wed 25 Nov 05:00 CET",
        "Wed 25 Nov 02:00 CET  DEFER       nightly web",
        "Wed 25 Nov 03:00 CET  DEFER       nightly web",
        "Wed 25 Nov 02:00 CET  SKIP        nightly web",
    ]


def test_what_there_is_nothing_to_say_about_is_told_once_for_each_schedule():
    assert lines(*(at(run(), minutes=3 * number) for number in range(480)))[4] == (
        "  Wed 25 Nov 02:00 CET  nightly web / at two: 480 runs, every 3 min, until Thu"
    )
    uneven = lines(*(at(run(), hours=hour) for hour in (0, 1, 3)))
    assert uneven[4] == "  Wed 25 Nov 02:00 CET  nightly web / at two: 3 runs, until Wed 25 Nov 05:00 CET"
    assert lines(run(), at(run(), hours=1))[4] == (
        "  Wed 25 Nov 02:00 CET  nightly web / at two, and Wed 25 Nov 03:00 CET"
    )


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        (None, False),
        (ZoneInfo("Europe/Paris"), False),
        (ZoneInfo("Europe/Berlin"), False),
        (UTC, True),
    ],
)
def test_where_messages_have_their_times_in_another_zone_the_plan_says_so_once(zone, told):
    note = "Times are in the zone of each schedule (Europe/Paris); messages and guard"
    found = plan_text(plan(run(), run()), took_s=0.4, messages_in=zone)
    assert found.count(note) == told
    assert "Times are" not in plan_text(plan(), took_s=0.4, messages_in=UTC)
