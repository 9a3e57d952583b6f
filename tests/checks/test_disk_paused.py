"""Disks that SM marks as paused (xapi-storage.md 3.5)."""

from __future__ import annotations

import pytest
from guard.checks.disk_paused import CHECK
from guard.estate.estate import PartName
from guard.estate.xapi_records import GcTask, SrFacts, VdiFacts
from guard.finding import Certainty, ClearedBy, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import facts, found, make_estate, make_job, make_pool_facts, make_view, make_vm, read

PAUSED = VdiFacts(paused=True)


def said(disk=PAUSED, sr=None, mode="delta", **world):
    told = make_pool_facts(vdis={"disk": disk} if disk else {}, srs={"sr": sr} if sr else {})
    return found(CHECK, make_view(make_estate(pool_facts=[told], jobs=[make_job(mode=mode)], **world)))


def test_a_disk_that_stays_paused_while_no_coalesce_is_at_work_fails_its_next_snapshot():
    (finding,) = said(sr=SrFacts(gc_tasks=()))
    assert (finding.code, finding.level, finding.certainty) == ("SR_FAILURE", Level.WARN, Certainty.LIKELY)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.VM, "vm", "vm"), ("vm",))
    assert facts(finding) == {"paused": read(True, "", "pool_facts"), "disk": read("disk", "", "pool_facts")}
    assert finding.clears.by is ClearedBy.PERSON


@pytest.mark.parametrize("sr", [SrFacts(gc_tasks=(GcTask(id="gc"),)), SrFacts(gc_tasks=UNSET), None])
def test_while_a_coalesce_may_be_at_work_the_mark_may_be_its_own(sr):
    (finding,) = said(sr=sr)
    assert (finding.certainty, finding.clears.by) == (Certainty.TREND, ClearedBy.TIME)


@pytest.mark.parametrize(
    "world",
    [
        {"disk": VdiFacts(paused=False)},
        {"disk": VdiFacts()},
        {"disk": None},
        {"mode": "full", "vms": [make_vm(power_state="Halted")]},
    ],
)
def test_near_misses_say_nothing(world):
    assert said(**world) == []


def test_a_guard_that_may_ask_no_pool_says_nothing():
    estate = make_estate(reading={"pool_facts": {"ok": False}}, pool_facts=[make_pool_facts(vdis={"disk": PAUSED})])
    assert PartName.POOL_FACTS in estate.parts
    assert found(CHECK, make_view(estate)) == []
