"""Running checks: what is missing, what breaks, and what the policy makes of it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from guard.checks.check import Check, Effect, Options
from guard.checks.run import run_checks
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from tests.builders import NOW, make_estate, make_job, make_view


def finding(level=Level.BLOCK, **changes):
    base = {
        "code": "TOLD",
        "check": "sample",
        "certainty": Certainty.CERTAIN,
        "harm": Harm.PRODUCTION,
        "summary": "Told.",
    }
    base |= {
        "scope": Scope(ScopeKind.VM, "vm", "vm"),
        "holds": ("vm",),
        "remedy": "act",
        "clears": Clears(ClearedBy.PERSON),
    }
    return Finding(**(base | {"level": level} | changes))


def crash(view, options):
    raise RuntimeError("boom")


SAMPLE = Check(
    name="sample",
    title="Samples",
    codes=(Code(id="TOLD", title="t", why="w", do="d"), Code(id="OTHER", title="t", why="w", do="d")),
    needs={PartName.SRS: timedelta(minutes=10), PartName.VMS: timedelta(hours=1)},
    options=Options,
    evaluate=lambda view, options: [finding(level) for level in (Level.BLOCK, Level.UNKNOWN, Level.WARN, Level.OK)],
)
SECOND = dataclasses.replace(SAMPLE, name="second", evaluate=lambda view, options: [finding(summary="Second.")])


def run(*checks, effect=Effect.BLOCK, **world):
    options = {check.name: Options(effect=effect) for check in checks}
    return run_checks(checks, make_view(make_estate(**world)), options)


def test_the_findings_of_all_checks_come_in_their_order():
    assert [one.summary for one in run(SAMPLE, SECOND)] == [*["Told."] * 4, "Second."]
    assert [one.summary for one in run(SECOND, SAMPLE)] == ["Second.", *["Told."] * 4]


def test_a_check_gets_the_view_and_its_own_options():
    seen = []
    check = dataclasses.replace(SAMPLE, evaluate=lambda view, options: seen.append((view.run.job.id, options)) or [])
    assert run(check, effect=Effect.BLOCK) == []
    assert seen == [("job", Options())]


def test_a_policy_that_only_warns_turns_blocks_into_warnings_and_leaves_the_rest():
    found = run(SAMPLE, effect=Effect.WARN)
    assert [one.level for one in found] == [Level.WARN, Level.UNKNOWN, Level.WARN, Level.OK]
    assert found[0] == finding(Level.WARN)


def test_a_check_that_is_off_does_not_run():
    assert run(dataclasses.replace(SAMPLE, evaluate=crash), effect=Effect.OFF) == []


@pytest.mark.parametrize("job_type", ["backup", "mirrorBackup", "metadataBackup"])
def test_a_check_runs_for_the_job_types_it_applies_to(job_type):
    world = {"jobs": [make_job(type=job_type)]}
    assert bool(run(SAMPLE, **world)) is (job_type == "backup")
    assert run(dataclasses.replace(SAMPLE, job_types=frozenset({job_type})), **world) != []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({PartName.SRS: {"ok": False, "error": "XO answered 500"}}, "srs could not be read (XO answered 500)"),
        (
            {PartName.SRS: {"complete": False}},
            "XO may have filtered the list of srs: the token's user is no administrator",
        ),
        ({PartName.SRS: {"read_at": NOW - timedelta(minutes=11)}}, "srs are 11 min old"),
        ({PartName.VMS: {"read_at": NOW - timedelta(hours=2)}}, "vms are 2 h old"),
        (
            {PartName.VMS: {"ok": False, "error": "x"}, PartName.SRS: {"ok": False, "error": "first"}},
            "srs could not be read (first)",
        ),
    ],
)
def test_a_part_that_is_missing_filtered_or_old_makes_a_check_unknown(changes, why):
    (found,) = run(dataclasses.replace(SAMPLE, evaluate=crash), reading=changes)
    assert (found.code, found.check, found.level) == ("TOLD", "sample", Level.UNKNOWN)
    assert (found.scope, found.holds, found.harm) == (Scope(ScopeKind.JOB, "job", "job"), (), Harm.NONE)
    assert found.summary == f"Samples is unknown: {why}."
    assert found.clears == Clears(ClearedBy.TIME)


@pytest.mark.parametrize(("part", "age"), [(PartName.SRS, 10), (PartName.VMS, 60), (PartName.HOSTS, 600)])
def test_a_part_as_old_as_allowed_or_not_needed_is_trusted(part, age):
    assert len(run(SAMPLE, reading={part: {"read_at": NOW - timedelta(minutes=age)}})) == 4


def test_a_check_that_crashes_is_unknown_and_silences_no_other():
    found = run(dataclasses.replace(SAMPLE, evaluate=crash), SECOND)
    assert [(one.level, one.summary) for one in found] == [
        (Level.UNKNOWN, "Samples is unknown: the check itself failed (RuntimeError: boom)."),
        (Level.BLOCK, "Second."),
    ]


def test_what_is_unknown_stays_unknown_where_the_policy_only_warns():
    (found,) = run(dataclasses.replace(SAMPLE, evaluate=crash), effect=Effect.WARN)
    assert found.level is Level.UNKNOWN
