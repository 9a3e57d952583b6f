"""Starts over REST that a client waits for."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from guard.simulator.serve import Simulator, serve
from tests.simulator.living import TOKEN, Small, rest
from tests.simulator.worlds import small_world


async def waited_for(small: Small, schedule: dict[str, Any], query: str = "sync=true") -> httpx.Response:
    """The answer to a start, while the world's time goes on."""
    live = small.live
    async with rest(small.world) as client:
        asked = asyncio.create_task(client.post(f"/rest/v0/schedules/{schedule['id']}/actions/run?{query}"))
        for _ in range(400):
            await asyncio.sleep(0)
            if asked.done():
                return asked.result()
            live.advance(timedelta(minutes=1))
        raise AssertionError("no answer")


def start(small: Small, schedule: dict[str, Any], query: str = "sync=true") -> httpx.Response:
    return asyncio.run(waited_for(small, schedule, query))


def test_a_start_that_is_waited_for_is_answered_when_the_run_has_ended() -> None:
    small = Small()
    began = small.live.now()
    answer = start(small, small.schedule)
    assert (answer.status_code, answer.content) == (204, b"")
    (log,) = small.logs()
    assert log["status"] == "success"
    assert small.live.now() - began > timedelta(milliseconds=log["end"] - log["start"])


def test_what_a_vm_fails_with_is_not_told() -> None:
    small = Small()
    small.live.planted.fail_exports(small.web, "other side closed")
    assert start(small, small.schedule).status_code == 204
    assert small.logs()[0]["status"] == "failure"


def test_what_the_run_as_a_whole_fails_with_is_told() -> None:
    small = Small()
    job, schedule = small.another("nobody", "0 4 * * *", {"tags": {"__or": [["nobody"]]}})
    answer = start(small, schedule)
    assert (answer.status_code, answer.json()["error"]) == (500, "no VMs match this pattern")
    assert answer.json()["data"]["jobId"] == job["id"]


def test_a_second_start_is_refused_while_the_first_goes_on() -> None:
    small = Small()
    small.live.planted.hang_exports(small.web)
    small.live.jobs.run_schedule(small.schedule, "cron")
    answer = start(small, small.schedule)
    assert (answer.status_code, answer.json()) == (500, {"error": f"the job ({small.job['id']}) is already running"})
    assert [log["status"] for log in small.logs()] == ["pending", "failure"]


def test_a_schedule_of_no_job_is_not_found() -> None:
    small = Small()
    del small.world.jobs[small.job["id"]]
    answer = start(small, small.schedule)
    assert (answer.status_code, answer.json()["data"]) == (404, {"id": small.job["id"], "type": "job"})


@pytest.mark.parametrize("query", ["sync", "sync=1", "sync=true&sync=true"])
def test_a_word_that_is_no_flag_starts_nothing(query: str) -> None:
    small = Small()
    answer = start(small, small.schedule, query)
    assert (answer.status_code, list(answer.json()["error"])) == (422, ["sync"])
    assert small.world.starts == []


def test_a_world_that_moves_no_data_does_not_let_anybody_wait() -> None:
    small = small_world()

    async def ask() -> httpx.Response:
        async with rest(small.world) as client:
            return await client.post(f"/rest/v0/schedules/{small.schedule['id']}/actions/run?sync=true")

    assert asyncio.run(ask()).status_code == 204
    assert [schedule for _, schedule in small.world.starts] == [small.schedule["id"]]


def test_an_xo_that_dies_answers_nobody_who_waits() -> None:
    small = Small()
    live = small.live

    async def ask() -> None:
        async with serve(Simulator(small.world)) as url, httpx.AsyncClient(cookies=TOKEN, base_url=url) as client:
            live.timeline.on_earlier = lambda: loop.call_soon_threadsafe(live.stop_xo)  # once the start is taken
            loop = asyncio.get_running_loop()
            with pytest.raises(httpx.TransportError):
                await client.post(f"/rest/v0/schedules/{small.schedule['id']}/actions/run?sync=true")

    asyncio.run(ask())
    assert [schedule for _, schedule in small.world.starts] == [small.schedule["id"]]
