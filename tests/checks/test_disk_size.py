"""Disks beyond the VHD format (xapi-storage.md 1.4, 6; failure-modes.md 4.4)."""

from __future__ import annotations

import pytest
from guard.checks.disk_size import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import GIB, facts, found, make_estate, make_job, make_sr, make_vdi, make_view, read

LIMIT = 2_190_433_320_960


def said(size=LIMIT + 1, image_format="vhd", settings=None, sr_type="smb", name="disk", **job):
    settings = {"schedule": {"exportRetention": 7, "copyRetention": 1} | (settings or {})}
    estate = make_estate(
        vdis=[make_vdi(size=size, image_format=image_format, name_label=name)],
        srs=[make_sr(), make_sr("target", SR_type=sr_type)],
        jobs=[make_job(**{"settings": settings} | job)],
    )
    return found(CHECK, make_view(estate))


def test_a_disk_of_the_largest_vhd_is_fine_and_one_byte_more_is_not():
    assert said(size=LIMIT) == []
    (finding,) = said()
    assert (finding.code, finding.level, finding.certainty) == ("DISK_TOO_LARGE", Level.BLOCK, Certainty.CERTAIN)
    assert (finding.harm, finding.scope, finding.holds) == (Harm.NONE, Scope(ScopeKind.VM, "vm", "vm"), ("vm",))
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert facts(finding) == {"size": read(LIMIT + 1, "bytes", "vdis"), "image_format": read("vhd", "", "vdis")}
    assert said(size=3000 * GIB)[0].summary == (
        "vm: disk disk has 3,000 GiB, more than a VHD of 2,040 GiB; the host refuses to export it as a VHD."
    )


@pytest.mark.parametrize(
    "near_miss",
    [
        {"image_format": "qcow2"},
        {"image_format": UNSET},
        {"mode": "full"},
        {"settings": {"preferNbd": True}},
        {"size": UNSET},
        {"name": "disk [NOBAK]"},
    ],
)
def test_what_is_not_exported_as_a_vhd_has_no_limit(near_miss):
    assert said(**near_miss) == []


@pytest.mark.parametrize(
    ("sr_type", "told"), [("smb", 1), ("linstor", 1), ("nfs", 0), ("ext", 0), ("lvm", 0)], ids=lambda one: str(one)
)
def test_a_target_that_takes_vhd_only_cannot_hold_a_copy(sr_type, told):
    for mode in ("delta", "full"):
        world = {"image_format": "qcow2", "sr_type": sr_type, "mode": mode, "srs": {"id": "target"}}
        assert [one.level for one in said(**world)] == [Level.WARN] * told
        assert [one.level for one in said(**world, remotes=UNSET)] == [Level.BLOCK] * told
    both = {"id": {"__or": ["target", "sr"]}}
    world = {"image_format": "qcow2", "sr_type": sr_type, "remotes": UNSET, "srs": both}
    assert [one.level for one in said(**world)] == [Level.WARN] * told


def test_the_finding_of_a_target_names_it():
    (finding,) = said(image_format="qcow2", srs={"id": "target"})
    assert (finding.certainty, finding.scope) == (Certainty.LIKELY, Scope(ScopeKind.SR, "target", "target"))
    assert finding.summary.endswith("2,040 GiB; target takes VHD only, so the replica cannot be made there.")
    assert facts(finding)["sr_type"] == read("smb", "", "srs")


def test_a_health_check_on_such_an_sr_is_a_warning():
    (finding,) = said(image_format="qcow2", settings={"healthCheckSr": "target"})
    assert (finding.level, finding.scope.id) == (Level.WARN, "target")
    assert "the health check's copy cannot be made there" in finding.summary


def test_a_target_that_xo_does_not_show_is_told_by_another_check():
    assert said(image_format="qcow2", srs={"id": "gone"}) == []
