"""Exports that take longer than a host allows one task (failure-modes.md 4.3)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.export_too_long import CHECK
from guard.finding import Certainty, Level, Scope, ScopeKind
from tests.builders import (
    GIB,
    LAST_NIGHT,
    facts,
    found,
    make_estate,
    make_job,
    make_log,
    make_snapshot,
    make_transfer,
    make_vbd,
    make_vdi,
    make_view,
    make_vm_task,
    read,
)

HOUR = 3600
TARGETS = {"near": 2, "far": 30, "cloud": 21}


def sent(hours, size=1000 * GIB, full=True, night=0, target="repo"):
    transfer = make_transfer(size, full=full, seconds=round(hours * HOUR), target=target)
    return make_log(make_vm_task("vm", transfer), start=LAST_NIGHT - timedelta(days=night))


def said(*logs, mode="full", settings=None, options=None, **world):
    jobs = [make_job(mode=mode, settings={"schedule": {"exportRetention": 7} | (settings or {})})]
    return found(CHECK, make_view(make_estate(jobs=jobs, logs=logs, **world)), **(options or {}))


def test_a_full_that_takes_more_than_24_hours_at_its_usual_rate_is_likely_to_be_ended():
    (finding,) = said(sent(25))
    assert (finding.code, finding.level, finding.certainty) == ("EXPORT_TOO_LONG", Level.WARN, Certainty.LIKELY)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.VM, "vm", "vm"), ("vm",))
    told = facts(finding)
    assert told["expected"] == read(1000 * GIB, "bytes", "logs")
    assert told["takes"] == read(25 * HOUR, "s", "logs")
    assert told["rate"] == read(round(1000 * GIB / (25 * HOUR)), "bytes/s", "logs")
    assert told["samples"] == read(1, "transfers", "logs")


@pytest.mark.parametrize(
    ("hours", "certainty"), [(24, Certainty.TREND), (20, Certainty.TREND), (19.9, None), (24.1, Certainty.LIKELY)]
)
def test_from_20_hours_it_is_a_tendency(hours, certainty):
    findings = said(sent(hours))
    assert [one.certainty for one in findings] == ([certainty] if certainty else [])


def test_the_policy_says_from_when_to_warn():
    assert said(sent(10), options={"warn_after": timedelta(hours=9)})


def test_the_slowest_target_counts():
    both = [
        make_transfer(1000 * GIB, target=target, full=True, seconds=hours * HOUR) for target, hours in TARGETS.items()
    ]
    jobs = [make_job(mode="full", remotes={"id": {"__or": list(TARGETS)}})]
    (finding,) = found(CHECK, make_view(make_estate(jobs=jobs, logs=[make_log(make_vm_task("vm", *both))])))
    assert facts(finding)["takes"] == read(30 * HOUR, "s", "logs")


def test_a_limit_of_the_job_is_slower_than_the_past():
    assert said(sent(10)) == []
    assert said(sent(10), settings={"maxExportRate": 1000 * GIB // (30 * HOUR)})


def test_in_delta_mode_each_disk_is_an_export_of_its_own():
    disks = {
        "vbds": [make_vbd(vdi="a"), make_vbd(vdi="b")],
        "vdis": [make_vdi("a", size=300 * GIB), make_vdi("b", size=100 * GIB)],
    }
    (finding,) = said(sent(40), mode="delta", **disks)
    assert facts(finding)["expected"] == read(750 * GIB, "bytes", "logs")
    assert facts(finding)["takes"] == read(30 * HOUR, "s", "logs")


def test_a_vm_without_disks_that_were_read_counts_as_one_disk():
    (finding,) = said(sent(40), mode="delta", vdis=[make_vdi(size=0)], vdi_snapshots=[])
    assert facts(finding)["takes"] == read(40 * HOUR, "s", "logs")


def test_deltas_go_by_the_rate_of_deltas():
    base = [make_snapshot("base")]
    assert said(sent(30), sent(1, size=10 * GIB, full=False, night=1), mode="delta", vdi_snapshots=base) == []


@pytest.mark.parametrize(
    ("logs", "more"),
    [
        ((), {}),
        ((), {"mode": "delta", "vdi_snapshots": [make_snapshot("base")]}),
        ((sent(30),), {"mode": "delta", "settings": {"preferNbd": True}}),
        ((sent(0),), {}),
        ((sent(30, size=0),), {}),
    ],
    ids=["never sent", "a delta never sent", "read by NBD, block by block", "in no time", "nothing moved"],
)
def test_where_the_past_tells_nothing_nothing_is_said(logs, more):
    assert said(*logs, **more) == []
