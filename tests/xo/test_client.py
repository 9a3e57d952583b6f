"""Reading an estate: what is asked, what becomes of a part that fails, and what ends the reading as a whole."""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta

import pytest
from guard.errors import XoAnswerError, XoAuthError, XoBootingError, XoTimeoutError, XoUnreachableError
from guard.estate.estate import ON_REQUEST, PartName
from guard.simulator.faults import Faults, HalfAnswer, Hang, HttpStatus, RpcFailure
from guard.simulator.world import GIB, World
from tests.xo.watched import Watched, read

NOW = datetime(2026, 11, 24, 20, tzinfo=UTC)


def small_world(**options):
    """One VM with a disk, a repository, a job with a schedule and two past runs."""
    world = World(lambda: NOW, **options)
    pool = world.add_pool("paris")
    world.add_host(pool, "xcp-1")
    vm = world.add_vm(pool, "web", tags=["prod"])
    world.add_disk(vm, world.add_sr(pool, "nfs", "nfs", size=1000 * GIB), size=GIB)
    job = world.add_job("nightly", vms=[vm], remotes=[world.add_repository("nas", size=10 * GIB, available=4 * GIB)])
    schedule = world.add_schedule(job, "0 3 * * *", "Europe/Paris")
    for day in (40, 1):
        start = NOW - timedelta(days=day)
        world.add_run(schedule, start, start + timedelta(minutes=5), error=None)
    return world


def with_fault(where, fault, **more):
    faults = Faults()
    faults.plant(where, fault, **more)
    return Watched(small_world(), faults)


def test_every_part_is_read_at_once_and_stamped_with_its_source():
    found = read(Watched(small_world()), NOW)
    assert set(found.parts) == set(PartName) - ON_REQUEST
    assert all(part.usable and part.read_at == NOW and part.source for part in found.parts.values())
    assert [vm.name for vm in found.vms] == ["web"]
    (info,) = found.repository_info.values()
    assert (info.size, info.used, info.available) == (10 * GIB, 6 * GIB, 4 * GIB)
    assert not info.has_legacy_encryption
    assert (found.xo.version, found.xo.admin, found.taken_at) == ("5.207.2", True, NOW)


def test_only_logs_of_the_days_asked_for_are_read_and_the_newest_with_their_tasks():
    app = Watched(small_world())
    found = read(app, NOW, history_days=7)
    (log,) = found.logs
    assert log.start == int((NOW - timedelta(days=1)).timestamp() * 1000)
    first, whole = [one for one in app.requests if one.path == "/rest/v0/backup-logs"]
    assert first.query["filter"] == f"start:>{int((NOW - timedelta(days=7)).timestamp() * 1000)}"
    assert "tasks" not in first.query["fields"].split(",")
    assert whole.query["filter"] == f"|(id:/^{log.id}$/)"
    assert len(read(Watched(small_world()), NOW, history_days=50).logs) == 2


def test_what_a_pattern_asks_of_vms_is_read_with_them():
    world = small_world()
    vm = next(iter(world.visible("VM")))
    vm["high_availability"] = "restart"
    world.add_job("important", vms={"high_availability": "restart", "nothing": {}})
    found = read(Watched(world), NOW)
    assert found.vm_properties == {vm["id"]: {"high_availability": "restart"}}


def test_the_number_of_requests_does_not_grow_with_the_estate():
    small, large = Watched(small_world()), Watched(small_world())
    pool = large.world.visible("pool")[0]
    schedule = next(iter(large.world.schedules.values()))
    for number in range(30):
        large.world.add_vm(pool, f"vm-{number}")
        large.world.add_run(schedule, NOW - timedelta(days=5, hours=number), NOW - timedelta(days=5, hours=number - 1))
    assert len(read(small, NOW).vms) < len(read(large, NOW).vms)
    assert len(small.requests) == len(large.requests) <= 16
    assert [one["method"] for one in small.calls] == [one["method"] for one in large.calls]
    assert small.calls[1]["params"] == {"token": "simulated-token"}


# --- a part that fails


@pytest.mark.parametrize(
    "body", ['{"id":"s"}', '[{"id":5}]', '[{"id":"s","size":"5"}]', '["/rest/v0/srs/s"]', '[{"id":', ""]
)
def test_an_answer_of_another_shape_leaves_that_part_unknown_and_says_which_question_it_answers(body):
    found = read(Watched(small_world(), instead={"/rest/v0/srs": body}), NOW)
    part = found.parts[PartName.SRS]
    assert (part.ok, part.usable, found.srs) == (False, False, ())
    assert part.error.startswith("XO's answer to GET /rest/v0/srs has not the expected shape: ")
    assert [name for name, one in found.parts.items() if not one.ok] == [PartName.SRS]


@pytest.mark.parametrize(
    ("where", "parts"),
    [
        ("job.getAll", {PartName.CALL_JOBS}),
        ("remote.getAllInfo", {PartName.REPOSITORY_INFO}),
        ("xo.getAllObjects", {PartName.VDI_UNMANAGED, PartName.VUSBS, PartName.XAPI_TASKS, PartName.MESSAGES}),
    ],
)
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (RpcFailure(-32000, "no handler"), "with an error: no handler"),
        (RpcFailure(2, "not enough permissions"), "XO refused "),
    ],
)
def test_a_call_that_fails_leaves_its_parts_unknown(where, parts, fault, said):
    found = read(with_fault(where, fault), NOW)
    assert {name for name, one in found.parts.items() if not one.ok} == parts
    assert all(said in found.parts[name].error for name in parts)


def test_a_call_without_an_answer_leaves_its_part_unknown_after_its_time():
    found = read(with_fault("job.getAll", Hang()), NOW, call_timeout_s=0.3)
    assert found.parts[PartName.CALL_JOBS].error.startswith("XO did not answer job.getAll within 0.3 s; ")
    assert found.vms


def test_the_trees_of_logs_that_fail_make_the_logs_unknown_not_shallow():
    found = read(with_fault("/rest/v0/backup-logs", HttpStatus(500, "boom"), skip=1), NOW)
    assert (found.parts[PartName.LOGS].ok, found.logs) == (False, ())


def test_without_the_jobs_the_vms_are_still_read():
    found = read(with_fault("/rest/v0/backup-jobs", HttpStatus(500, "boom")), NOW)
    assert ([name for name, one in found.parts.items() if not one.ok], len(found.vms)) == ([PartName.JOBS], 1)


def test_the_later_free_space_wins_and_an_entry_that_vanished_meanwhile_stays():
    world = small_world()
    (identity,) = world.repositories
    other = world.add_repository("usb", size=8 * GIB)
    faults = Faults()

    def meanwhile():
        world.set_repository_space(world.repositories[identity], 10 * GIB, 1 * GIB)
        del world.repository_info[other["id"]]

    faults.after(8, meanwhile)
    found = read(Watched(world, faults), NOW)
    assert found.repository_info[identity].available == 1 * GIB
    assert found.repository_info[other["id"]].available == 4 * GIB


# --- what ends the reading


def test_a_version_that_is_none_ends_it():
    with pytest.raises(XoAnswerError, match="XO gave 'unknown' as its version"):
        read(Watched(small_world(version="unknown")), NOW)


def test_a_refused_token_ends_it_before_any_list_is_read():
    app = Watched(small_world())
    with pytest.raises(XoAuthError, match=r"refused the token \(401\)"):
        read(app, NOW, token="wrong")
    assert app.requests == []


def test_a_token_refused_over_rest_after_it_was_accepted_means_a_booting_xo():
    with pytest.raises(XoBootingError, match="still booting"):
        read(with_fault("/rest/v0/pools", HttpStatus(401, "invalid credentials")), NOW)


def test_a_connection_that_breaks_ends_it_because_nothing_that_follows_can_be_trusted():
    with pytest.raises(XoUnreachableError, match="broke off in the middle of GET /rest/v0/hosts"):
        read(with_fault("/rest/v0/hosts", HalfAnswer()), NOW)


@pytest.mark.parametrize(
    ("where", "fault"), [("/rest/v0/hosts", HalfAnswer()), ("/rest/v0/pools", HttpStatus(401, "no"))]
)
def test_a_reading_that_ends_early_leaves_no_question_behind_in_the_log(where, fault, caplog):
    faults = Faults()
    faults.plant(where, fault)
    faults.plant("xo.getAllObjects", Hang())
    faults.plant("remote.getAllInfo", RpcFailure(-32000, "no handler"))
    with pytest.raises((XoUnreachableError, XoBootingError)):
        read(Watched(small_world(), faults), NOW)
    gc.collect()
    assert [one.message for one in caplog.records if one.name == "asyncio"] == []


def test_the_total_time_ends_it_whatever_still_hangs():
    with pytest.raises(XoTimeoutError, match=r"took longer than 0\.3 s; raise \[xo\] total_timeout"):
        read(with_fault("xo.getAllObjects", Hang()), NOW, total_timeout_s=0.3)


@pytest.mark.parametrize("body", [b'[{"name_label":"no id"}]', b'[{"id":"v","name_label":"\xff"}]', b"{}"])
def test_vms_of_a_wrong_shape_are_unknown_also_where_a_pattern_asks_for_more_of_them(body):
    world = small_world()
    next(iter(world.jobs.values()))["vms"] = {"high_availability": "restart"}
    found = read(Watched(world, instead={"/rest/v0/vms": body}), NOW)
    part = found.parts[PartName.VMS]
    assert (part.ok, "has not the expected shape" in part.error, found.vms) == (False, True, ())
