"""VMs that migrate, and the job's own replicas (failure-modes.md 4.3; _AbstractXapi.mjs)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.vm_state import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level
from tests.builders import DUE, facts, found, make_estate, make_view, make_vm, read


def said(now=DUE, **vm):
    return found(CHECK, make_view(make_estate(vms=[make_vm(**vm)]), now=now))


def test_a_vm_at_rest_has_nothing_to_say():
    assert said() == []
    assert said(current_operations={"task": "snapshot"}) == []


@pytest.mark.parametrize("operation", ["migrate_send", "pool_migrate"])
def test_a_vm_that_migrates_waits_until_it_has_arrived(operation):
    (finding,) = said(current_operations={"task": operation})
    assert (finding.code, finding.level, finding.certainty) == ("VM_MIGRATING", Level.BLOCK, Certainty.CERTAIN)
    assert (finding.holds, finding.clears) == (("vm",), Clears(ClearedBy.TIME))
    assert facts(finding) == {"current_operation": read(operation, "", "vms")}


@pytest.mark.parametrize(("minutes", "told"), [(30, 1), (31, 0)])
def test_a_migration_now_says_nothing_of_a_run_that_is_due_much_later(minutes, told):
    assert len(said(DUE - timedelta(minutes=minutes), current_operations={"task": "pool_migrate"})) == told


def test_a_listed_replica_of_the_job_itself_is_never_backed_up():
    (finding,) = said(blockedOperations={"start": "a replica"}, other={"xo:backup:job": "job"})
    assert (finding.code, finding.level, finding.certainty) == ("OWN_REPLICA", Level.BLOCK, Certainty.CERTAIN)
    assert (finding.holds, finding.clears) == (("vm",), Clears(ClearedBy.PERSON))


@pytest.mark.parametrize(
    "vm",
    [
        {"blockedOperations": {"start": "a replica"}, "other": {"xo:backup:job": "another"}},
        {"other": {"xo:backup:job": "job"}},
        {"blockedOperations": {"start": "by hand"}},
    ],
)
def test_replicas_of_other_jobs_and_blocked_vms_are_taken(vm):
    assert said(**vm) == []
