"""Disks that XAPI did not find at its last scan, and those with read errors before (failure-modes.md 3.15 c)."""

from __future__ import annotations

import pytest
from guard.checks.disk_missing import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    facts,
    found,
    make_estate,
    make_job,
    make_sr,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    read,
)
from tests.checks.nights import CUT, IO_ERROR, fine, lost, night, nights, told
from tests.outcomes.tables import xapi


def said(**world):
    return found(CHECK, make_view(make_estate(**world)))


def test_a_disk_that_is_missing_fails_its_vm_for_certain():
    (finding,) = said(vdis=[make_vdi(missing=True)])
    assert (finding.code, finding.level, finding.certainty) == ("DISK_UNREADABLE", Level.BLOCK, Certainty.CERTAIN)
    assert (finding.holds, finding.clears) == (("vm",), Clears(ClearedBy.PERSON))
    assert facts(finding) == {"missing": read(1, "VDIs", "vdis"), "disk": read("disk", "", "vdis")}
    assert finding.summary == "vm: the host did not find disk disk on sr at its last scan."


def test_without_its_sr_it_is_told_as_well():
    (finding,) = said(vdis=[make_vdi(missing=True)], srs=[])
    assert "on its SR" in finding.summary


@pytest.mark.parametrize("disk", [{"missing": False}, {"missing": UNSET}, {"missing": True, "name_label": "[NOBAK]"}])
def test_a_disk_that_is_there_or_left_out_is_fine(disk):
    assert said(vdis=[make_vdi(**disk)]) == []


# Read errors that repeat

BAD = lost(IO_ERROR)


def test_a_vm_whose_disk_could_not_be_read_twice_is_told_with_its_figures():
    (finding,) = told(CHECK, logs=nights(BAD, fine(), BAD))
    assert (finding.code, finding.level, finding.certainty) == ("DISK_UNREADABLE", Level.WARN, Certainty.LIKELY)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.VM, "vm", "vm"), ("vm",))
    assert (finding.harm, finding.clears) == (Harm.NONE, Clears(ClearedBy.PERSON))
    assert finding.summary == (
        "vm: the host could not read or write a disk in 2 of its last 3 runs, last on Tue 24 Nov 00:00 UTC "
        "(VDI_IO_ERROR(Device I/O errors))."
    )
    assert facts(finding)["failed_runs"] == read(2, "runs", "logs")
    assert "dmesg" in finding.remedy


@pytest.mark.parametrize(
    ("runs", "options", "is_told"),
    [
        ([BAD, fine()], {}, False),
        ([BAD, lost(CUT)], {}, False),
        ([BAD, lost(xapi("SR_BACKEND_FAILURE_46", "", "The VDI is not available", ""))], {}, True),
        ([fine(), fine(), fine(), BAD, BAD], {}, False),
        ([BAD, fine(), fine(), BAD], {"runs": 3}, False),
        ([BAD], {"times": 1}, True),
    ],
)
def test_both_sides_of_every_threshold(runs, options, is_told):
    assert bool(told(CHECK, options, logs=nights(*runs))) is is_told


def test_replicas_of_two_vms_that_could_not_be_written_make_their_sr_suspect():
    world = {
        "vms": [make_vm("a"), make_vm("b")],
        "srs": [make_sr(), make_sr("dr")],
        "vdis": [make_vdi("da"), make_vdi("db")],
        "vbds": [make_vbd("a", "da"), make_vbd("b", "db")],
        "jobs": [make_job(vms={"id": {"__or": ["a", "b"]}})],
    }
    logs = [night(0, lost(IO_ERROR, "a", target="dr"), lost(IO_ERROR, "b", target="dr"))]
    (finding,) = told(CHECK, logs=logs, **world)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.SR, "dr", "dr"), ("a", "b"))
    assert finding.summary.startswith("The host could not read or write a disk 2 times in the last run of 2 VMs on dr")


def test_a_disk_that_is_missing_now_is_told_without_its_past():
    (finding,) = told(CHECK, logs=nights(BAD, BAD), vdis=[make_vdi(missing=True)])
    assert finding.level is Level.BLOCK
