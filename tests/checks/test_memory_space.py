"""Room for a VM's memory on its suspend SR (xapi-storage.md 1.6)."""

from __future__ import annotations

import pytest
from guard.checks.memory_space import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import GIB, facts, found, make_estate, make_job, make_pool, make_sr, make_view, make_vm, read

MIB = 1024**2
FULL = 10_955_522_048  # the LVM volume of the memory image of 8 GiB, as the storage facts work it out
# its snapshot: 8 GiB in 2 MiB blocks with a bitmap of 4 KiB each and the header, rounded to 4 MiB; an empty node; journals
BASE = -(-(4_329_472 + 4096 * (2 * MIB + 4096) + 512) // (4 * MIB)) * 4 * MIB
NEED = FULL + BASE + 16 * MIB
FILE = 8 * GIB + 3 * 25_600  # what is written, and three headers of a VHD of that size


def said(free, vm=None, settings=None, pool=None, sr=None, **job):
    size = 1000 * GIB
    shown = {"SR_type": "lvm", "allocationStrategy": "thick", "size": size, "physical_usage": size - free} | (sr or {})
    memory = {"static": [GIB, 8 * GIB]}
    estate = make_estate(
        pools=[make_pool(**{"suspendSr": "memory"} | (pool or {}))],
        srs=[make_sr(), make_sr("memory", **shown)],
        vms=[make_vm(**{"memory": memory} | (vm or {}))],
        jobs=[make_job(**{"settings": {"schedule": {"checkpointSnapshot": True} | (settings or {})}} | job)],
    )
    return found(CHECK, make_view(estate))


def test_a_healthy_estate_has_nothing_to_say():
    assert found(CHECK, make_view(make_estate())) == []


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (NEED, []),
        (NEED - 1, [Certainty.TREND]),
        (FULL, [Certainty.TREND]),
        (FULL - 1, [Certainty.CERTAIN]),
    ],
)
def test_the_image_must_fit_and_its_snapshot_too(free, expected):
    assert [one.certainty for one in said(free)] == expected


def test_too_little_room_is_told_with_its_figures():
    (finding,) = said(10 * GIB)
    assert (finding.code, finding.level, finding.harm) == ("SR_NO_SPACE", Level.BLOCK, Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.SR, "memory", "memory"), ("vm",))
    assert finding.summary == (
        "memory: 10.0 GiB free, a snapshot of vm with its memory of 8.0 GiB needs 18.2 GiB there."
    )
    assert facts(finding) == {
        "free": read(10 * GIB, "bytes", "srs"),
        "memory": read(8 * GIB, "bytes", "vms"),
        "need_at_least": read(FULL, "bytes", "vms"),
        "need_expected": read(NEED, "bytes", "vms"),
    }
    assert finding.clears == Clears(ClearedBy.PERSON)


def test_a_thin_sr_takes_what_is_written_and_stops_its_guests_when_full():
    thin = {"SR_type": "nfs", "allocationStrategy": "thin"}
    assert said(9 * GIB, sr=thin) == []
    (finding,) = said(8 * GIB, sr=thin)
    assert (finding.level, finding.certainty, finding.harm) == (Level.WARN, Certainty.TREND, Harm.PRODUCTION)


def test_without_an_expectation_only_what_is_certain_counts():
    assert said(0, sr={"SR_type": "linstor", "allocationStrategy": "unknown", "sm_config": {}}) == []


def test_the_vms_own_suspend_sr_comes_first():
    assert said(0, vm={"suspendSr": "sr"}) == []
    assert len(said(0, vm={"suspendSr": "memory"}, pool={"suspendSr": "sr"})) == 1


def test_the_tag_asks_for_memory_as_well():
    assert len(said(0, vm={"tags": ["xo-memory-backup"]}, settings={"checkpointSnapshot": False})) == 1
    assert said(0, settings={"checkpointSnapshot": False}) == []


@pytest.mark.parametrize(
    "near_miss",
    [
        {"vm": {"power_state": "Halted"}},
        {"vm": {"power_state": "Halted"}, "mode": "full"},
        {"vm": {"memory": UNSET}},
        {"vm": {"memory": {}}},
        {"vm": {"$pool": "elsewhere"}},
        {"vm": {"$pool": UNSET}},
        {"pool": {"suspendSr": UNSET}},
        {"pool": {"suspendSr": "gone"}},
        {"settings": {"offlineSnapshot": True}},
        {"sr": {"size": 0}},
        {"sr": {"SR_type": "gfs2"}},
    ],
)
def test_what_writes_no_memory_or_cannot_be_told_says_nothing(near_miss):
    assert said(0, **near_miss) == []
