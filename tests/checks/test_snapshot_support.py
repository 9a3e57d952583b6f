"""Disks whose SR or format takes no snapshot (failure-modes.md 3.10; SM udevSR.py:33, LVHDSR.py:1717)."""

from __future__ import annotations

import pytest
from guard.checks.snapshot_support import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level
from tests.builders import facts, found, make_estate, make_job, make_sr, make_vbd, make_vdi, make_view, make_vm, read


def said(**world):
    return found(CHECK, make_view(make_estate(**world)))


def test_a_healthy_disk_has_nothing_to_say():
    assert said() == []


@pytest.mark.parametrize("kind", ["udev", "iso", "hba", "rawhba", "iscsi", "rawiscsi"])
def test_a_disk_on_a_removable_or_iso_sr_makes_the_whole_vm_fail(kind):
    (finding,) = said(srs=[make_sr(SR_type=kind)])
    assert (finding.code, finding.level, finding.certainty) == (
        "SNAPSHOT_UNSUPPORTED",
        Level.BLOCK,
        Certainty.CERTAIN,
    )
    assert (finding.holds, finding.clears) == (("vm",), Clears(ClearedBy.PERSON))
    assert facts(finding)["sr_type"] == read(kind, "", "srs")


def test_a_raw_disk_makes_the_whole_vm_fail():
    (finding,) = said(vdis=[make_vdi(image_format="raw", name_label="data")])
    assert facts(finding)["image_format"] == read("raw", "", "vdis")
    assert finding.summary == "vm: disk data is in RAW format; the host refuses the snapshot of the whole VM."


@pytest.mark.parametrize(
    "world",
    [
        {"vdis": [make_vdi(image_format="raw", name_label="[NOBAK] data")]},
        {"vdis": [make_vdi(image_format="raw")], "vbds": [make_vbd(is_cd_drive=True)]},
        {
            "vdis": [make_vdi(image_format="raw")],
            "vms": [make_vm(power_state="Halted", container="pool")],
            "jobs": [make_job(mode="full")],
        },
        {"srs": []},
    ],
    ids=["left out by its name", "in a CD drive", "no snapshot is taken", "the SR is not shown"],
)
def test_what_is_not_snapshotted_does_not_matter(world):
    assert said(**world) == []
