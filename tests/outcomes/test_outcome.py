"""What came of a run: VMs by their task, targets by their transfers, times and bytes as XO stamps them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from guard.estate.xo_records import BackupLog
from guard.finding import Scope, ScopeKind
from guard.outcomes.codes import ALL_CODES
from guard.outcomes.outcome import Times, outcome
from guard.views.causes import causes_text
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import make_log, make_transfer, make_vm_task
from tests.outcomes.tables import REPO, SR, export, failed_vm, node, said, task

KEYS = (
    "id",
    "type",
    "message",
    "code",
    "name",
    "errors",
    "isRetry",
    "data",
    "error",
    "size",
    "vms",
    "call",
    "params",
    "cause",
    "pool",
)
LOGS = Path(__file__).parents[1] / "recordings" / "logs"


def recorded(name, number=0):
    document = json.loads((LOGS / f"{name}.json").read_text())
    rows = document if isinstance(document, list) else document["restBackupLogs"]
    return outcome(msgspec.convert(rows[number], BackupLog))


def test_a_recorded_success_has_its_times_bytes_and_targets():
    run = recorded("success_full_then_deltas")
    assert (run.run, run.job.name, run.status) == ("1795383258047", "S01 delta web nightly", "success")
    assert run.schedule == "47aff30b-2d2b-4378-bacf-5816d351de3e"
    assert run.times == Times(1795383258047, 1795383259773)
    assert run.times.duration_s == 1.726
    assert run.sent_bytes == 2 * 14706176
    assert [(vm.vm.name, vm.status, vm.attempts, vm.sent_bytes) for vm in run.vms] == [
        ("web-01", "success", 1, 14706176),
        ("web-02", "success", 1, 14706176),
    ]
    (target,) = run.vms[0].targets
    assert (target.target.kind, target.status, target.written, target.full) == (
        ScopeKind.REPOSITORY,
        "success",
        True,
        True,
    )
    assert target.times.duration_s is not None
    assert (run.unattempted, run.causes) == ((), ())
    assert recorded("success_full_then_deltas", 1).vms[0].targets[0].full is False


def test_an_export_that_xo_calls_a_success_failed_with_its_vm():
    (vm,) = recorded("export_timeout").vms
    assert vm.status == "failure"
    (target,) = vm.targets
    assert (target.status, target.written, target.sent_bytes, target.causes) == ("failure", False, 0, ())
    assert [one.code for one in vm.causes] == ["EXPORT_TIMEOUT"]


def test_a_retry_that_worked_is_a_success_in_two_attempts():
    (vm,) = recorded("retry_then_success").vms
    assert (vm.status, vm.attempts, vm.causes) == ("success", 2, ())


def test_a_failed_health_check_leaves_a_written_backup():
    (vm,) = recorded("health_check_no_tools").vms
    (target,) = vm.targets
    assert (vm.status, target.status, target.written, target.sent_bytes) == ("failure", "failure", True, 65050112)
    assert [one.code for one in target.causes] == ["HEALTH_CHECK_FAILED"]


def test_of_several_vms_each_has_its_own_status_and_causes():
    run = recorded("mixed_success_skipped")
    assert [(vm.vm.name, vm.status, [one.code for one in vm.causes]) for vm in run.vms] == [
        ("chain-bad", "skipped", ["CHAIN_UNHEALTHY"]),
        ("web-01", "success", []),
    ]
    assert [one.code for one in run.causes] == ["CHAIN_UNHEALTHY"]


def test_a_replica_is_a_target_too():
    (target,) = recorded("continuous_replication").vms[0].targets
    assert (target.target.kind, target.target.name, target.sent_bytes) == (ScopeKind.SR, "DR storage (ext)", 37748736)


def test_a_run_that_goes_on_has_no_end_and_no_duration():
    run = recorded("already_running.during")
    assert (run.status, run.times.end_ms, run.times.duration_s) == ("pending", None, None)
    (vm,) = run.vms
    assert (vm.status, vm.times.duration_s, vm.targets[0].status, vm.targets[0].written) == (
        "pending",
        None,
        "pending",
        False,
    )


def test_a_run_without_vms_has_none():
    assert recorded("metadata_backup").vms == ()
    assert recorded("no_vms_match").vms == ()


def test_the_vms_a_run_named_and_never_got_to_are_told():
    down = task("get remote adapter", data=REPO, result=said("x"))
    named = [{"message": "other"}, {"message": "vms", "data": {"vms": ["a", "b", 3]}}]
    assert outcome(make_log(down, status="failure", infos=named)).unattempted == ("a", "b")
    assert outcome(make_log(make_vm_task("a"), infos=named)).unattempted == ("b",)
    for odd in ([{"message": "vms", "data": {"vms": 3}}], [{"message": "vms"}], ["odd"], []):
        assert outcome(make_log(make_vm_task("a"), infos=odd)).unattempted == ()


def test_what_was_pending_when_xo_stopped_is_interrupted():
    sent = export(task("transfer", status="pending"), status="pending")
    run = outcome(make_log(make_vm_task(status="pending", tasks=[sent]), status="interrupted", end=msgspec.UNSET))
    assert (run.vms[0].status, run.vms[0].targets[0].status) == ("interrupted", "interrupted")


def test_a_vm_that_lost_one_of_two_targets_is_a_success_with_a_failed_copy():
    lost = export(task("transfer", result=node("ENOSPC")), result=node("ENOSPC"))
    kept = make_transfer(7, "sr", kind="SR")
    (vm,) = outcome(make_log(make_vm_task("vm", lost, kept))).vms
    assert [(one.target.id, one.status, one.written, [why.code for why in one.causes]) for one in vm.targets] == [
        ("repo", "failure", False, ["REPOSITORY_NO_SPACE"]),
        ("sr", "success", True, []),
    ]
    assert (vm.status, vm.sent_bytes) == ("success", 7)


def test_a_copy_that_arrived_stays_a_success_when_its_vm_fails_afterwards():
    (vm,) = outcome(make_log(failed_vm(node("VDI_IN_USE"), make_transfer(7)), status="failure")).vms
    assert [(vm.status, one.status, one.written) for one in vm.targets] == [("failure", "success", True)]


@pytest.mark.parametrize("worked", [0, 1])
def test_of_the_attempts_at_a_target_the_one_that_worked_counts(worked):
    tries = [export(task("transfer", result=said("x")), result=said("x")), make_transfer(9)]
    (vm,) = outcome(make_log(make_vm_task("vm", *(tries if worked else tries[::-1])))).vms
    (target,) = vm.targets
    assert (target.status, target.sent_bytes, vm.sent_bytes) == ("success", 9, 9)


def test_of_failed_attempts_at_a_target_the_last_one_counts():
    tries = [export(result=said("x"), start=1), export(result=said("y"), start=5)]
    (vm,) = outcome(make_log(failed_vm(said("y"), *tries), status="failure")).vms
    assert [one.times.start_ms for one in vm.targets] == [5]


@pytest.mark.parametrize("result", [{"size": True}, {"size": "9"}, {}, "odd", None])
def test_a_transfer_without_a_size_counts_as_no_bytes(result):
    sent = export(task("transfer", status="success", result=result), status="success", data=SR)
    (target,) = outcome(make_log(make_vm_task("vm", sent))).vms[0].targets
    assert (target.written, target.sent_bytes, target.full) == (True, 0, None)


def test_sub_tasks_that_are_no_export_of_a_known_target_are_no_targets():
    odd = [export(status="success", data={"type": "moon"}), task("clean-vm", status="success", data=REPO)]
    assert outcome(make_log(make_vm_task("vm", *odd))).vms[0].targets == ()


def test_a_job_level_failure_is_no_vms_cause():
    run = outcome(make_log(make_vm_task("a"), status="failure", result=said("worker exited with code 1"), jobName="n"))
    assert [one.code for one in run.causes] == ["WORKER_DIED"]
    assert run.causes[0].scope == Scope(ScopeKind.JOB, "job", "n")
    assert run.vms[0].causes == ()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "remote", "VM", "SR", "pool", "a", "ELOCKED"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
STATUS = st.sampled_from(["pending", "success", "failure", "skipped", "interrupted"])
NAME = st.sampled_from(["backup VM", "export", "transfer", "snapshot", "clean-vm", "health check", "x"])
TASKS = st.deferred(
    lambda: st.lists(
        st.fixed_dictionaries(
            {"message": NAME, "status": STATUS},
            optional={"data": JSON, "result": JSON, "warnings": st.lists(JSON, max_size=3), "tasks": TASKS},
        ),
        max_size=3,
    )
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(tasks=TASKS, status=STATUS, result=JSON, infos=st.lists(JSON, max_size=2), data=JSON)
def test_no_log_of_the_right_shape_can_crash_the_reading(tasks, status, result, infos, data):
    log = msgspec.convert(
        {"id": "1", "status": status, "result": result, "tasks": tasks, "infos": infos, "data": data}, BackupLog
    )
    run = outcome(log)
    assert all(one.code in ALL_CODES and one.run == "1" for one in run.causes)
    assert bool(run.causes) or status not in ("failure", "skipped", "interrupted")
    assert causes_text([run], ALL_CODES).startswith("Run 1")


def test_ten_thousand_failed_vms_of_one_name_share_their_causes():
    tasks = [make_vm_task("vm", status="failure", result={"message": f"odd {one}"}) for one in range(10_000)]
    found = outcome(make_log(*tasks, status="failure"))
    assert len(found.vms) == 10_000
    assert all(one.causes is found.vms[0].causes for one in found.vms)
