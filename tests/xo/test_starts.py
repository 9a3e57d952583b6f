"""How guard has XO run a job or a sequence, on loopback: which run it was, and what is known when none shows."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from guard.errors import XoAnswerError, XoNotSentError, XoTimeoutError, XoUnreachableError
from guard.simulator.faults import Cut, Hang, HttpStatus, RpcFailure
from tests.stories.small_world import schedule
from tests.xo.writing import Place, until


@pytest.fixture
def place():
    return Place()


def test_a_start_returns_the_new_runs_id_while_the_run_goes_on_and_leaving_does_not_stop_it(place):
    run_id = place.ask(place.start)
    assert place.job["runId"] == run_id
    (start,) = place.world.starts
    assert (start.run_id, start.origin, start.vms) == (run_id, "rpc", None)
    assert place.calls("backupNg.runJob") == [{"id": place.job["id"], "schedule": place.nightly["id"]}]
    place.live.advance(timedelta(minutes=30))
    assert place.world.logs[run_id]["status"] == "success"


def test_a_start_of_chosen_vms_takes_those_alone(place):
    vms = place.job["vms"]["id"]
    place.ask(lambda xo: place.start(xo, vms=(vms,)))
    assert place.world.starts[0].vms == (vms,)
    assert place.calls("backupNg.runJob")[0]["vms"] == [vms]


def test_a_start_of_no_vm_is_a_mistake_of_the_caller(place):
    with pytest.raises(ValueError, match="a start needs a VM"):
        place.ask(lambda xo: place.start(xo, vms=()))
    assert place.app.sockets == []


@pytest.mark.parametrize("kind", ["metadataBackup", "call", ""])
def test_jobs_of_other_types_are_not_started(place, kind):
    with pytest.raises(ValueError, match="guard starts no job of type"):
        place.ask(lambda xo: xo.start("job", kind, "schedule", None, ()))
    assert place.app.sockets == []


def test_a_mirror_job_is_started_whole(place):
    nas, vault = next(iter(place.world.repositories.values())), place.world.add_repository("vault")
    job = place.world.add_job("mirror", type="mirrorBackup", remotes=[vault], sourceRemote=nas["id"])
    its = place.world.add_schedule(job, "0 7 * * *")
    run_id = place.ask(lambda xo: xo.start(job["id"], "mirrorBackup", its["id"], ("vm",), ()))
    assert run_id == job["runId"]
    assert place.calls("mirrorBackup.runJob") == [{"id": job["id"], "schedule": its["id"]}]


def test_a_run_that_is_over_before_it_shows_is_for_the_logs_to_tell(place):
    place.plant("/rest/v0/backup-jobs", Hang())

    async def start(xo):
        starting = asyncio.create_task(place.start(xo))
        await place.asked_to_run(1)
        place.live.advance(timedelta(hours=1))
        return await starting

    assert place.ask(start) == ""
    assert [log["status"] for log in place.world.logs.values()] == ["success"]


def test_a_start_of_a_job_that_runs_is_refused_and_leaves_a_failed_log(place):
    running = place.live.jobs.run_schedule(place.nightly, "cron").log["id"]

    async def start(xo):
        starting = asyncio.create_task(place.start(xo, known={running}))
        await place.asked_to_run(2)
        place.live.advance(timedelta(seconds=1))
        await starting

    with pytest.raises(XoAnswerError, match="is already running"):
        place.ask(start)
    assert [log["status"] for log in place.world.logs.values()] == ["pending", "failure"]


def test_a_run_of_somebody_else_that_began_just_before_is_not_taken_for_guards(place):
    place.live.jobs.run_schedule(place.nightly, "cron")

    async def start(xo):
        starting = asyncio.create_task(place.start(xo, known=()))
        await place.asked_to_run(2)
        await until(lambda: place.app.requests)
        place.live.advance(timedelta(seconds=1))
        await starting

    with pytest.raises(XoAnswerError, match="is already running"):
        place.ask(start, poll_s=5)


def test_a_run_that_xo_fails_as_a_whole_is_told_with_xos_words(place):
    place.job["remotes"] = {"id": "gone"}

    async def start(xo):
        starting = asyncio.create_task(place.start(xo))
        await place.asked_to_run(1)
        place.live.advance(timedelta(minutes=1))
        await starting

    with pytest.raises(XoAnswerError, match="couldn't instantiate any remote"):
        place.ask(start, poll_s=5)


def test_an_xo_that_cannot_be_polled_for_a_while_still_shows_the_run(place):
    place.plant("/rest/v0/backup-jobs", HttpStatus(500), times=3)
    assert place.ask(place.start) == place.job["runId"]
    assert place.app.requests[0].query["fields"] == "id,runId"


def test_a_start_that_neither_answers_nor_shows_is_in_doubt(place):
    place.plant("/rest/v0/backup-jobs", Hang())
    with pytest.raises(XoTimeoutError, match=r"neither answered backupNg\.runJob nor showed a new run within 0\.5 s"):
        place.ask(place.start, call_timeout_s=0.5)
    assert "runId" in place.job


def test_a_connection_lost_after_the_start_leaves_the_run_going(place):
    with pytest.raises(XoUnreachableError, match=r"in the middle of backupNg\.runJob"):
        place.plant("backupNg.runJob", Cut()).ask(place.start)
    assert "runId" in place.job


# --- sequences


def members(place):
    return [schedule(place.live, name) for name in ("first", "second")]


def test_a_sequence_returns_its_first_members_run_and_goes_on_by_itself(place):
    first, second = members(place)
    run_id = place.ask(lambda xo: xo.run_sequence([first["id"], second["id"]], ()))
    assert place.world.jobs[first["jobId"]]["runId"] == run_id
    assert place.calls("schedule.runSequence") == [{"schedules": [first["id"], second["id"]]}]
    place.live.advance(timedelta(hours=1))
    assert [(one.schedule_id, one.origin) for one in place.world.starts] == [
        (first["id"], "sequence"),
        (second["id"], "sequence"),
    ]


def test_a_sequence_whose_first_member_was_over_at_once_is_for_the_logs_to_tell(place):
    first, second = members(place)
    place.plant("/rest/v0/backup-jobs", HttpStatus(500), times=10_000)

    async def run(xo):
        running = asyncio.create_task(xo.run_sequence([first["id"], second["id"]], ()))
        await place.asked_to_run(1)
        while len(place.world.starts) < 2:
            place.live.advance(timedelta(seconds=1))
        place.faults.lift("/rest/v0/backup-jobs")
        return await running

    assert place.ask(run) == ""
    assert "runId" in place.world.jobs[second["jobId"]]


def test_a_sequence_too_long_for_one_question_asks_for_all_jobs(place):
    first, _ = members(place)
    for number in range(200):
        place.world.add_schedule(place.world.add_job(f"job {number}"), "0 3 1 0 *", name=f"more {number}")
    more = [one["id"] for one in place.world.schedules.values() if one["name"].startswith("more")]
    run_id = place.ask(lambda xo: xo.run_sequence([first["id"], *more], ()))
    assert run_id == place.world.jobs[first["jobId"]]["runId"]
    assert "filter" not in place.app.requests[0].query


def test_a_sequence_of_a_schedule_that_is_gone_is_refused(place):
    with pytest.raises(XoAnswerError, match="no such schedule gone"):
        place.ask(lambda xo: xo.run_sequence(["gone"], ()))


def test_a_sequence_of_nothing_is_a_mistake_of_the_caller(place):
    with pytest.raises(ValueError, match="a sequence needs a schedule"):
        place.ask(lambda xo: xo.run_sequence([], ()))
    assert place.app.sockets == []


@pytest.mark.parametrize("fault", [RpcFailure(-32000), Cut(), Hang()], ids=["refused", "lost", "hangs"])
def test_a_sequence_whose_members_cannot_be_read_was_not_sent(place, fault):
    place.plant("schedule.getAll", fault)
    with pytest.raises(XoNotSentError):
        place.ask(lambda xo: xo.run_sequence([place.nightly["id"]], ()), call_timeout_s=0.2)
    assert place.world.writes == []
