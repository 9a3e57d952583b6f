"""A live run against what a real xo-server logged, and what it does to VMs, SRs and repositories."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from guard.simulator.world import GIB
from tests.simulator.living import (
    EVENING,
    MIB,
    Small,
    check_like,
    recorded,
    recorded_elsewhere,
    steps,
    utc,
)

GOOD = ("success", ["clean-vm", "snapshot", "export"])


def transfers(log: dict) -> list[dict]:
    return [
        inner
        for vm in log.get("tasks", [])
        for step in vm.get("tasks", [])
        if step["message"] == "export"
        for inner in step.get("tasks", [])
        if inner["message"] == "transfer"
    ]


def sizes(log: dict) -> list[int]:
    return [task["result"]["size"] for task in transfers(log)]


# --- logs as recorded


def test_a_run_by_xos_own_scheduler_is_logged_as_recorded() -> None:
    small = Small()
    small.live.advance(utc(25, 8))
    (log,) = small.logs()
    check_like(recorded("cron_triggered"), log)


def test_a_full_and_then_deltas_with_a_merge_once_retention_is_reached_are_logged_as_recorded() -> None:
    small = Small()
    small.world.jobs[small.job["id"]]["vms"] = {"id": {"__or": [small.web["id"], small.db["id"]]}}
    for number in range(5):
        small.world.write(small.web_disk, 2 * MIB)
        small.world.write(small.db_disk, 2 * MIB)
        log = small.run()
        check_like(recorded("success_full_then_deltas", number), log)
        if number:
            assert sizes(log)[0] == 2_120_192 + 20_480  # one block and the header of a 20 GiB disk; recorded: 10 GiB
        small.live.advance(timedelta(hours=2))


def test_a_run_that_is_under_way_is_logged_as_recorded_and_so_is_the_second_start() -> None:
    small = Small()
    small.live.rates.default_host_rate = 10 * MIB
    run = small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(minutes=2))
    refused = small.live.jobs.run_schedule(small.schedule, "rest")
    small.live.advance(timedelta(seconds=1))
    assert refused.ended
    check_like(recorded("already_running.during", 0), run.log)
    check_like(recorded("already_running.during", 1), refused.log)
    assert refused.log["end"] - refused.log["start"] == 10
    assert small.job["runId"] == run.log["id"]
    assert 0 < transfers(run.log)[0]["data"]["progress"] < 100


def test_a_pattern_that_matches_no_vm_ends_the_run_as_recorded() -> None:
    small = Small()
    job, schedule = small.another("none", "0 3 * * *", {"type": "VM", "tags": {"__or": [["nowhere"]]}})
    log = small.run(schedule)
    check_like(recorded("no_vms_match"), log)
    assert log["result"]["data"] == {"jobId": job["id"], "runJobId": log["id"], "scheduleId": schedule["id"]}


def test_a_pattern_with_an_unknown_pool_makes_that_a_failure_as_recorded() -> None:
    small = Small()
    pattern = {"type": "VM", "$pool": {"__or": ["00000000-0000-4000-8000-000000000001"]}}
    log = small.run(small.another("none", "0 3 * * *", pattern)[1])
    check_like(recorded("smart_mode_pool_id_pattern_missing_pool"), log)


def test_an_unhealthy_chain_skips_the_vm_as_recorded() -> None:
    small = Small()
    small.world.add_base_copies(small.web_disk, 3)
    check_like(recorded("unhealthy_vdi_chain"), small.run())


def test_success_and_skipped_make_skipped_as_recorded() -> None:
    small = Small()
    small.world.add_base_copies(small.db_disk, 3)
    _, schedule = small.another("two", "0 3 * * *", [small.web, small.db])
    check_like(recorded("mixed_success_skipped"), small.run(schedule))


def test_an_sr_without_room_fails_the_vm_as_recorded() -> None:
    small = Small()
    small.lvm["size"] = small.lvm["physical_usage"] + 1 * GIB
    _, schedule = small.another("db", "0 3 * * *", [small.db])
    check_like(recorded("sr_backend_failure_44_natural"), small.run(schedule))
    assert small.db["snapshots"] == []


def test_a_full_file_sr_fails_with_the_code_of_a_failed_clone() -> None:
    small = Small()
    small.nfs["size"] = small.nfs["physical_usage"]
    (vm,) = small.run()["tasks"]
    assert (vm["status"], vm["result"]["code"]) == ("failure", "SR_BACKEND_FAILURE_81")


def test_a_repository_without_room_fails_the_vm_as_recorded() -> None:
    small = Small()
    small.world.set_repository_space(small.nas, 20 * GIB, 1 * GIB)
    log, real = small.run(), recorded("remote_full_enospc")
    check_like(real, log)
    assert small.world.repository_info[small.nas["id"]]["available"] == 0


def test_a_vm_xo_does_not_know_fails_as_recorded_and_the_others_run() -> None:
    small = Small()
    listed = {"id": {"__or": [small.web["id"], "11111111-2222-4333-8444-555555555555"]}}
    _, schedule = small.another("deleted", "0 3 * * *", listed)
    check_like(recorded("no_xapi_associated_deleted_vm"), small.run(schedule))


def test_a_host_that_does_not_answer_an_export_fails_it_as_recorded() -> None:
    small = Small()
    small.live.planted.fail_exports(small.web, "Headers Timeout Error")
    log = small.run()
    check_like(recorded("export_timeout"), log)
    assert log["end"] - log["start"] > 300_000


def test_an_export_that_is_cut_fails_as_recorded() -> None:
    small = Small()
    small.live.planted.fail_exports(small.web, "other side closed")
    check_like(recorded("export_cut"), small.run())


def test_a_run_that_a_restart_of_xo_interrupts_is_left_as_recorded() -> None:
    small = Small()
    small.live.rates.default_host_rate = 10 * MIB
    run = small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(minutes=1))
    small.live.restart_xo()
    small.live.advance(timedelta(hours=3))
    check_like(recorded_elsewhere("F40 interrupted", "interrupted"), run.log)
    assert "runId" not in small.job
    assert not run.ended


def test_a_retry_that_works_makes_a_success_as_recorded() -> None:
    small = Small()
    small.lvm["size"] = small.lvm["physical_usage"] + 1 * GIB
    _, schedule = small.another("db", "0 3 * * *", [small.web, small.db], nRetriesVmBackupFailures=1)
    run = small.live.jobs.run_schedule(schedule, "rpc")
    small.live.advance(timedelta(seconds=10))
    small.lvm["size"] = 100 * GIB  # room is made while the other VM is still under way
    small.live.advance(timedelta(hours=1))
    real, log = recorded("retry_then_success"), dict(run.log)
    log["tasks"] = [task for task in log["tasks"] if task["data"]["id"] == small.db["id"]]
    check_like(real, log)


def test_a_repository_that_is_off_or_gone_ends_the_run_as_recorded() -> None:
    small = Small()
    small.nas["enabled"] = False
    check_like_errors(recorded("remote_disabled"), small.run())
    small.job["remotes"] = {"id": "22222222-2222-4333-8444-555555555555"}
    check_like_errors(recorded("remote_unknown"), small.run())


def check_like_errors(real: dict, ours: dict) -> None:
    check_like(real, ours)
    assert next(iter(ours["result"]["errors"].values())).keys() == next(iter(real["result"]["errors"].values())).keys()


def test_a_repository_xo_cannot_open_is_a_failed_task_as_recorded() -> None:
    small = Small()
    small.nas["error"] = {"errno": -20, "code": "ENOTDIR", "syscall": "mkdir", "path": "/srv/file/nope"}
    check_like(recorded_elsewhere("F25 only bad remote", "failure"), small.run())
    small.job["remotes"] = {"id": {"__or": [small.nas["id"], small.vault["id"]]}}
    check_like(recorded_elsewhere("F24 one remote bad", "failure"), small.run())


def test_a_disabled_repository_among_several_is_dropped_without_a_word() -> None:
    small = Small()
    small.vault["enabled"] = False
    small.job["remotes"] = {"id": {"__or": [small.nas["id"], small.vault["id"]]}}
    log = small.run()
    assert steps(log) == [GOOD]
    assert (log["status"], "warnings" in log) == ("success", False)


def test_full_mode_rolling_snapshots_replication_and_metadata_are_logged_as_recorded() -> None:
    small = Small()
    world = small.world
    full = world.add_job("xva", mode="full", vms=[small.web], remotes=[small.nas])
    rolling = world.add_job("rolling", mode="full", vms=[small.web, small.db])
    dr = world.add_pool("dr")
    world.add_host(dr, "dr-1")
    away = world.add_sr(dr, "DR", "ext", size=500 * GIB)
    replication = world.add_job("replication", vms=[small.web], srs=[away])
    metadata = world.add_job(
        "meta", type="metadataBackup", remotes=[small.nas], pools={"id": small.pool["id"]}, xoMetadata=True
    )
    check_like(recorded("success_full_mode_xva", 1), small.run(world.add_schedule(full)))
    only_snapshots = world.add_schedule(rolling, settings={"exportRetention": 0, "snapshotRetention": 2})
    for number in range(3):
        check_like(recorded("rolling_snapshot_only", number), small.run(only_snapshots))
        small.live.advance(timedelta(minutes=10))
    assert len(small.web["snapshots"]) == 2
    copies = world.add_schedule(replication, settings={"exportRetention": 0, "copyRetention": 2})
    for number in range(2):
        check_like(recorded("continuous_replication", number), small.run(copies))
        small.live.advance(timedelta(minutes=10))
    log, real = small.run(world.add_schedule(metadata)), recorded("metadata_backup")
    assert [task["data"]["type"] for task in log["tasks"]] == [task["data"]["type"] for task in real["tasks"]]
    assert (log["status"], log["data"]) == ("success", real["data"])


def test_a_schedule_without_its_part_of_the_settings_fails_the_run() -> None:
    small = Small()
    unsaved = small.world.add_schedule(small.job, "0 4 * * *", with_settings=False)
    log = small.run(unsaved)
    assert log["status"] == "failure"
    assert log["result"]["message"] == "Cannot read properties of undefined (reading 'healthCheckSr')"
    assert "tasks" not in log
    given = small.run(unsaved, settings={unsaved["id"]: {"exportRetention": 1}})
    assert given["status"] == "success"
    assert unsaved["id"] not in small.job["settings"]


# --- which VMs


def test_a_smart_job_leaves_out_its_own_replicas_and_what_is_tagged_no_bak() -> None:
    small = Small()
    job, schedule = small.another("smart", "0 3 * * *", {"type": "VM", "tags": {"__or": [["prod"]]}})
    replica = small.world.add_vm(small.pool, "copy", ["prod"], blockedOperations={"start": "no"})
    replica["other"]["xo:backup:job"] = job["id"]
    foreign = small.world.add_vm(small.pool, "foreign", ["prod"], blockedOperations={"start": "no"})
    small.world.add_vm(small.pool, "out", ["prod", "xo:no-bak=lab"])
    almost = small.world.add_vm(small.pool, "almost", ["prod", "xo:no-bakery"])
    (infos,) = small.run(schedule)["infos"]
    assert set(infos["data"]["vms"]) == {small.web["id"], small.db["id"], foreign["id"], almost["id"]}


def test_vms_given_to_a_run_replace_the_jobs_own_unfiltered() -> None:
    small = Small()
    small.db["tags"].append("xo:no-bak")
    log = small.run(vms=[small.db["id"]])
    assert [vm["data"]["id"] for vm in log["tasks"]] == [small.db["id"]]
    nothing = small.run(vms=[])
    assert (nothing["status"], nothing.get("tasks", [])) == ("success", [])


# --- time, rate and order


def test_a_transfer_takes_its_bytes_at_the_rate_of_the_host_shared_by_what_it_sends() -> None:
    small = Small()
    small.live.rates.hosts[small.host["id"]] = 40 * MIB
    _, schedule = small.another("two", "0 3 * * *", [small.web, small.db])
    log = small.run(schedule)
    total = sum(sizes(log))
    assert log["end"] - log["start"] == pytest.approx(1000 * total / (40 * MIB), rel=0.1)


def test_a_job_can_be_slower_than_its_host() -> None:
    small = Small()
    small.live.rates.jobs[small.job["id"]] = 1.0 * MIB
    log = small.run()
    assert log["end"] - log["start"] == pytest.approx(1000 * sizes(log)[0] / MIB, rel=0.01)


def test_two_vms_of_a_job_run_at_a_time_unless_its_settings_say_otherwise() -> None:
    small = Small()
    for number in range(3):
        small.world.add_disk(small.world.add_vm(small.pool, f"more-{number}", ["more"]), small.nfs, 5 * GIB)
    pattern = {"type": "VM", "tags": {"__or": [["more"], ["prod"]]}}
    for concurrency, expected in (({}, 2), ({"concurrency": 1}, 1), ({"concurrency": 0}, 5)):
        _, schedule = small.another(f"many {expected}", "0 3 * * *", pattern, **concurrency)
        run = small.live.jobs.run_schedule(schedule, "rpc")
        small.live.advance(timedelta(seconds=10))
        assert len(run.log["tasks"]) == expected
        small.live.advance(timedelta(hours=1))
        assert run.ended
        assert len(run.log["tasks"]) == 5


def test_what_a_guest_wrote_since_the_last_backup_is_what_the_next_one_moves() -> None:
    small = Small()
    small.schedule["enabled"] = False
    small.live.guests.set_rate(small.web, MIB / 60)
    small.run()
    small.live.advance(EVENING + timedelta(days=1))
    moved = sizes(small.run())[0]
    assert moved == pytest.approx(24 * 60 * MIB, rel=0.02)


# --- snapshots and bases


def test_retention_deletes_before_the_snapshot_and_again_after_the_transfer() -> None:
    small = Small()
    first = small.run()
    kept = small.web["snapshots"][0]
    manual = small.world.snapshot(small.web)
    stale = small.world.snapshot(small.web, small.job, small.schedule, exported=False, at=EVENING)
    small.web["snapshots"].sort(key=[stale["id"], kept, manual["id"]].index)  # as an interrupted run would leave it
    small.world.write(small.web_disk, GIB)
    run = small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(seconds=1.25))  # before the snapshot is taken
    assert stale["id"] not in small.web["snapshots"]
    small.live.advance(timedelta(seconds=1))
    assert kept in small.web["snapshots"]  # the base
    small.live.advance(timedelta(minutes=5))
    new = run.log["tasks"][0]["tasks"][1]["result"]
    assert small.web["snapshots"] == [manual["id"], new]
    assert sizes(run.log)[0] < sizes(first)[0]


def test_a_failed_transfer_destroys_the_base_so_the_next_run_is_a_full() -> None:
    small = Small()
    small.run()
    small.live.advance(timedelta(hours=1))
    small.live.planted.fail_exports(
        small.web, "stream has ended with not enough data (actual: 4096, expected: 2097152)"
    )
    assert small.run()["status"] == "failure"
    small.live.advance(timedelta(hours=1))
    assert [task["data"]["isFull"] for task in small.run()["tasks"][0]["tasks"] if task["message"] == "export"] == [
        True
    ]


def test_an_interrupted_run_does_not_lose_the_base() -> None:
    small = Small()
    small.run()
    small.live.rates.default_host_rate = 1 * MIB
    small.world.write(small.web_disk, 200 * MIB)
    small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(seconds=30))
    small.live.restart_xo()
    small.live.advance(timedelta(minutes=5))
    assert len(small.web["snapshots"]) == 2
    small.live.rates.default_host_rate = 100 * MIB
    log = small.run()
    assert [task["data"]["isFull"] for task in log["tasks"][0]["tasks"] if task["message"] == "export"] == [False]


def test_a_full_interval_and_a_lost_archive_force_a_full() -> None:
    small = Small()
    small.job["settings"][""]["fullInterval"] = 2
    full = []
    for number in range(4):
        if number == 3:
            small.live.shelf(small.nas["id"]).lacks.update(small.web["snapshots"])
        export = small.run()["tasks"][0]["tasks"][2]
        full.append(export["data"]["isFull"])
        small.live.advance(timedelta(hours=2))
    assert full == [True, False, True, True]


def test_the_chain_check_counts_pending_merges_above_one_disk_and_tolerates_one() -> None:
    small = Small()
    small.world.add_base_copies(small.web_disk, 2)  # root <- base <- leaf: one pending merge
    assert steps(small.run()) == [GOOD]
    third = Small()
    third.world.add_base_copies(third.web_disk, 3)
    third.live.tolerance = 2
    assert steps(third.run()) == [GOOD]
    bypass = Small()
    bypass.world.add_base_copies(bypass.web_disk, 3)
    assert steps(bypass.run(settings={"": {"bypassVdiChainsCheck": True}})) == [GOOD]


def test_a_vm_that_is_being_migrated_is_not_touched_and_not_tried_again() -> None:
    small = Small()
    small.web["current_operations"] = {"t": "pool_migrate"}
    small.job["settings"][""]["nRetriesVmBackupFailures"] = 3
    (vm,) = small.run()["tasks"]
    assert vm["result"]["message"] == "cannot backup a VM currently being migrated"
    assert ("tasks" in vm, "warnings" in vm) == (False, False)


def test_migration_is_blocked_while_a_vm_is_backed_up() -> None:
    small = Small()
    small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(seconds=5))
    assert small.web["blockedOperations"]["pool_migrate"] == "VM migration is blocked during backup"
    small.live.advance(timedelta(minutes=5))
    assert small.web["blockedOperations"] == {}


# --- repositories


def test_a_repository_fills_by_what_is_written_and_gives_room_back_by_retention() -> None:
    small = Small()
    info = small.world.repository_info[small.nas["id"]]
    free = [info["available"]]
    for _ in range(5):
        small.world.write(small.web_disk, 100 * MIB)
        small.run()
        small.live.advance(timedelta(hours=2))
        free.append(info["available"])
    spent = [before - after for before, after in itertools.pairwise(free)]
    assert spent[0] > 4 * GIB
    assert spent[1] == pytest.approx(100 * MIB, rel=0.03)
    assert spent[3] == 0  # what a merge gives back is what a delta takes
    assert info["used"] + info["available"] == info["size"]


def test_what_a_failed_transfer_wrote_is_cleaned_away_by_the_next_run() -> None:
    small = Small()
    info = small.world.repository_info[small.nas["id"]]
    before = info["available"]
    small.live.planted.fail_exports(small.web, "Body Timeout Error", after=0.5)
    assert small.run()["tasks"][0]["result"]["code"] == "UND_ERR_BODY_TIMEOUT"
    assert before - info["available"] > GIB
    small.live.advance(timedelta(minutes=1))
    log = small.run()
    assert before - info["available"] == sizes(log)[0]


def test_a_cut_export_leaves_the_vm_locked_for_half_a_minute_as_recorded() -> None:
    small = Small()
    small.live.planted.fail_exports(small.web, "other side closed")
    run = small.live.jobs.run_schedule(small.schedule, "rpc")
    while not run.ended:
        small.live.advance(timedelta(seconds=1))
    small.live.advance(timedelta(seconds=20))
    locked = small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(seconds=3))
    check_like(recorded_elsewhere("F32 lock after cut", "failure"), locked.log)
    small.live.advance(timedelta(seconds=15))
    assert small.run()["status"] == "success"


def test_two_jobs_that_back_up_one_vm_to_one_repository_lock_each_other_out() -> None:
    small = Small()
    _, schedule = small.another("same", "0 3 * * *", [small.web])
    small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(seconds=5))
    (vm,) = small.run(schedule)["tasks"]
    assert vm["result"]["code"] == "ELOCKED"


def test_a_lost_target_of_two_leaves_the_vm_without_an_error_of_its_own() -> None:
    small = Small()
    small.job["remotes"] = {"id": {"__or": [small.nas["id"], small.vault["id"]]}}
    small.world.set_repository_space(small.vault, 20 * GIB, 1 * GIB)
    (vm,) = small.run()["tasks"]
    exports = {step["data"]["id"]: step["status"] for step in vm["tasks"] if step["message"] == "export"}
    assert exports == {small.nas["id"]: "success", small.vault["id"]: "failure"}
    assert ("result" in vm, vm["status"]) == (False, "failure")
    assert "IncrementalRemoteWriter has failed the step writer.transfer()" in vm["warnings"][0]["message"]


def test_an_object_store_has_no_figures_and_no_locks() -> None:
    small = Small()
    bucket = small.world.add_repository("bucket", "s3://key@s3.example/b", size=None)
    small.job["remotes"] = {"id": bucket["id"]}
    small.live.planted.fail_exports(small.web, "other side closed")
    assert small.run()["status"] == "failure"
    assert small.run()["status"] == "success"


# --- planted


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Body Timeout Error", "UND_ERR_BODY_TIMEOUT"),
        ("Headers Timeout Error", "UND_ERR_HEADERS_TIMEOUT"),
        ("stream has ended without data, was looking for 512 bytes", None),
        ("VDI_IO_ERROR", "VDI_IO_ERROR"),
    ],
)
def test_the_next_exports_of_a_vm_fail_with_a_given_text(text: str, code: str | None) -> None:
    small = Small()
    small.live.planted.fail_exports(small.web, text, times=2)
    results = []
    for _ in range(3):
        results.append(small.run()["tasks"][0])
        small.live.advance(timedelta(minutes=1))
    assert [vm["status"] for vm in results] == ["failure", "failure", "success"]
    assert results[0]["result"].get("code") == code
    assert text in results[0]["result"]["message"]


def test_a_hanging_export_is_a_run_without_end_or_progress_until_xo_restarts() -> None:
    small = Small()
    small.live.planted.hang_exports(small.web)
    small.live.advance(utc(27, 12))
    first, *refused = small.logs()
    assert (first["status"], transfers(first)[0]["data"]["progress"]) == ("pending", 50)
    assert [log["result"]["message"] for log in refused] == [f"the job ({small.job['id']}) is already running"] * 2
    small.live.restart_xo()
    small.live.advance(utc(28, 8))
    assert [log["status"] for log in small.logs()] == ["interrupted", "failure", "failure", "success"]


def test_a_snapshot_can_be_made_to_fail() -> None:
    small = Small()
    error = {
        "code": "VM_SNAPSHOT_WITH_QUIESCE_FAILED",
        "message": "VM_SNAPSHOT_WITH_QUIESCE_FAILED(x)",
        "name": "XapiError",
    }
    small.live.planted.fail_snapshots(small.web, error)
    assert steps(small.run()) == [("failure", ["clean-vm", "snapshot", "clean-vm"])]
    assert steps(small.run()) == [GOOD]


# --- the world changes under a run


def test_a_vm_that_is_deleted_before_its_snapshot_fails_and_one_deleted_later_does_no_harm() -> None:
    small = Small()
    small.live.rates.default_host_rate = 10 * MIB
    early = small.live.jobs.run_schedule(small.schedule, "rpc")
    _, schedule = small.another("db", "0 3 1 1 *", [small.db])
    late = small.live.jobs.run_schedule(schedule, "rpc")
    small.live.advance(timedelta(seconds=1))
    small.world.remove_vm(small.web)
    small.live.advance(timedelta(seconds=20))
    small.world.remove_vm(small.db)
    small.live.advance(timedelta(hours=1))
    assert early.log["tasks"][0]["result"]["code"] == "HANDLE_INVALID"
    assert (early.ended, late.ended) == (True, True)


def test_a_repository_that_breaks_under_a_transfer_fails_it() -> None:
    small = Small()
    small.live.rates.default_host_rate = 10 * MIB
    run = small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(minutes=2))
    small.nas["error"] = {"code": "EIO", "syscall": "write"}
    small.live.advance(timedelta(minutes=10))
    assert run.log["tasks"][0]["result"]["code"] == "EIO"


def test_the_same_script_gives_the_same_logs() -> None:
    told = []
    for _ in range(2):
        small = Small()
        small.live.guests.set_rate(small.web, 1000.0)
        small.live.advance(utc(28, 12))
        told.append(small.world.logs)
    assert told[0] == told[1]


def test_a_month_leaves_no_byte_unaccounted_for() -> None:
    small = Small()
    _, schedule = small.another("evening", "0 18 * * *", [small.web, small.db])
    for vm in (small.web, small.db):
        small.live.guests.set_rate(vm, 2000.0)
    small.live.planted.fail_exports(small.db, "VDI_IO_ERROR", times=3)
    for day in range(30):
        small.live.advance(EVENING + timedelta(days=day))
        if day % 7 == 3:
            small.live.restart_xo()
    small.live.advance(timedelta(hours=3))
    assert len(small.logs()) + len(small.logs(schedule)) == 29 + 29
    for sr in (small.nfs, small.lvm):
        kinds = ("VDI", "VDI-snapshot", "VDI-unmanaged")
        volumes = [one for kind in kinds for one in small.world.objects[kind].values() if one["$SR"] == sr["id"]]
        assert sr["physical_usage"] == sum(one["usage"] for one in volumes)
        assert sorted(sr["VDIs"]) == sorted(one["id"] for one in volumes)
        assert len(volumes) < 12
    info = small.world.repository_info[small.nas["id"]]
    assert info["used"] + info["available"] == info["size"]
    archives = sum(one.size for one in small.live.shelf(small.nas["id"]).archives)
    assert info["used"] - 100 * GIB == archives


# --- several targets, other jobs


def test_when_all_of_several_targets_are_lost_the_vm_fails_with_an_error_that_holds_the_last_one() -> None:
    small = Small()
    small.job["remotes"] = {"id": {"__or": [small.nas["id"], small.vault["id"]]}}
    for repository in (small.nas, small.vault):
        small.world.set_repository_space(repository, 20 * GIB, 1 * GIB)
    (vm,) = small.run()["tasks"]
    assert vm["result"]["message"] == "all targets have failed, step: writer.transfer()"
    assert [error["code"] for error in vm["result"]["errors"]] == ["ENOSPC"]
    assert len(vm["warnings"]) == 2


def test_a_target_sr_without_room_fails_the_replication() -> None:
    small = Small()
    full = small.world.add_sr(small.pool, "DR", "ext", size=10 * GIB, physical_usage=9 * GIB)
    job = small.world.add_job("replication", vms=[small.web], srs=[full])
    (vm,) = small.run(small.world.add_schedule(job, settings={"exportRetention": 0, "copyRetention": 1}))["tasks"]
    assert (vm["status"], vm["result"]["code"]) == ("failure", "SR_BACKEND_FAILURE_44")


def test_a_metadata_job_fails_for_each_repository_it_cannot_write_to() -> None:
    small = Small()
    off = small.world.add_repository("off", enabled=False)
    bad = small.world.add_repository("bad", error={"code": "EACCES", "syscall": "open", "path": "/srv"})
    tiny = small.world.add_repository("tiny", size=1 * MIB, available=0)
    job = small.world.add_job(
        "meta", type="metadataBackup", remotes=[small.nas, off, bad, tiny], pools={"id": small.pool["id"]}
    )
    log = small.run(small.world.add_schedule(job))
    messages = [task.get("result", {}).get("message") for task in log["tasks"][0]["tasks"]]
    assert messages == [
        None,
        "remote is disabled",
        "EACCES: permission denied, open '/srv'",
        "ENOSPC: no space left on device, write",
    ]
    assert log["status"] == "failure"


def test_a_mirror_job_copies_what_the_target_lacks_and_fails_without_its_source() -> None:
    small = Small()
    small.run()
    job = small.world.add_job("mirror", type="mirrorBackup", remotes=[small.vault], sourceRemote=small.nas["id"])
    schedule = small.world.add_schedule(job)
    before = small.world.repository_info[small.vault["id"]]["available"]
    first, second = small.run(schedule), small.run(schedule)
    assert [transfers(log) != [] for log in (first, second)] == [True, False]
    assert before - small.world.repository_info[small.vault["id"]]["available"] == sizes(first)[0]
    assert second["tasks"][0]["infos"] == [{"message": "No new data to upload for this VM"}]
    small.nas["enabled"] = False
    assert small.run(schedule)["result"]["message"] == "couldn't instantiate source remote"


def test_an_sr_that_is_not_plugged_on_the_vms_host_fails_its_snapshot() -> None:
    small = Small()
    other = small.world.add_host(small.pool, "xcp-2")
    small.world.unplug(small.nfs, other)
    assert small.run()["status"] == "success"
    small.world.unplug(small.nfs)
    (task,) = small.run()["tasks"]
    assert (task["status"], task["result"]["code"]) == ("failure", "SR_HAS_NO_PBDS")
