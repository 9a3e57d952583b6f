"""Operations that somebody blocked on a VM (failure-modes.md 4.3; XAPI's OPERATION_BLOCKED)."""

from __future__ import annotations

import pytest
from guard.checks.blocked_operations import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level
from tests.builders import facts, found, make_estate, make_job, make_view, make_vm, read

KEPT = {"exportRetention": 7}


def said(blocked, settings=None, mode="delta", **vm):
    jobs = [make_job(mode=mode, settings={"schedule": KEPT | (settings or {})})]
    vms = [make_vm(blockedOperations=dict.fromkeys(blocked, "ask first"), **vm)]
    return found(CHECK, make_view(make_estate(jobs=jobs, vms=vms)))


def test_a_blocked_snapshot_is_certain_and_names_the_reason_and_the_command():
    (finding,) = said(["snapshot"])
    assert (finding.code, finding.level, finding.certainty) == ("SNAPSHOT_BLOCKED", Level.BLOCK, Certainty.CERTAIN)
    assert (finding.holds, finding.clears) == (("vm",), Clears(ClearedBy.PERSON))
    assert finding.summary == "vm: the operation snapshot is blocked on it (ask first)."
    assert facts(finding) == {"blocked": read("snapshot", "", "vms"), "reason": read("ask first", "", "vms")}
    assert finding.remedy.endswith("xe vm-param-remove uuid=vm param-name=blocked-operations param-key=snapshot")


@pytest.mark.parametrize(
    ("blocked", "settings", "vm", "told"),
    [
        (["destroy", "start", "migrate_send", "clean_shutdown", "checkpoint"], {}, {}, []),
        (["checkpoint"], {"checkpointSnapshot": True}, {}, ["checkpoint"]),
        (["snapshot"], {"checkpointSnapshot": True}, {}, []),
        (["checkpoint"], {}, {"tags": ["xo-memory-backup"]}, ["checkpoint"]),
        (["snapshot"], {"checkpointSnapshot": True}, {"power_state": "Halted", "container": "pool"}, ["snapshot"]),
        (["clean_shutdown"], {"offlineSnapshot": True}, {}, ["clean_shutdown"]),
        (["clean_shutdown"], {}, {"tags": ["xo-offline-backup"]}, ["clean_shutdown"]),
        (["clean_shutdown"], {"offlineSnapshot": True}, {"power_state": "Halted", "container": "pool"}, []),
    ],
)
def test_only_what_the_backup_asks_for_matters(blocked, settings, vm, told):
    assert [facts(one)["blocked"][0] for one in said(blocked, settings, **vm)] == told


def test_a_full_backup_of_a_halted_vm_takes_no_snapshot():
    assert said(["snapshot"], mode="full", power_state="Halted", container="pool") == []
