"""The classifier: every recorded log, every text of failure-modes.md, places, retries, lost targets, and the order."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from guard.estate.xo_records import BackupLog
from guard.finding import Scope, ScopeKind
from guard.outcomes import failures as failures_module
from guard.outcomes.causes import RULES, causes, classify
from guard.outcomes.codes import ALL_CODES, UNCLASSIFIED
from guard.outcomes.failures import Failure, LogError, Place, failures
from tests.builders import make_log, make_vm_task
from tests.outcomes.tables import (
    REPO,
    ROWS,
    SR,
    at_job,
    at_login,
    at_restore,
    at_snapshot,
    at_transfer,
    at_vm,
    export,
    failed_vm,
    node,
    said,
    task,
    xapi,
)

LOGS = Path(__file__).parents[1] / "recordings" / "logs"
RECORDED = {
    "already_running.during": ["JOB_RUNNING"],
    "already_running": ["JOB_RUNNING"],
    "broken_chain_on_remote": [],
    "concurrency_and_offline_backup": [],
    "continuous_replication": [],
    "cron_triggered": [],
    "delta_fallback_to_full": [],
    "export_cut": ["EXPORT_INCOMPLETE"],
    "export_timeout": ["EXPORT_TIMEOUT"],
    "export_timeout_with_workaround": [],
    "health_check_no_tools": ["HEALTH_CHECK_FAILED"],
    "health_check_ok": [],
    "job_timeout": [],
    "metadata_backup": [],
    "mixed_success_skipped": ["CHAIN_UNHEALTHY"],
    "no_vms_match": ["NO_VM_MATCHES"],
    "no_xapi_associated_deleted_vm": ["VM_UNKNOWN"],
    "remote_disabled": ["REPOSITORY_DISABLED"],
    "remote_full_enospc": ["REPOSITORY_NO_SPACE"],
    "remote_unknown": ["REPOSITORY_DISABLED"],
    "rest_schedule_run": [],
    "restore_ko_sr_full": ["SR_NO_SPACE"],
    "restore_ok": [],
    "retry_then_success": [],
    "rolling_snapshot_only": [],
    "smart_mode_pool_id_pattern_missing_pool": ["NO_VM_MATCHES", "POOL_DISCONNECTED"],
    "smart_mode_tags": [],
    "sr_backend_failure_44_injected": ["SR_NO_SPACE"],
    "sr_backend_failure_44_natural": ["SR_NO_SPACE"],
    "success_full_mode_xva": [],
    "success_full_then_deltas": [],
    "success_with_diskless_and_halted": [],
    "unhealthy_vdi_chain": ["CHAIN_UNHEALTHY"],
    "vm_timeout": [],
    "xapi_offline_at_start": ["POOL_DISCONNECTED"],
}
NO_LOGS = {"rest_schedule_run.task", "rest_schedule_run_failures.task"}  # tasks of XO; the command line refuses them
VM = Scope(ScopeKind.VM, "vm", "")
TO_REPO = Scope(ScopeKind.REPOSITORY, "repo", "")
JOB = Scope(ScopeKind.JOB, "job", "")


def recorded(name):
    document = json.loads((LOGS / f"{name}.json").read_text())
    rows = document if isinstance(document, list) else document["restBackupLogs"]
    return [msgspec.convert(row, BackupLog) for row in rows]


def why(log):
    return [one.code for one in causes(log)]


def retry_of(text):
    return {"message": "Retry the VM backup due to an error", "data": {"attempt": 1, "error": text, "isRetry": True}}


def lost_writer(text, writer="IncrementalRemoteWriter"):
    step = f"the writer {writer} has failed the step writer.beforeBackup() with error {text}"
    return {"message": f"{step}. It won't be used anymore in this job execution."}


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_log_has_the_right_causes_in_order(name):
    assert [code for log in recorded(name) for code in why(log)] == RECORDED[name]


def test_no_recorded_file_is_left_out():
    assert {path.stem for path in LOGS.glob("*.json")} == RECORDED.keys() | NO_LOGS


@pytest.mark.parametrize(("source", "place", "error", "code"), ROWS)
def test_every_text_and_code_of_the_failure_modes_is_classified(source, place, error, code):
    assert why(place(error)) == [code], source


def test_every_rule_of_the_table_decides_at_least_one_row():
    deciding = set()
    for _, place, error, _ in ROWS:
        for failure in failures(place(error)):
            deciding.add(next(number for number, rule in enumerate(RULES) if rule.fits(failure)))
    assert [rule for number, rule in enumerate(RULES) if number not in deciding] == []


# -- order ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "first", "later"),
    [
        (LogError(code="SR_BACKEND_FAILURE_44"), "SR_NO_SPACE", "SR_FAILURE"),
        (LogError(code="SR_BACKEND_FAILURE_109"), "CHAIN_TOO_LONG", "SR_FAILURE"),
        (LogError(code="SR_BACKEND_FAILURE_38"), "SNAPSHOT_UNSUPPORTED", "SR_FAILURE"),
        (LogError(code="SR_BACKEND_FAILURE_46"), "DISK_UNREADABLE", "SR_FAILURE"),
        (LogError(code="ELOCKED", message="no space left on device"), "REPOSITORY_LOCKED", "REPOSITORY_NO_SPACE"),
        (LogError(code="EPERM", message="unhealthy VDI chain"), "REPOSITORY_IMMUTABLE", "CHAIN_UNHEALTHY"),
        (
            LogError(code="OTHER_OPERATION_IN_PROGRESS", message="X(VM, ref, migrate_send)"),
            "VM_MIGRATING",
            "VM_BUSY",
        ),
    ],
)
def test_the_first_rule_that_fits_wins_over_later_ones_that_fit_too(failure, first, later):
    fitting = [rule.code.id for rule in RULES if rule.fits(Failure(error=failure, place=Place.SNAPSHOT, scope=VM))]
    assert fitting[0] == first
    assert later in fitting[1:]


@pytest.mark.parametrize(
    ("place", "code"),
    [
        (Place.ADAPTER, "REPOSITORY_UNREACHABLE"),
        (Place.REPOSITORY, "REPOSITORY_UNREACHABLE"),
        (Place.SR, "POOL_DISCONNECTED"),
        (Place.POOL, "POOL_DISCONNECTED"),
        (Place.TRANSFER, "EXPORT_INCOMPLETE"),
        (Place.SNAPSHOT, "NETWORK_LOST"),
        (Place.VM, "NETWORK_LOST"),
    ],
)
def test_one_broken_connection_means_another_thing_at_every_place(place, code):
    error = LogError(code="UND_ERR_SOCKET", message="other side closed")
    assert classify(Failure(error=error, place=place, scope=VM)).id == code


def test_a_session_that_breaks_is_a_lost_pool_even_in_the_middle_of_a_vm():
    error = node("UND_ERR_SOCKET", "other side closed", call={"method": "session.login_with_password"})
    assert why(at_snapshot(error)) == ["POOL_DISCONNECTED"]
    assert why(at_snapshot(node("UND_ERR_SOCKET", "other side closed", call={"method": "VM.snapshot"}))) == [
        "NETWORK_LOST"
    ]


def test_a_proxy_is_only_blamed_where_the_job_has_one():
    assert why(at_job(said("fetch failed"))) == ["NETWORK_LOST"]
    assert why(at_job(node("ECONNREFUSED"))) == ["NETWORK_LOST"]
    assert why(at_job(node("ECONNREFUSED"), proxyId="p")) == ["PROXY_UNREACHABLE"]
    assert why(make_log(failed_vm(node("ECONNREFUSED")), status="failure", proxyId="p")) == ["NETWORK_LOST"]


# -- what stays unclassified ------------------------------------------------------------------------------------------

LONG = "a text that no rule knows\n\twith lines, \x1b[31mcolour and " + "much more of it " * 400


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (said(LONG), LONG),
        (said("flux capacitor", code="EFLUX"), "flux capacitor (EFLUX)"),
        (said("EFLUX: flux capacitor", code="EFLUX"), "EFLUX: flux capacitor"),
        (said("odd", code=12), "odd"),
        (said("odd", code=12, name="XoError"), "odd"),
        ({"code": "EFLUX"}, "EFLUX"),
        ({"what": [1, None]}, '{"what":[1,null]}'),
        ("only words", "only words"),
        (42, "42"),
        (["a"], '["a"]'),
        (xapi("LICENSE_RESTRICTION", "Corosync"), "LICENSE_RESTRICTION(Corosync)"),
        (xapi("NOT_IMPLEMENTED", "VM.fly"), "NOT_IMPLEMENTED(VM.fly)"),
        (node("ERR_ASSERTION", "The expression is false"), "The expression is false (ERR_ASSERTION)"),
        (said("nothing says unhealthy VDI chain here"), "nothing says unhealthy VDI chain here"),
        (said("the disk is already running hot"), "the disk is already running hot"),
        (
            said("Cannot read properties of undefined (reading 'x')"),
            "Cannot read properties of undefined (reading 'x')",
        ),
        (said("no such file"), "no such file"),
    ],
)
def test_an_unknown_error_stays_unclassified_and_whole(error, text):
    for place in (at_job, at_vm, at_snapshot):
        (cause,) = causes(place(error))
        assert (cause.code, cause.text) == ("UNCLASSIFIED", text)
        assert (cause.transient, cause.waiting_helps) == (False, False)


@pytest.mark.parametrize("status", ["failure", "skipped"])
def test_a_failed_run_whose_log_kept_no_reason_has_one_cause_without_a_claim(status):
    (cause,) = causes(make_log(status=status))
    assert (cause.code, cause.scope, cause.text) == ("UNCLASSIFIED", JOB, status)
    (cause,) = causes(make_log(make_vm_task(status=status), status=status))
    assert (cause.code, cause.scope, cause.text) == ("UNCLASSIFIED", VM, status)


# -- statuses ---------------------------------------------------------------------------------------------------------


def test_an_interrupted_run_says_so_first_and_pending_tasks_of_it_are_no_causes():
    failed = failed_vm(said("unhealthy VDI chain"))
    running = make_vm_task("other", status="pending", result=said("not over"), tasks=[task("snapshot", result="x")])
    found = causes(make_log(failed, running, status="interrupted", end=msgspec.UNSET))
    assert [(one.code, one.scope, one.text) for one in found] == [
        ("RUN_INTERRUPTED", JOB, "interrupted"),
        ("CHAIN_UNHEALTHY", VM, "unhealthy VDI chain"),
    ]
    assert found[0].transient
    assert found[0].waiting_helps


def test_what_a_running_run_has_lost_so_far_is_told():
    assert why(
        make_log(failed_vm(said("unhealthy VDI chain")), make_vm_task("b", status="pending"), status="pending")
    ) == ["CHAIN_UNHEALTHY"]
    assert why(make_log(make_vm_task(status="pending"), status="pending")) == []


@pytest.mark.parametrize("text", ["unhealthy VDI chain", "no VMs match this pattern", "no disks found"])
def test_the_three_texts_of_a_skip_are_causes_too(text):
    skipped = make_log(make_vm_task(status="skipped", snapshot="skipped", result=said(text)), status="skipped")
    assert len(why(skipped)) == 1
    assert why(skipped) != ["UNCLASSIFIED"]


def test_the_result_of_a_success_is_no_error():
    assert why(make_log(status="success", result={"size": 3, "id": "x"}, message="restore")) == []
    assert why(make_log(make_vm_task(result=said("unhealthy VDI chain")))) == []


def test_warnings_of_a_success_are_no_causes():
    told = [{"message": "Backup fell back to a full"}, {"message": "can't compute delta a from b, fall back to a full"}]
    told += [{"message": "can't connect through NBD, fall back to stream export"}, "odd", {"message": 3}, {"data": 1}]
    assert why(make_log(make_vm_task(warnings=told))) == []


# -- retries ----------------------------------------------------------------------------------------------------------

FULL = xapi("SR_BACKEND_FAILURE_44", "", "There is insufficient space", "")
LOCKED = node("ELOCKED", "Lock file is already being held")


def test_a_failed_attempt_with_a_successful_sibling_is_no_cause():
    sent = export(task("transfer", status="success", result={"size": 1}), status="success")
    tries = [task("snapshot", result=FULL), task("snapshot", status="success"), export(result=LOCKED), sent]
    assert why(make_log(make_vm_task(tasks=tries))) == []


def test_a_failed_sub_task_of_another_name_or_id_stays():
    other = export(result=LOCKED, data={"type": "remote", "id": "other"})
    sent = export(status="success")
    assert why(make_log(make_vm_task(tasks=[other, sent]), status="failure")) == ["REPOSITORY_LOCKED"]


def test_of_several_failed_attempts_only_the_last_counts():
    tries = [task("snapshot", result=FULL), task("snapshot", result=said("unhealthy VDI chain"))]
    vm = make_vm_task(
        status="skipped", result=said("unhealthy VDI chain"), tasks=tries, warnings=[retry_of(FULL["message"])]
    )
    assert why(make_log(vm, status="skipped")) == ["CHAIN_UNHEALTHY"]


def test_the_last_attempt_counts_even_where_the_retry_does_not_tell_why():
    tries = [task("snapshot", result=FULL), task("snapshot", result=said("unhealthy VDI chain"))]
    vm = failed_vm(said("unhealthy VDI chain"), *tries) | {"warnings": [retry_of(None)]}
    assert why(make_log(vm, status="failure")) == ["CHAIN_UNHEALTHY"]
    assert why(make_log(vm | {"warnings": []}, status="failure")) == ["CHAIN_UNHEALTHY", "SR_NO_SPACE"]


def test_what_a_retry_superseded_is_no_cause_even_where_the_next_attempt_never_got_that_far():
    vm = failed_vm(LOCKED, task("snapshot", result=FULL)) | {"warnings": [retry_of(FULL["message"])]}
    assert why(make_log(vm, status="failure")) == ["REPOSITORY_LOCKED"]


def test_the_same_error_in_every_attempt_is_one_cause():
    tries = [task("snapshot", result=FULL), task("snapshot", result=FULL)]
    vm = failed_vm(FULL, *tries) | {"warnings": [retry_of(FULL["message"])]}
    assert why(make_log(vm, status="failure")) == ["SR_NO_SPACE"]


def test_a_retry_of_an_older_xo_without_the_mark_is_known_by_its_text():
    old = {"message": "Retry the VM backup due to an error", "data": {"attempt": 1, "error": FULL["message"]}}
    assert why(make_log(make_vm_task(tasks=[task("snapshot", result=FULL)], warnings=[old]))) == []
    bare = {"message": "Retry the VM backup due to an error"}
    assert why(make_log(make_vm_task(tasks=[task("snapshot", result=FULL)], warnings=[bare]))) == ["SR_NO_SPACE"]


def test_a_vm_without_an_error_of_its_own_keeps_what_its_sub_tasks_tell_even_after_a_retry():
    vm = make_vm_task(status="failure", tasks=[task("snapshot", result=FULL)], warnings=[retry_of(FULL["message"])])
    assert why(make_log(vm, status="failure")) == ["SR_NO_SPACE"]


# -- several targets --------------------------------------------------------------------------------------------------


def all_targets(*errors):
    return {"message": "all targets have failed, step: writer.transfer()", "name": "AggregateError"} | (
        {"errors": list(errors)} if errors else {}
    )


ENOSPC = node("ENOSPC", "ENOSPC: no space left on device, write")


def test_the_errors_of_all_lost_targets_are_unwrapped_and_found_in_their_sub_tasks():
    two = [export(result=ENOSPC), export(result=FULL, data=SR)]
    found = causes(make_log(failed_vm(all_targets(ENOSPC, FULL), *two), status="failure"))
    assert [(one.code, one.scope, one.target, one.place) for one in found] == [
        ("REPOSITORY_NO_SPACE", VM, TO_REPO, Place.TRANSFER),
        ("SR_NO_SPACE", VM, Scope(ScopeKind.SR, "sr", "DR"), Place.TRANSFER),
    ]


def test_without_inner_errors_the_sub_tasks_of_the_targets_tell():
    two = [export(result=ENOSPC), export(result=FULL, data=SR)]
    assert why(make_log(failed_vm(all_targets(), *two), status="failure")) == ["REPOSITORY_NO_SPACE", "SR_NO_SPACE"]
    (cause,) = causes(make_log(failed_vm(all_targets()), status="failure"))
    assert (cause.code, cause.text) == ("UNCLASSIFIED", "all targets have failed, step: writer.transfer()")


def test_the_same_error_of_two_targets_is_one_cause_for_each():
    two = [export(result=ENOSPC), export(result=ENOSPC, data={"type": "remote", "id": "second"})]
    found = causes(make_log(failed_vm(all_targets(ENOSPC, ENOSPC), *two), status="failure"))
    assert [(one.code, one.target.id) for one in found] == [
        ("REPOSITORY_NO_SPACE", "repo"),
        ("REPOSITORY_NO_SPACE", "second"),
    ]


def test_an_aggregate_with_a_code_of_its_own_is_classified_by_it():
    both = {"name": "AggregateError", "code": "ECONNREFUSED", "message": "", "errors": [said("::1"), said("127.0.0.1")]}
    (cause,) = causes(at_login(both))
    assert (cause.code, cause.text) == ("POOL_DISCONNECTED", "ECONNREFUSED")


def test_aggregates_in_aggregates_are_unwrapped_and_bottomless_ones_end():
    assert why(at_vm(all_targets(all_targets(LOCKED)))) == ["REPOSITORY_LOCKED"]
    deep = LOCKED
    for _ in range(failures_module.MOST_LEVELS + 5):
        deep = all_targets(deep)
    assert why(at_vm(deep)) == ["UNCLASSIFIED"]


def test_tasks_below_the_deepest_level_are_not_walked():
    def below(levels):
        deep = task("merge", result=LOCKED)
        for _ in range(levels):
            deep = task("x", deep, status="success")
        return make_log(make_vm_task(tasks=[deep]))

    assert why(below(failures_module.MOST_LEVELS - 2)) == ["REPOSITORY_LOCKED"]
    assert why(below(failures_module.MOST_LEVELS - 1)) == []


def test_a_vm_that_succeeded_with_a_lost_target_still_has_a_cause():
    sent = export(task("transfer", status="success", result={"size": 1}), status="success", data=SR)
    found = causes(make_log(make_vm_task(tasks=[sent], warnings=[lost_writer("Lock file is already being held")])))
    assert [(one.code, one.scope, one.text) for one in found] == [
        ("REPOSITORY_LOCKED", VM, "Lock file is already being held")
    ]
    assert why(make_log(make_vm_task(tasks=[sent, export(result=ENOSPC)]))) == ["REPOSITORY_NO_SPACE"]


def test_the_kind_of_a_lost_writer_is_its_place():
    text = "connect ECONNREFUSED 192.0.2.1:443"
    assert why(make_log(make_vm_task(warnings=[lost_writer(text)]))) == ["REPOSITORY_UNREACHABLE"]
    assert why(make_log(make_vm_task(warnings=[lost_writer(text, "IncrementalXapiWriter")]))) == ["POOL_DISCONNECTED"]


def test_the_warning_of_a_single_target_and_the_vms_own_error_are_one_cause():
    vm = failed_vm(LOCKED) | {"warnings": [lost_writer(LOCKED["message"])]}
    assert why(make_log(vm, status="failure")) == ["REPOSITORY_LOCKED"]


def test_a_writer_lost_in_an_attempt_before_the_last_is_no_cause():
    warnings = [lost_writer("Lock file is already being held"), retry_of("x")]
    assert why(make_log(make_vm_task(warnings=warnings))) == []
    assert why(make_log(make_vm_task(warnings=warnings[::-1]))) == ["REPOSITORY_LOCKED"]


def test_what_a_multi_line_error_of_a_writer_says_stays_whole():
    (cause,) = causes(make_log(make_vm_task(warnings=[lost_writer("odd.\nvery odd")])))
    assert (cause.code, cause.text) == ("UNCLASSIFIED", "odd.\nvery odd")


# -- the job, its repositories, other tasks ---------------------------------------------------------------------------


def test_each_repository_that_could_not_be_opened_is_a_cause_of_its_own():
    error = said(
        "couldn't instantiate any remote", errors={"a": {}, "b": said("feature Unauthorized"), "c": said("hm")}
    )
    found = causes(at_job(error))
    assert [(one.code, one.scope, one.text) for one in found] == [
        ("REPOSITORY_DISABLED", Scope(ScopeKind.REPOSITORY, "a", ""), "couldn't instantiate any remote"),
        (
            "XO_FEATURE_REFUSED",
            Scope(ScopeKind.REPOSITORY, "b", ""),
            "couldn't instantiate any remote: feature Unauthorized",
        ),
        ("REPOSITORY_UNREACHABLE", Scope(ScopeKind.REPOSITORY, "c", ""), "couldn't instantiate any remote: hm"),
    ]


def test_without_a_list_of_repositories_the_job_is_the_scope():
    (cause,) = causes(at_job(said("couldn't instantiate any remote", errors={})))
    assert (cause.code, cause.scope) == ("REPOSITORY_DISABLED", JOB)


def test_the_job_speaks_before_its_tasks():
    down = task("get remote adapter", data=REPO, result=ENOSPC)
    assert why(make_log(down, failed_vm(FULL), status="failure", result=said("worker exited with code 1"))) == [
        "WORKER_DIED",
        "REPOSITORY_NO_SPACE",
        "SR_NO_SPACE",
    ]


@pytest.mark.parametrize(("raw", "name"), [("nightly", "nightly"), (123, "123"), (None, "")])
def test_a_jobs_name_may_be_any_json_value(raw, name):
    (cause,) = causes(at_job(said("x"), jobName=raw))
    assert cause.scope == Scope(ScopeKind.JOB, "job", name)


def test_a_restore_is_about_the_sr_it_went_to():
    (cause,) = causes(at_restore(FULL))
    assert (cause.code, cause.scope, cause.place) == ("SR_NO_SPACE", Scope(ScopeKind.SR, "sr", ""), Place.RESTORE)
    bare = make_log(status="failure", message="restore", result=FULL)
    assert causes(bare)[0].scope == JOB


def test_the_subject_of_a_metadata_backup_is_its_scope_and_its_repository_the_target():
    down = task("to a repository", data=REPO, result=node("ESTALE"))
    pool = {"type": "pool", "id": "pool", "pool": {"name_label": "Paris"}}
    (cause,) = causes(make_log(task("Starting metadata backup", down, data=pool), status="failure"))
    assert (cause.code, cause.scope, cause.target) == (
        "REPOSITORY_UNREACHABLE",
        Scope(ScopeKind.POOL, "pool", "Paris"),
        TO_REPO,
    )
    lost = task("Starting metadata backup", data={"type": "pool", "id": "pool"}, result=node("ECONNREFUSED"))
    assert why(make_log(lost, status="failure")) == ["POOL_DISCONNECTED"]


def test_a_task_about_nothing_known_is_the_jobs():
    for data in ({"type": "moon", "id": "x"}, {"type": 4}, "odd", None):
        (cause,) = causes(make_log(task("odd", data=data, result=FULL), status="failure"))
        assert (cause.scope, cause.place) == (JOB, Place.JOB)


def test_one_error_told_twice_at_the_same_place_is_one_cause():
    assert why(make_log(failed_vm(FULL), failed_vm(FULL), status="failure")) == ["SR_NO_SPACE"]
    assert why(make_log(failed_vm(FULL), failed_vm(FULL, id_="b"), status="failure")) == ["SR_NO_SPACE", "SR_NO_SPACE"]


def test_a_cause_names_its_run_and_tells_whether_waiting_helps():
    log = at_transfer(ENOSPC)
    (cause,) = causes(log)
    assert (cause.run, cause.transient, cause.waiting_helps) == (log.id, False, True)
    (cause,) = causes(at_snapshot(xapi("VM_HAS_VUSBS")))
    assert (cause.transient, cause.waiting_helps) == (False, False)
    (cause,) = causes(at_job(said("the job (x) is already running")))
    assert (cause.transient, cause.waiting_helps) == (True, True)


def test_every_code_a_rule_names_is_a_known_one():
    assert {rule.code.id for rule in RULES} <= ALL_CODES.keys()
    assert UNCLASSIFIED.id not in {rule.code.id for rule in RULES}
