"""Snapshots that the pool itself says it would refuse (xapi-storage.md 5.2, 5.3)."""

from __future__ import annotations

import pytest
from guard.checks.xapi_refusal import CHECK
from guard.estate.estate import PartName
from guard.estate.xapi_records import Refusal, SrFacts, VdiFacts, VmFacts
from guard.finding import Certainty, ClearedBy, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import facts, found, make_estate, make_job, make_pool_facts, make_view, make_vm, make_vusb, read

RESET = Refusal(code="VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION")
UPGRADE = Refusal(code="NOT_SUPPORTED_DURING_UPGRADE", params=("pool",))
IDLE = SrFacts(current_operations=())


def said(refusal=UNSET, current=(), disk=None, sr=IDLE, mode="delta", **world):
    told = make_pool_facts(
        vms={"vm": VmFacts(refusal=refusal, current_operations=current)},
        vdis={} if disk is None else {"disk": disk},
        srs={} if sr is None else {"sr": sr},
    )
    return found(CHECK, make_view(make_estate(pool_facts=[told], jobs=[make_job(mode=mode)], **world)))


def test_a_refusal_of_the_pool_holds_the_vm_and_is_told_in_the_pools_words():
    (finding,) = said(UPGRADE)
    assert (finding.code, finding.level, finding.certainty) == ("SNAPSHOT_REFUSED", Level.BLOCK, Certainty.LIKELY)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.VM, "vm", "vm"), ("vm",))
    assert "NOT_SUPPORTED_DURING_UPGRADE (pool)" in finding.summary
    assert facts(finding) == {"refusal": read("NOT_SUPPORTED_DURING_UPGRADE", "", "pool_facts")}
    assert finding.clears.by is ClearedBy.PERSON


def test_an_error_without_parameters_is_told_as_it_is():
    (finding,) = said(RESET)
    assert finding.summary.endswith(f"{RESET.code}.")


def test_a_disk_that_may_not_be_snapshotted_although_nothing_is_at_work_is_a_warning():
    (finding,) = said(None, disk=VdiFacts(allowed_operations=("clone",), current_operations=()))
    assert "disk" in finding.summary
    assert (finding.level, finding.clears.by) == (Level.WARN, ClearedBy.TIME)
    assert facts(finding) == {"disk": read("disk", "", "pool_facts")}


@pytest.mark.parametrize(
    "world",
    [
        {"refusal": None},
        {"refusal": UNSET},
        {"refusal": RESET, "current": ("snapshot",)},
        {"current": ("start",), "disk": VdiFacts(allowed_operations=(), current_operations=())},
        {"refusal": Refusal(code="OTHER_OPERATION_IN_PROGRESS")},
        {"refusal": RESET, "mode": "full", "vms": [make_vm(power_state="Halted")]},
        {"refusal": Refusal(code="VM_HAS_VUSBS"), "vusbs": [make_vusb()]},
        {"refusal": Refusal(code="OPERATION_BLOCKED"), "vms": [make_vm(blockedOperations={"snapshot": "no"})]},
        {"disk": VdiFacts(allowed_operations=("snapshot",), current_operations=())},
        {"disk": VdiFacts(allowed_operations=(), current_operations=("copy",))},
        {"disk": VdiFacts()},
        {"disk": VdiFacts(allowed_operations=(), current_operations=()), "sr": SrFacts(current_operations=("scan",))},
        {"disk": VdiFacts(allowed_operations=(), current_operations=()), "sr": SrFacts()},
        {"disk": VdiFacts(allowed_operations=(), current_operations=()), "sr": None},
    ],
    ids=[
        "it would take the snapshot",
        "it was not asked",
        "an operation goes on",
        "an operation goes on, and a disk is refused for it",
        "one began between two questions",
        "no snapshot is taken",
        "the USB check tells it",
        "the check of blocked operations tells it",
        "the disk may be snapshotted",
        "the disk is at work",
        "the disk was not asked about",
        "the SR is scanned",
        "whether the SR is at work is not known",
        "the SR was not asked about",
    ],
)
def test_near_misses_say_nothing(world):
    assert said(**world) == []


def test_what_xo_does_not_show_of_devices_and_blocks_is_told_all_the_same():
    assert len(said(Refusal(code="VM_HAS_VUSBS"))) == 1
    assert len(said(Refusal(code="OPERATION_BLOCKED"))) == 1


def test_a_guard_that_may_ask_no_pool_says_nothing():
    estate = make_estate()
    parts = {name: part for name, part in estate.parts.items() if name is not PartName.POOL_FACTS}
    object.__setattr__(estate, "parts", parts)
    assert found(CHECK, make_view(estate)) == []


def test_a_vm_of_a_pool_that_did_not_answer_says_nothing():
    assert found(CHECK, make_view(make_estate(pool_facts=[make_pool_facts(answered=False)]))) == []
