"""Disks that XAPI did not find at its last scan (failure-modes.md 3.15 c)."""

from __future__ import annotations

import pytest
from guard.checks.disk_missing import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level
from msgspec import UNSET
from tests.builders import facts, found, make_estate, make_vdi, make_view, read


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
