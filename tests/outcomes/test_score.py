"""Predictions held against what XO's log says: hits, misses, false alarms and wrong causes, per VM and for whole runs."""

from __future__ import annotations

import pytest
from guard.finding import Level, Scope, ScopeKind
from guard.outcomes.outcome import outcome
from guard.outcomes.score import WHOLE_RUN, RunScore, Tally, score_run, tally
from tests.builders import make_log, make_transfer, make_vm_task
from tests.lifecycle.stories import finding
from tests.outcomes.tables import failed_vm, said, xapi

CHAIN, BUSY = said("unhealthy VDI chain"), xapi("OTHER_OPERATION_IN_PROGRESS")
GONE, RUNNING = said("no XAPI associated to vm"), said("the job (job) is already running")


def good(*vms):
    return outcome(make_log(*(make_vm_task(vm, make_transfer(5)) for vm in vms or ("vm",))))


def bad(error=CHAIN, vm="vm", *others):
    return outcome(make_log(failed_vm(error, id_=vm), *(make_vm_task(one) for one in others), status="failure"))


def failed_as_a_whole(error=RUNNING):
    return outcome(make_log(status="failure", result=error))


def lost(vm="vm"):
    """XO could not log in to the VM's pool: its task has no first step."""
    return outcome(make_log(failed_vm(GONE, id_=vm) | {"tasks": []}, status="failure"))


def block(code="CHAIN_UNHEALTHY", *vms):
    return finding(code, holds=vms)


NOTHING = RunScore()
HIT, MISS = RunScore(hits=(("vm", "CHAIN_UNHEALTHY"),)), RunScore(misses=(("vm", "CHAIN_UNHEALTHY"),))

CASES = [
    ("nothing said, nothing wrong", [], [good()], NOTHING),
    ("no run", [block("CHAIN_UNHEALTHY", "vm")], [], NOTHING),
    ("foreseen", [block("CHAIN_UNHEALTHY", "vm")], [bad()], HIT),
    ("foreseen twice over", [block("CHAIN_UNHEALTHY", "vm"), block("CHAIN_UNHEALTHY", "vm")], [bad()], HIT),
    ("unforeseen", [], [bad()], MISS),
    ("backed up all the same", [block("CHAIN_UNHEALTHY", "vm")], [good()],
     RunScore(false_alarms=(("vm", "CHAIN_UNHEALTHY"),))),
    ("failed of something else", [block("CHAIN_UNHEALTHY", "vm")], [bad(BUSY)],
     RunScore(misses=(("vm", "VM_BUSY"),), wrong_causes=(("vm", "CHAIN_UNHEALTHY"),))),
    ("one of two foreseen", [block("CHAIN_UNHEALTHY", "vm")], [bad(CHAIN, "vm", "other")], HIT),
    ("the wrong one foreseen", [block("CHAIN_UNHEALTHY", "other")], [bad(CHAIN, "vm", "other")],
     RunScore(misses=(("vm", "CHAIN_UNHEALTHY"),), false_alarms=(("other", "CHAIN_UNHEALTHY"),))),
    ("both named, one failed", [block("CHAIN_UNHEALTHY", "vm", "other")], [bad(CHAIN, "vm", "other")],
     RunScore(hits=(("vm", "CHAIN_UNHEALTHY"),), false_alarms=(("other", "CHAIN_UNHEALTHY"),))),
    ("a person's word foretells nothing", [block("ON_HOLD", "vm")], [good()], NOTHING),
    ("nor does a window", [block("OUTSIDE_WINDOW")], [good()], NOTHING),
    ("nor a limit", [block("NO_SLOT", "vm")], [good()], NOTHING),
    ("a VM that a word holds is not checked", [block("ON_HOLD", "vm")], [bad()], NOTHING),
    ("the others are", [block("ON_HOLD", "other")], [bad(CHAIN, "vm", "other")], MISS),
    ("a window holds no check", [block("OUTSIDE_WINDOW")], [bad()], MISS),
    ("a VM the run never got to", [block("CHAIN_UNHEALTHY", "elsewhere")], [bad()], MISS),
    ("the whole run, as foreseen", [block("JOB_RUNNING")], [failed_as_a_whole()],
     RunScore(hits=((WHOLE_RUN, "JOB_RUNNING"),))),
    ("the whole run, unforeseen", [], [failed_as_a_whole()], RunScore(misses=((WHOLE_RUN, "JOB_RUNNING"),))),
    ("the whole run, and it went well", [block("JOB_RUNNING")], [good()],
     RunScore(false_alarms=((WHOLE_RUN, "JOB_RUNNING"),))),
    ("the whole run, of something else", [block("NO_VM_MATCHES")], [failed_as_a_whole()],
     RunScore(misses=((WHOLE_RUN, "JOB_RUNNING"),), wrong_causes=((WHOLE_RUN, "NO_VM_MATCHES"),))),
    ("the whole run, of one of two foreseen", [block("JOB_RUNNING"), block("NO_VM_MATCHES")], [failed_as_a_whole()],
     RunScore(hits=((WHOLE_RUN, "JOB_RUNNING"),))),
    ("foreseen for the run, shown at its VMs", [block("CHAIN_UNHEALTHY")], [bad()],
     RunScore(hits=((WHOLE_RUN, "CHAIN_UNHEALTHY"),))),
    ("foreseen for the run, another failure at a VM", [block("JOB_RUNNING")], [bad()],
     RunScore(misses=(("vm", "CHAIN_UNHEALTHY"),), wrong_causes=((WHOLE_RUN, "JOB_RUNNING"),))),
    ("a VM was named, the whole run failed of it", [block("JOB_RUNNING", "vm")], [failed_as_a_whole()],
     RunScore(hits=(("vm", "JOB_RUNNING"),))),
    ("a VM was named, the whole run failed of something else", [block("CHAIN_UNHEALTHY", "vm")], [failed_as_a_whole()],
     RunScore(misses=((WHOLE_RUN, "JOB_RUNNING"),))),
    ("a lost pool shows as no VM at all", [block("POOL_DISCONNECTED")],
     [failed_as_a_whole(said("no VMs match this pattern"))], RunScore(hits=((WHOLE_RUN, "POOL_DISCONNECTED"),))),
    ("a lost pool shows as an unknown VM", [block("POOL_DISCONNECTED", "vm")], [lost()],
     RunScore(hits=(("vm", "POOL_DISCONNECTED"),))),
    ("a lost pool, foreseen for the run", [block("POOL_DISCONNECTED")], [lost()],
     RunScore(hits=((WHOLE_RUN, "POOL_DISCONNECTED"),))),
    ("an overlap shows as a running job", [block("RUN_OVERLAP")], [failed_as_a_whole()],
     RunScore(hits=((WHOLE_RUN, "RUN_OVERLAP"),))),
    ("a stuck run shows as a running job", [block("JOB_STUCK")], [failed_as_a_whole()],
     RunScore(hits=((WHOLE_RUN, "JOB_STUCK"),))),
    ("an unknown VM is no lost pool", [block("VM_UNKNOWN", "vm")], [bad()],
     RunScore(misses=(("vm", "CHAIN_UNHEALTHY"),), wrong_causes=(("vm", "VM_UNKNOWN"),))),
    ("a second run backed it up", [], [bad(), good()], NOTHING),
    ("a second run backed it up, foreseen", [block("CHAIN_UNHEALTHY", "vm")], [bad(), good()],
     RunScore(false_alarms=(("vm", "CHAIN_UNHEALTHY"),))),
    ("a second run, refused as running", [], [good(), failed_as_a_whole()],
     RunScore(misses=((WHOLE_RUN, "JOB_RUNNING"),))),
    ("a second run failed, the whole was blocked", [block("NO_VM_MATCHES")], [good(), failed_as_a_whole()],
     RunScore(misses=((WHOLE_RUN, "JOB_RUNNING"),), wrong_causes=((WHOLE_RUN, "NO_VM_MATCHES"),))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("findings", "outcomes", "expected"), [row[1:] for row in CASES], ids=[row[0] for row in CASES]
)
def test_a_prediction_against_its_outcome(findings, outcomes, expected):
    assert score_run(findings, outcomes) == expected


def no_room(*vms, kind=ScopeKind.SR):
    return finding("SR_NO_SPACE", holds=vms, scope=Scope(kind, "sr", "NFS"))


FULL = xapi("SR_BACKEND_FAILURE_44", "", "There is insufficient space", "")
A, B = ("a", "SR_NO_SPACE"), ("b", "SR_NO_SPACE")


@pytest.mark.parametrize(
    ("predicted", "outcome_", "expected"),
    [
        (no_room("a"), bad(FULL, "a", "b"), RunScore(hits=(A,))),
        (no_room("a"), bad(FULL, "b", "a"), RunScore(hits=(A,))),
        (no_room("a", "b"), bad(FULL, "b", "a"), RunScore(hits=(B,), false_alarms=(A,))),
        (no_room("a"), good("a", "b"), RunScore(false_alarms=(A,))),
        (no_room("a"), bad(CHAIN, "b", "a"), RunScore(misses=(("b", "CHAIN_UNHEALTHY"),), false_alarms=(A,))),
        (no_room("a", kind=ScopeKind.VM), bad(FULL, "b", "a"), RunScore(misses=(B,), false_alarms=(A,))),
    ],
    ids=[
        "the VM named failed",
        "another VM failed of it",
        "two were named, one failed",
        "there was room",
        "another VM failed of something else",
        "nothing is shared",
    ],
)
def test_what_is_shared_is_foreseen_whichever_vm_came_too_late(predicted, outcome_, expected):
    assert score_run([predicted], [outcome_]) == expected


def test_one_failure_bears_out_one_prediction_only():
    two = [no_room("a"), no_room("b"), no_room("c")]
    found = score_run(two, [bad(FULL, "d", "a", "b", "c")])
    assert (len(found.hits), len(found.false_alarms), found.misses) == (1, 2, ())


@pytest.mark.parametrize("level", [Level.WARN, Level.OK, Level.UNKNOWN])
def test_only_what_blocks_is_scored(level):
    said_of_it = finding(level=level)
    assert score_run([said_of_it], [good()]) == NOTHING
    assert score_run([said_of_it], [bad()]) == MISS


def test_a_false_block_is_something_held_for_nothing():
    assert score_run([block("CHAIN_UNHEALTHY", "vm")], [good()]).false_block
    assert not score_run([block("CHAIN_UNHEALTHY", "vm")], [bad(BUSY)]).false_block


def test_findings_and_outcomes_may_come_as_a_stream():
    assert score_run(iter([block("CHAIN_UNHEALTHY", "vm")]), iter([bad()])) == HIT


def test_a_score_is_in_order_so_that_it_is_told_the_same_each_time():
    vms = tuple("dbca")
    run = outcome(make_log(*(failed_vm(CHAIN, id_=vm) for vm in vms), status="failure"))
    assert [vm for vm, _ in score_run([block("CHAIN_UNHEALTHY", *vms)], [run]).hits] == ["a", "b", "c", "d"]
    assert [vm for vm, _ in score_run([], [run]).misses] == ["a", "b", "c", "d"]


def test_counts_are_summed_by_code():
    first = RunScore(hits=(("a", "X"), ("b", "X")), misses=(("a", "Y"),))
    second = RunScore(hits=(("a", "X"),), false_alarms=(("a", "Y"),), wrong_causes=(("a", "Z"),))
    assert tally([first, second]) == {
        "X": Tally(hits=3),
        "Y": Tally(misses=1, false_alarms=1),
        "Z": Tally(wrong_causes=1),
    }
    assert list(tally([second, first])) == ["X", "Y", "Z"]
    assert tally([]) == {}
