"""The faces of a living world: runs that block, what is written where, what is cached."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import httpx
import pytest
import websockets
from guard.simulator.live import Live
from guard.simulator.serve import Simulator, running, serve
from tests.simulator.living import MIB, RECORDINGS, Small, check_like, recorded, rest, rpc, utc
from tests.virtual_time import run

TASK = {"objectType", "name", "objectId", "userId", "type"}


def living() -> Small:
    """A small world that follows the loop's own clock, its only schedule disabled."""
    small = Small(asyncio.get_running_loop().now)
    small.schedule["enabled"] = False
    assert small.live.world is small.world
    return small


def told(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return run(coroutine)


async def with_driver(live: Live, work: Coroutine[Any, Any, Any]) -> Any:
    driving = asyncio.create_task(live.drive())
    try:
        return await work
    finally:
        driving.cancel()


def origins(small: Small) -> list[tuple[str, str]]:
    names = {identity: schedule["name"] for identity, schedule in small.world.schedules.items()}
    return [(names.get(one.schedule_id, one.schedule_id), one.origin) for one in small.world.starts]


# --- runJob


def test_run_job_blocks_until_the_run_ends_and_tells_nothing_of_its_vms() -> None:
    async def main() -> None:
        small, loop = living(), asyncio.get_running_loop()
        small.world.add_base_copies(small.web_disk, 3)
        small.live.rates.default_host_rate = 10 * MIB
        _, schedule = small.another("two", "0 3 1 1 *", [small.web, small.db])
        begun = loop.time()

        async def call() -> None:
            async with rpc(small.world) as socket:
                answer = await socket.call("backupNg.runJob", id=schedule["jobId"], schedule=schedule["id"])
            assert answer["result"] is True

        await with_driver(small.live, call())
        (log,) = small.logs(schedule)
        assert loop.time() - begun == pytest.approx((log["end"] - log["start"]) / 1000, abs=0.1)
        assert log["end"] - log["start"] > 120_000
        assert log["status"] == "skipped"
        assert [write.method for write in small.world.writes] == ["backupNg.runJob"]

    told(main())


def test_a_run_survives_the_client_that_started_it() -> None:
    async def main() -> None:
        small = living()
        small.live.rates.default_host_rate = 10 * MIB
        async with rpc(small.world) as socket:
            await socket.send("backupNg.runJob", id=small.job["id"], schedule=small.schedule["id"])
            await asyncio.sleep(1)
        assert small.job["runId"] == small.logs()[0]["id"]
        await with_driver(small.live, asyncio.sleep(3600))
        assert [log["status"] for log in small.logs()] == ["success"]
        assert "runId" not in small.job

    told(main())


def test_a_socket_answers_other_calls_while_a_run_blocks_one() -> None:
    async def main() -> list[int]:
        small = living()
        async with rpc(small.world) as socket:
            await socket.send("backupNg.runJob", id=small.job["id"], schedule=small.schedule["id"])
            version = await socket.call("system.getServerVersion")
            return [version["id"], len(small.live.jobs.running)]

    assert told(main()) == [3, 1]


def test_job_level_errors_are_answered_as_recorded() -> None:
    async def main() -> None:
        small = living()
        _, nothing = small.another("none", "0 3 1 1 *", {"type": "VM", "tags": {"__or": [["x"]]}})
        gone, unsaved = small.another("gone", "0 3 1 1 *", [small.web])
        gone["remotes"] = {"id": "22222222-2222-4333-8444-555555555555"}

        async def calls() -> None:
            async with rpc(small.world) as socket:
                for name, number, schedule in (("no_vms_match", 0, nothing), ("remote_unknown", 0, unsaved)):
                    answer = await socket.call("backupNg.runJob", id=schedule["jobId"], schedule=schedule["id"])
                    real = outcome(name, number)
                    assert answer["error"].keys() == real.keys()
                    assert (answer["error"]["code"], answer["error"]["message"]) == (real["code"], real["message"])
                    assert answer["error"]["data"].keys() == real["data"].keys()
                await socket.send("backupNg.runJob", id=small.job["id"], schedule=small.schedule["id"])
                refused = await socket.call("backupNg.runJob", id=small.job["id"], schedule=small.schedule["id"])
                message = f"the job ({small.job['id']}) is already running"
                assert refused["error"] == {
                    "code": -32000,
                    "message": message,
                    "data": {"message": message, "name": "Error"},
                }

        await with_driver(small.live, calls())

    told(main())


def outcome(name: str, number: int) -> dict[str, Any]:
    return json.loads((RECORDINGS / "logs" / f"{name}.json").read_text())["runJobOutcome"][number]["rpcError"]


def test_vms_replace_the_selection_an_empty_list_is_a_success_and_settings_last_for_one_run() -> None:
    async def main() -> None:
        small = living()
        common = {"id": small.job["id"], "schedule": small.schedule["id"]}

        async def calls() -> None:
            async with rpc(small.world) as socket:
                for more in (
                    {"vms": [small.db["id"]]},
                    {"vms": []},
                    {"settings": {"": {"concurrency": 1}, small.schedule["id"]: {"exportRetention": 1}}},
                ):
                    assert (await socket.call("backupNg.runJob", **common, **more))["result"] is True
                unknown = await socket.call("backupNg.runJob", id="nope", schedule=small.schedule["id"])
                assert (unknown["error"]["code"], unknown["error"]["message"]) == (1, "no such job nope")

        await with_driver(small.live, calls())
        ran = [[vm["data"]["id"] for vm in log.get("tasks", [])] for log in small.logs()]
        assert ran == [[small.db["id"]], [], [small.web["id"]]]
        assert [one.vms for one in small.world.starts] == [(small.db["id"],), (), None]
        assert "concurrency" not in small.job["settings"][""]

    told(main())


def test_an_unknown_vm_of_a_partial_run_fails_and_the_call_succeeds() -> None:
    async def main() -> None:
        small = living()

        async def call() -> Any:
            async with rpc(small.world) as socket:
                return await socket.call(
                    "backupNg.runJob", id=small.job["id"], schedule=small.schedule["id"], vms=["gone"]
                )

        assert (await with_driver(small.live, call()))["result"] is True
        assert small.logs()[0]["tasks"][0]["result"]["message"] == "no XAPI associated to gone"

    told(main())


def test_metadata_and_mirror_jobs_run_too() -> None:
    async def main() -> None:
        small = living()
        world = small.world
        meta = world.add_job("meta", type="metadataBackup", remotes=[small.nas], xoMetadata=True)
        mirror = world.add_job("mirror", type="mirrorBackup", remotes=[small.vault], sourceRemote=small.nas["id"])
        schedules = [world.add_schedule(job, "0 3 1 1 *") for job in (meta, mirror)]

        async def calls() -> None:
            async with rpc(world) as socket:
                await socket.call("backupNg.runJob", id=small.job["id"], schedule=small.schedule["id"])
                for method, schedule in zip(("metadataBackup", "mirrorBackup"), schedules, strict=True):
                    call = {"id": schedule["jobId"], "schedule": schedule["id"]}
                    assert (await socket.call(f"{method}.runJob", **call))["result"] is True

        await with_driver(small.live, calls())
        assert [log["status"] for log in world.logs.values()] == ["success"] * 3
        assert len(small.live.shelf(small.vault["id"]).archives) == 1

    told(main())


# --- REST


def test_a_rest_start_runs_and_its_task_ends_with_it_as_recorded() -> None:
    async def main() -> None:
        small = living()
        small.world.add_base_copies(small.web_disk, 3)
        _, nothing = small.another("none", "0 3 1 1 *", {"type": "VM", "tags": {"__or": [["x"]]}})

        async def start(schedule: dict) -> Any:
            async with rest(small.world) as client:
                answer = await client.post(f"/rest/v0/schedules/{schedule['id']}/actions/run")
                assert answer.status_code == 202
                await asyncio.sleep(600)
                return (await client.get(answer.headers["location"])).json()

        skipped, failed = [await with_driver(small.live, start(one)) for one in (small.schedule, nothing)]
        assert (skipped["status"], failed["status"]) == ("success", "failure")
        assert set(skipped["properties"]) == TASK
        assert failed["result"]["code"] == 27
        assert origins(small) == [("nightly schedule", "rest"), ("none schedule", "rest")]
        assert [write.by for write in small.world.writes] == ["rest", "rest"]

    told(main())


def test_a_disabled_schedule_can_be_run_by_hand() -> None:
    small = Small()
    small.schedule["enabled"] = False

    async def start() -> None:
        async with rest(small.live.world) as client:
            await client.post(f"/rest/v0/schedules/{small.schedule['id']}/actions/run")

    asyncio.run(start())
    small.live.advance(timedelta(minutes=10))
    check_like(recorded("cron_triggered"), small.logs()[0])


# --- schedules and jobs


def test_schedules_are_set_created_and_deleted_and_every_write_is_recorded() -> None:
    small = Small()

    async def writes() -> dict[str, Any]:
        async with rpc(small.live.world) as socket:
            await socket.call("schedule.set", id=small.schedule["id"], enabled=False)
            made = await socket.call("schedule.create", jobId=small.job["id"], cron="0 4 * * *", enabled=True, name="x")
            gone = await socket.call("schedule.create", jobId=small.job["id"], cron="0 5 * * *", enabled=True)
            await socket.call("schedule.delete", id=gone["result"]["id"])
            missing = await socket.call("schedule.delete", id=gone["result"]["id"])
            assert missing["error"]["message"] == f"no such schedule {gone['result']['id']}"
            await socket.call("schedule.getAll")
            await socket.call("host.disable", id=small.host["id"])
            return made["result"]

    made = asyncio.run(writes())
    small.job["settings"][made["id"]] = {"exportRetention": 1}
    small.live.advance(utc(25, 12))
    assert origins(small) == [("x", "cron")]
    assert [(write.by, write.method) for write in small.world.writes] == [
        ("rpc", method)
        for method in (
            "schedule.set",
            "schedule.create",
            "schedule.create",
            "schedule.delete",
            "schedule.delete",
            "host.disable",
        )
    ]
    assert small.world.writes[0].params == {"id": small.schedule["id"], "enabled": False}
    assert small.world.writes[0].user_id == next(iter(small.world.users))


def test_a_bad_expression_is_stored_before_it_is_refused() -> None:
    small = Small()

    async def write() -> dict[str, Any]:
        async with rpc(small.live.world) as socket:
            return await socket.call("schedule.set", id=small.schedule["id"], cron="0 3 * * wed")

    assert asyncio.run(write())["error"]["code"] == -32000
    assert small.schedule["cron"] == "0 3 * * wed"
    assert not small.live.scheduler.armed(small.schedule["id"])


def test_a_null_takes_a_property_away() -> None:
    small = Small()

    async def write() -> None:
        async with rpc(small.live.world) as socket:
            await socket.call("schedule.set", id=small.schedule["id"], name=None)

    asyncio.run(write())
    assert "name" not in small.schedule


def test_the_dead_mans_switch_of_two_call_jobs_works_as_tried_on_a_real_xo() -> None:
    small = Small()

    def job(method: str, values: dict[str, Any]) -> dict[str, Any]:
        vector = {"type": "crossProduct", "items": [{"type": "set", "values": [values]}]}
        return {"type": "call", "key": "genericTask", "method": method, "name": method, "paramsVector": vector}

    async def put() -> list[str]:
        identity, made = small.schedule["id"], []
        async with rpc(small.live.world) as socket:
            for method, values, cron in (
                ("schedule.runSequence", {"schedules": [identity]}, "3 2 * * *"),
                ("schedule.set", {"id": identity, "enabled": True}, "5,6 2 * * *"),
            ):
                made.append((await socket.call("job.create", job=job(method, values)))["result"])
                await socket.call("schedule.create", jobId=made[-1], cron=cron, enabled=True, name=method)
            await socket.call("schedule.set", id=identity, enabled=False)
            listed = (await socket.call("job.getAll"))["result"]
            assert [one["id"] for one in listed] == made
        return made

    made = asyncio.run(put())
    small.live.advance(utc(25, 12))
    assert small.schedule["enabled"] is True
    assert origins(small) == [
        ("schedule.runSequence", "call"),
        ("nightly schedule", "sequence"),
        ("schedule.set", "call"),
        ("schedule.set", "call"),
    ]
    start = small.world.starts[1]
    assert f"{start.at:%H:%M:%S}" == "02:03:00"
    assert small.world.schedules[start.via]["name"] == "schedule.runSequence"
    assert small.logs()[0]["scheduleId"] == small.schedule["id"]
    assert {write.by for write in small.world.writes} == {"rpc"}
    assert [(write.by, write.method) for write in small.world.own_writes] == [("call", "schedule.set")] * 2

    async def remove() -> None:
        async with rpc(small.world) as socket:
            for identity in made:
                assert (await socket.call("job.delete", id=identity))["result"] is True

    asyncio.run(remove())
    assert list(small.world.schedules) == [small.schedule["id"]]
    small.live.advance(utc(26, 12))
    assert origins(small)[4:] == [("nightly schedule", "cron")]


# --- sequences


def chain(small: Small) -> list[dict]:
    """Three members: one that matches nothing, a good one, and one whose repository is gone; then one that never is."""
    members = [
        small.another("none", "0 3 1 1 *", {"type": "VM", "tags": {"__or": [["x"]]}})[1],
        small.another("good", "0 3 1 1 *", [small.web])[1],
        small.another("bad", "0 3 1 1 *", [small.db])[1],
        small.another("last", "0 3 1 1 *", [small.db])[1],
    ]
    small.world.jobs[members[2]["jobId"]]["remotes"] = {"id": "22222222-2222-4333-8444-555555555555"}
    return members


def test_a_sequence_runs_one_member_after_another_and_stops_at_a_job_level_error_but_no_match() -> None:
    small = Small()
    small.schedule["enabled"] = False
    members = chain(small)
    small.world.add_sequence("weekend", members, cron="0 1 * * *")
    small.live.advance(utc(25, 12))
    assert origins(small) == [
        ("weekend", "call"),
        ("none schedule", "sequence"),
        ("good schedule", "sequence"),
        ("bad schedule", "sequence"),
    ]
    (good,) = small.logs(members[1])
    assert small.logs(members[2])[0]["start"] >= good["end"]
    (task,) = [one for one in small.world.xo_tasks.values() if one["properties"]["name"] == "Schedule sequence"]
    assert task["status"] == "failure"


def test_failed_vms_do_not_stop_a_sequence() -> None:
    small = Small()
    small.schedule["enabled"] = False
    members = [small.another(name, "0 3 1 1 *", [small.web])[1] for name in ("first", "second")]
    small.live.planted.fail_exports(small.web, "VDI_IO_ERROR")
    small.world.add_sequence("weekend", members, cron="0 1 * * *")
    small.live.advance(utc(25, 12))
    assert [small.logs(one)[0]["status"] for one in members] == ["failure", "failure"]  # the second: still locked


def test_a_client_waits_for_its_sequence_and_gets_the_error_that_stopped_it() -> None:
    async def main() -> None:
        small = living()
        members = chain(small)

        async def calls() -> None:
            async with rpc(small.world) as socket:
                fine = await socket.call("schedule.runSequence", schedules=[one["id"] for one in members[:2]])
                assert fine["result"] is True
                stopped = await socket.call("schedule.runSequence", schedules=[one["id"] for one in members])
                assert stopped["error"]["message"] == "couldn't instantiate any remote"

        await with_driver(small.live, calls())
        assert {one.via for one in small.world.starts} == {"rpc"}

    told(main())


# --- caches


def test_the_list_and_each_log_are_cached_for_ten_seconds_of_their_own() -> None:
    small = Small()
    live = small.live
    live.rates.default_host_rate = 1024 * MIB  # a run of 6 s

    async def statuses(path: str) -> Any:
        async with rest(small.world) as client:
            answer = await client.get(f"/rest/v0/backup-logs{path}")
            rows = answer.json()
            return [row["status"] for row in rows] if isinstance(rows, list) else rows.get("status", answer.status_code)

    async def by_rpc(**params: Any) -> list[str]:
        async with rpc(small.world) as socket:
            return [log["status"] for log in (await socket.call("backupNg.getLogs", **params))["result"]]

    run = live.jobs.run_schedule(small.schedule, "rpc")
    one = f"/{run.log['id']}"
    live.advance(timedelta(seconds=2))
    assert asyncio.run(statuses("?fields=status")) == ["pending"]
    live.advance(timedelta(seconds=4))
    assert run.ended
    assert asyncio.run(statuses("?fields=status")) == ["pending"]
    assert asyncio.run(by_rpc()) == ["pending"]  # one cache for both faces
    assert asyncio.run(statuses(one)) == "success"  # a cache of its own
    assert asyncio.run(by_rpc(_forceRefresh=True)) == ["success"]
    live.jobs.run_schedule(small.schedule, "rpc")
    live.advance(timedelta(seconds=9))
    assert asyncio.run(statuses("?fields=status")) == ["success"]
    live.advance(timedelta(seconds=1))
    assert asyncio.run(statuses("?fields=status")) == ["success", "success"]


def test_the_run_id_is_never_cached() -> None:
    small = Small()

    async def running_jobs() -> Any:
        async with rest(small.live.world) as client:
            return (await client.get("/rest/v0/backup-jobs?filter=runId?&fields=runId")).json()

    assert asyncio.run(running_jobs()) == []
    run = small.live.jobs.run_schedule(small.schedule, "rpc")
    assert [row["runId"] for row in asyncio.run(running_jobs())] == [run.log["id"]]


def test_a_client_that_only_reads_leaves_no_write() -> None:
    small = Small()

    async def read() -> None:
        async with rest(small.live.world) as client, rpc(small.world) as socket:
            for collection in ("vms", "schedules", "backup-logs", "backup-jobs", "tasks"):
                await client.get(f"/rest/v0/{collection}?fields=*")
            for method in ("job.getAll", "remote.getAllInfo", "backupNg.getLogs", "system.listMethods"):
                await socket.call(method)

    asyncio.run(read())
    assert small.world.writes == []


# --- with real sockets and a thread that moves the time


def test_time_can_be_moved_from_another_thread_while_clients_ask() -> None:
    small = Small()
    small.live.rates.default_host_rate = 10 * MIB
    with running(small.world) as url, httpx.Client(cookies={"token": "simulated-token"}, base_url=url) as client:
        for _ in range(14):
            small.live.advance(timedelta(hours=1))
            assert client.get("/rest/v0/backup-logs").status_code == 200
        assert [row["status"] for row in client.get("/rest/v0/backup-logs?fields=status").json()] == ["success"]


def test_a_restart_cuts_real_sockets_and_the_answers_to_come_on_them_are_lost() -> None:
    async def main() -> None:
        small = Small()
        async with (
            serve(Simulator(small.live.world)) as url,
            httpx.AsyncClient(cookies={"token": "simulated-token"}, base_url=url) as client,
        ):
            async with websockets.connect(f"{url.replace('http', 'ws')}/api/") as socket:
                token = {"token": "simulated-token"}
                await socket.send(json.dumps({"id": 1, "method": "session.signIn", "params": token}))
                await socket.recv()
                call = {"id": small.job["id"], "schedule": small.schedule["id"]}
                await socket.send(json.dumps({"id": 2, "method": "backupNg.runJob", "params": call}))
                await socket.send(json.dumps({"id": 3, "method": "system.getServerVersion", "params": {}}))
                assert json.loads(await socket.recv())["id"] == 3
                assert (await client.get("/rest/v0/schedules")).status_code == 200
                small.live.restart_xo(timedelta(minutes=1))
                with pytest.raises(websockets.ConnectionClosed):
                    await socket.recv()
            with pytest.raises(httpx.TransportError):
                await client.get("/rest/v0/ping")
            small.live.advance(timedelta(minutes=2))
            codes = [(await client.get("/rest/v0/schedules")).status_code for _ in range(2)]
            assert codes == [401, 200]
        assert [log["status"] for log in small.logs()] == ["interrupted"]

    asyncio.run(main())
