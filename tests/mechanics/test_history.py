"""Samples from backup logs."""

from __future__ import annotations

import msgspec
import pytest
from guard.estate.xo_records import BackupLog
from guard.mechanics.history import Quantiles, Running, good_backups, percentile, quantiles, read_history, sizes

DAY = 86_400_000
BASE = 20_000 * DAY  # in October 2024


def transfer(size, full, start, status="success"):
    result = {} if size is None else {"size": size}
    inner = {"message": "transfer", "status": status, "start": start, "end": start + 2000, "result": result}
    return {
        "message": "export",
        "status": status,
        "data": {"type": "remote", "id": "r", "isFull": full},
        "tasks": [inner],
    }


def vm_task(vm, *tasks, status="success"):
    snapshot = {"message": "snapshot", "status": "success"}
    return {"message": "backup VM", "status": status, "data": {"type": "VM", "id": vm}, "tasks": [snapshot, *tasks]}


def run(day, *tasks, status="success", **more):
    start = BASE + day * DAY
    return {
        "id": str(start),
        "jobId": "j",
        "scheduleId": "s",
        "start": start,
        "end": start + 60_000,
        "status": status,
        "tasks": list(tasks),
        **more,
    }


def history(*logs):
    return read_history(
        msgspec.convert(
            [{key: value for key, value in log.items() if value is not None} for log in logs], list[BackupLog]
        )
    )


def test_durations_come_from_runs_that_attempted_their_vms():
    found = history(
        run(1),
        run(2, status="failure"),
        run(3, status="failure", result={"message": "the job (j) is already running"}),
        run(4, status="pending", end=None),
    )
    assert found.seconds == {"s": (60.0,)}


def test_a_run_that_moved_something_counts_though_it_failed_and_one_that_was_skipped_does_not():
    found = history(
        run(1, vm_task("a", transfer(5, False, 1)), vm_task("b", status="failure"), status="failure"),
        run(2, vm_task("a", status="skipped"), status="skipped"),
    )
    assert found.seconds == {"s": (60.0,)}


def test_a_run_of_less_than_half_the_vms_is_no_sample_and_no_baseline():
    whole = run(1, *(vm_task(vm, transfer(5, False, 1)) for vm in "abc"))
    partial = run(2, vm_task("a", transfer(7, False, 2)))
    found = history(whole, partial)
    assert (found.seconds, found.recent_vms) == ({"s": (60.0,)}, {"s": ("a", "b", "c")})
    assert found.run_bytes == {("s", "r"): (15,)}
    assert [one.size for one in found.transfers["j", "a", "r"]] == [5, 7]


def test_a_pending_run_tells_of_which_schedule_it_is_and_since_when_it_runs():
    began = BASE + 4 * DAY
    log = run(4, status="pending", end=None)
    assert history(log).running == {str(began): Running(schedule="s", since=began, moved=began)}


def test_a_pending_run_tells_when_a_task_of_it_last_began_or_ended():
    began = BASE + 4 * DAY
    step = {"message": "snapshot", "status": "success", "start": began + 5, "end": began + 9}
    odd = {"message": "export", "start": 7, "tasks": [{"message": "transfer", "start": 10**15}]}
    vm = vm_task("a", status="pending") | {"start": began + 1, "tasks": [step, odd]}
    for tasks, moved in (([vm], began + 9), ([vm, vm_task("b") | {"start": began + 20}], began + 20), (None, began)):
        log = run(4, *(tasks or ()), status="pending", end=None) | ({} if tasks else {"tasks": None})
        (found,) = history(log).running.values()
        assert found.moved == moved


def test_transfers_are_kept_by_vm_and_target_oldest_first():
    found = history(run(2, vm_task("a", transfer(20, False, 2))), run(1, vm_task("a", transfer(100, True, 1))))
    samples = found.transfers["j", "a", "r"]
    assert [one.size for one in samples] == [100, 20]
    assert samples[0].seconds == 2.0
    assert sizes(samples, full=True, schedule="s") == (100,)
    assert sizes(samples, full=False, schedule="s") == (20,)


def test_failed_empty_and_shapeless_transfers_are_no_samples():
    found = history(
        run(
            1, vm_task("a", transfer(5, False, 1, status="failure"), transfer(None, False, 1), {"message": "clean-vm"})
        ),
        run(2, vm_task("a", transfer(0, False, 2))),
    )
    assert sizes(found.transfers["j", "a", "r"], full=False, schedule="s") == ()


def test_sizes_of_the_schedule_come_before_those_of_its_job():
    other = run(2, vm_task("a", transfer(900, False, 2)), scheduleId="other")
    samples = history(run(1, vm_task("a", transfer(20, False, 1))), other).transfers["j", "a", "r"]
    assert sizes(samples, full=False, schedule="s") == (20,)
    assert sizes(samples, full=False, schedule="new") == (20, 900)


def test_the_vms_of_a_run_come_from_its_info_or_its_tasks():
    told = run(2, infos=[{"message": "other"}, {"message": "vms", "data": {"vms": ["a", "b"]}}])
    assert history(run(1, vm_task("c")), told).recent_vms == {"s": ("a", "b", "c")}
    assert history(run(1, vm_task("c"), {"message": "get SR record"})).recent_vms == {"s": ("c",)}


def test_the_recent_vms_are_those_of_the_last_three_whole_runs_of_a_schedule_each_once():
    nights = [run(day, *map(vm_task, vms)) for day, vms in enumerate(["abz", "abc", "ab", "abd", "a"], 1)]
    other = run(6, vm_task("x"), scheduleId="other")
    # the run of "a" alone took less than half
    assert history(*nights, other).recent_vms == {"s": ("a", "b", "d", "c"), "other": ("x",)}
    assert history(*reversed(nights)).recent_vms["s"] == ("a", "b", "d", "c")
    assert history(*nights, run(6), run(7, status="failure")).recent_vms["s"] == ("a", "b", "d", "c")


def skipped(vm, *, child="skipped", message="unhealthy VDI chain"):
    task = vm_task(vm, status="skipped")
    return task | {"tasks": [{"message": "snapshot", "status": child}], "result": {"message": message}}


def test_skips_for_the_chain_are_counted_from_the_newest_run_of_the_vm_until_one_that_passed():
    assert history(run(1, skipped("a")), run(2, skipped("a"))).chain_skips == {("j", "a"): 2}
    assert history(run(2, skipped("a")), run(1, vm_task("a"))).chain_skips == {("j", "a"): 1}
    assert history(run(1, skipped("a")), run(2, vm_task("a"))).chain_skips == {}
    assert history(run(1, skipped("a")), run(2, skipped("b"))).chain_skips == {("j", "a"): 1, ("j", "b"): 1}
    other = run(2, vm_task("a"), jobId="other")
    assert history(run(1, skipped("a")), other, run(3, skipped("a"))).chain_skips == {("j", "a"): 2}
    failed = vm_task("a", status="failure") | {"result": "text"}
    assert history(run(1, skipped("a")), run(2, failed)).chain_skips == {}
    assert history(run(1, skipped("a", message="unhealthy VDI chain, they say"))).chain_skips == {}


def test_a_run_in_which_the_vm_never_came_to_its_snapshot_tells_nothing_of_its_chain():
    early = vm_task("a", status="failure") | {"tasks": []}
    pending = vm_task("a", status="pending") | {"tasks": [{"message": "snapshot", "status": "pending"}]}
    for between in (early, pending, {"message": "get SR record", "tasks": [{"message": "snapshot"}]}):
        assert history(run(1, skipped("a")), run(2, between), run(3, skipped("a"))).chain_skips == {("j", "a"): 2}


def test_transfers_to_any_of_several_targets_are_told_oldest_first():
    def sent(day, target, size):
        export = transfer(size, False, BASE + day)
        return run(day, vm_task("a", export | {"data": export["data"] | {"id": target}}))

    found = history(sent(1, "r1", 10), sent(2, "r2", 20), sent(3, "r1", 30))
    assert [one.size for one in found.transfers_to("j", "a", ["r2", "r1", "r3"])] == [10, 20, 30]
    assert [one.size for one in found.transfers_to("j", "a", ["r1"])] == [10, 30]
    assert list(found.transfers_to("j", "b", ["r1", "r2"])) == list(found.transfers_to("j", "b", ["r1"])) == []


def test_quantiles_are_by_nearest_rank():
    assert quantiles(range(1, 11)) == Quantiles(p50=5, p90=9, samples=10)
    assert quantiles([7]) == Quantiles(p50=7, p90=7, samples=1)
    assert quantiles([]) == Quantiles()
    assert (percentile(range(1, 21), 95), percentile([7, 3], 95), percentile([], 95)) == (19, 7, None)


def test_a_transfer_knows_the_mode_of_its_job_where_the_log_tells():
    sent = vm_task("a", transfer(5, True, 1))
    found = history(
        run(1, sent, data={"mode": "full"}), run(2, sent, data={"mode": 7}), run(3, sent, data="odd"), run(4, sent)
    )
    assert [one.mode for one in found.transfers["j", "a", "r"]] == ["full", "", "", ""]


def sent_to(target, start, status="success"):
    one = transfer(5, True, start, status)
    one["data"]["id"] = target
    return one


def test_a_good_backup_is_one_run_however_many_targets_have_it_and_whichever_failed():
    def at(day, minutes=0):
        return BASE + day * DAY + minutes * 60_000

    found = history(
        run(1, vm_task("v", sent_to("r", at(1, 30)), sent_to("q", at(1, 5)))),
        run(2, vm_task("v", sent_to("r", at(2), "failure"), sent_to("q", at(2, 5)))),
        run(3, vm_task("v", sent_to("r", at(3), "failure"), sent_to("q", at(3), "failure"))),
        run(4, vm_task("v", sent_to("r", at(4))), id="other", jobId="k"),
        run(5, vm_task("w", sent_to("r", at(5)))),
    )
    assert good_backups(found) == {"v": (at(1, 5), at(2, 5), at(4)), "w": (at(5),)}
    assert good_backups(history()) == {}


@pytest.mark.parametrize("huge", [10**30, -(10**30), 10**300, -5])
def test_times_and_sizes_beyond_all_measure_are_no_samples(huge):
    sent = transfer(5, False, 1)
    for odd in ({"end": huge}, {"result": {"size": huge}}):
        assert history(run(1, vm_task("a", sent | {"tasks": [sent["tasks"][0] | odd]}))).transfers == {}
    assert history(run(1, vm_task("a", sent), end=huge)).seconds == {}
