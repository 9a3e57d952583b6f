"""What a follow-up must not start yet: VMs whose cause is still seen, and those of a run that may go on somewhere."""

from __future__ import annotations

import msgspec
import pytest
from guard.decision.verdict import Action
from guard.finding import Certainty, Level
from guard.lifecycle.cause_gone import AT_BACKUP, without_standing_causes
from tests.builders import make_estate, make_vm, make_vm_task
from tests.lifecycle.stories import finding
from tests.lifecycle.test_follow_up import (
    DEADLINE,
    SKIPPED,
    decided,
    following,
    held,
    judged,
    ran,
    run_of,
)

MARKED = {"blockedOperations": {"migrate_send": AT_BACKUP, "pool_migrate": AT_BACKUP}}


def verdict(*findings, start=("vm",)):
    return msgspec.structs.replace(judged(start=start).verdict, findings=findings)


def locked(level=Level.WARN, holds=("vm",), **changes):
    return finding("REPOSITORY_LOCKED", level=level, holds=holds, **changes)


def run(*vms):
    return run_of(*SKIPPED, following(*vms))


LOCKED = run(held(codes=("REPOSITORY_LOCKED",)))
NOTHING = make_estate()


def test_a_run_that_is_not_followed_up_keeps_its_verdict():
    told = verdict(locked())
    assert without_standing_causes(told, run_of(*SKIPPED), NOTHING) is told


@pytest.mark.parametrize(
    "seen",
    [
        locked(Level.OK),
        locked(holds=("other",)),
        finding("CHAIN_UNHEALTHY", level=Level.WARN),  # not what failed it
    ],
)
def test_what_is_not_its_own_cause_holds_nothing_back(seen):
    told = verdict(seen)
    assert without_standing_causes(told, LOCKED, NOTHING) is told


@pytest.mark.parametrize("certainty", list(Certainty))
@pytest.mark.parametrize("level", [Level.WARN, Level.UNKNOWN, Level.BLOCK])
def test_a_cause_that_is_still_seen_holds_its_vm_back_even_as_a_warning(level, certainty):
    found = without_standing_causes(verdict(locked(level, certainty=certainty)), LOCKED, NOTHING)
    assert (found.action, found.start_vms) == (Action.DEFER, ())
    assert found.held == (held(codes=("REPOSITORY_LOCKED",)),)
    assert found.held[0].deadline == DEADLINE
    assert found.sentence == "What failed vm is still seen: REPOSITORY_LOCKED."


def test_the_others_start():
    both = run(held("a", codes=("REPOSITORY_LOCKED",)), held("b", codes=("REPOSITORY_LOCKED",)))
    told = verdict(locked(holds=("a",)), locked(holds=("a", "elsewhere")), start=("a", "b"))
    found = without_standing_causes(told, both, NOTHING)
    assert (found.action, found.start_vms, [one.vm for one in found.held]) == (Action.START_SOME, ("b",), ["a"])
    assert found.held[0].codes == ("REPOSITORY_LOCKED",)


def test_that_transfers_failed_before_is_a_tendency_and_holds_nothing_back():
    told = verdict(finding("EXPORT_TIMEOUT", level=Level.WARN, certainty=Certainty.TREND))
    assert without_standing_causes(told, run(held(codes=("EXPORT_TIMEOUT",))), NOTHING) is told


# --- interrupted runs


def interrupted(*vms):
    under_way = make_vm_task("good", status="pending")
    events = ran(under_way, status="interrupted", infos=[{"message": "vms", "data": {"vms": ["good", "vm"]}}])
    return run_of(decided(), *events, following(*(vms or (held(codes=("RUN_INTERRUPTED",)),))))


def test_as_long_as_xos_mark_is_on_any_vm_of_an_interrupted_run_nothing_of_it_is_started():
    estate = make_estate(vms=[make_vm("good", **MARKED), make_vm()])
    found = without_standing_causes(verdict(), interrupted(), estate)
    assert (found.action, [one.codes for one in found.held]) == (Action.DEFER, [("RUN_INTERRUPTED",)])
    (why,) = found.findings
    assert (why.level, why.holds, why.facts[0].value) == (Level.BLOCK, ("vm",), AT_BACKUP)
    assert "still on 1 VM of the interrupted run (good)" in why.summary


@pytest.mark.parametrize(
    "vms",
    [
        [make_vm("good"), make_vm()],
        [make_vm("good", blockedOperations={"migrate_send": "a person's reason"}), make_vm()],
        [make_vm()],
        [make_vm("good"), make_vm(), make_vm("another", **MARKED)],
    ],
)
def test_without_that_mark_it_may(vms):
    told = verdict()
    assert without_standing_causes(told, interrupted(), make_estate(vms=vms)) is told


def test_the_mark_says_nothing_of_a_run_that_ended_by_itself():
    told = verdict()
    assert without_standing_causes(told, LOCKED, make_estate(vms=[make_vm("good", **MARKED), make_vm()])) is told
