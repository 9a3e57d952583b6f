"""XO's scheduler in driven time: when it starts what, and how it goes wrong."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from guard.simulator.live import Live
from guard.simulator.world import World, XoObject
from tests.simulator.living import EVENING, Small, Socket, rest, rpc, utc

PARIS = "Europe/Paris"


def starts(world: World, schedule: XoObject) -> list[str]:
    """When XO's own scheduler started it."""
    return [f"{one.at:%d %H:%M}" for one in world.starts if one.schedule_id == schedule["id"] and one.origin == "cron"]


def empty(now: datetime, cron: str, timezone: str | None = None) -> tuple[World, XoObject]:
    """A world whose job matches no VM: every run is over in 10 ms."""
    world = World(lambda: now)
    job = world.add_job("nothing", vms={"type": "VM", "tags": {"__or": [["none"]]}})
    return world, world.add_schedule(job, cron, timezone)


def test_an_enabled_schedule_starts_a_few_milliseconds_after_each_of_its_minutes() -> None:
    small = Small()
    small.live.advance(utc(27, 12))
    assert starts(small.world, small.schedule) == ["25 02:00", "26 02:00", "27 02:00"]
    assert [log["start"] % 60_000 for log in small.logs()] == [5, 5, 5]
    assert [log["status"] for log in small.logs()] == ["success"] * 3


def test_everything_happens_in_the_order_of_its_time_whatever_the_size_of_the_steps() -> None:
    whole, pieces = Small(), Small()
    for small in (whole, pieces):
        small.another("hourly", "30 * * * *", [small.web])
    whole.live.advance(utc(26, 8))
    while pieces.live.now() < utc(26, 8):
        pieces.live.advance(timedelta(minutes=7))
    at = utc(26, 8).timestamp() * 1000
    told = [[log for log in small.world.logs.values() if log["start"] < at] for small in (whole, pieces)]
    assert told[0] == told[1]
    assert [one["start"] for one in told[0]] == sorted(one["start"] for one in told[0])


def test_time_does_not_run_backwards() -> None:
    small = Small()
    with pytest.raises(ValueError, match="backwards"):
        small.live.advance(EVENING - timedelta(seconds=1))


def test_a_disabled_schedule_does_not_fire_and_enabling_it_arms_it_at_once() -> None:
    small = Small()
    small.live.set_schedule({"id": small.schedule["id"], "enabled": False})
    small.live.advance(utc(25, 12))
    assert starts(small.world, small.schedule) == []
    small.live.advance(utc(26, 1, 59, 58))
    small.live.set_schedule({"id": small.schedule["id"], "enabled": True})
    small.live.advance(utc(26, 12))
    assert starts(small.world, small.schedule) == ["26 02:00"]


def test_a_schedule_enabled_again_within_its_minute_is_not_started_in_that_minute() -> None:
    small = Small()
    small.live.set_schedule({"id": small.schedule["id"], "enabled": False})
    small.live.advance(utc(25, 2, 0, 3))
    small.live.set_schedule({"id": small.schedule["id"], "enabled": True})
    small.live.advance(utc(25, 12))
    assert starts(small.world, small.schedule) == []


def test_a_changed_expression_counts_from_the_moment_of_the_change() -> None:
    small = Small()
    small.live.set_schedule({"id": small.schedule["id"], "cron": "15 21 * * *", "timezone": PARIS})
    small.live.advance(utc(25, 12))
    assert starts(small.world, small.schedule) == ["24 20:15"]


def test_what_was_due_while_xo_was_down_is_not_made_up_for() -> None:
    small = Small()
    small.live.advance(utc(25, 1, 59))
    small.live.restart_xo(timedelta(minutes=5))
    small.live.advance(utc(25, 23))
    assert small.world.starts == []
    small.live.advance(utc(26, 3))
    assert starts(small.world, small.schedule) == ["26 02:00"]


def test_a_start_while_the_job_runs_is_a_failed_log_and_the_running_one_goes_on() -> None:
    small = Small()
    small.live.rates.default_host_rate = 200_000.0  # 6 hours
    other = small.world.add_schedule(small.job, "0 3 * * *")
    small.live.advance(utc(25, 12))
    (refused,) = small.logs(other)
    assert refused["result"]["message"] == f"the job ({small.job['id']}) is already running"
    assert refused["end"] - refused["start"] == 10
    assert small.logs()[0]["status"] == "success"
    assert [one.run_id for one in small.world.starts] == [small.logs()[0]["id"], refused["id"]]


def test_a_date_more_than_a_timer_away_is_asked_for_again_and_still_met() -> None:
    world, schedule = empty(EVENING, "0 4 1 feb *")
    live = Live(world)
    live.advance(datetime(2027, 2, 2, tzinfo=UTC))
    assert starts(world, schedule) == ["01 04:00"]


def test_a_planted_unarmed_schedule_is_enabled_and_does_nothing_until_it_is_written_or_xo_restarts() -> None:
    small = Small()
    small.live.scheduler.disarm(small.schedule["id"])
    small.live.advance(utc(25, 12))
    assert (small.schedule["enabled"], starts(small.world, small.schedule)) == (True, [])
    small.live.set_schedule({"id": small.schedule["id"], "enabled": True})
    small.live.advance(utc(26, 12))
    small.live.scheduler.disarm(small.schedule["id"])
    small.live.advance(utc(27, 12))
    small.live.restart_xo()
    small.live.advance(utc(28, 12))
    assert starts(small.world, small.schedule) == ["26 02:00", "28 02:00"]


def test_an_expression_xo_cannot_read_keeps_the_schedules_after_it_unarmed_at_boot() -> None:
    small = Small()
    broken = small.world.add_schedule(small.job, "0 3 * * wed")
    late = small.world.add_schedule(small.job, "0 4 * * *")
    small.live.advance(utc(25, 12))
    assert small.live.scheduler.refused == [broken["id"]]
    assert [small.live.scheduler.armed(one["id"]) for one in (small.schedule, broken, late)] == [True, False, False]
    small.live.set_schedule({"id": late["id"], "enabled": True})
    small.live.advance(utc(26, 12))
    assert starts(small.world, late) == ["26 04:00"]


# --- clock changes (dst-nights.md)


def test_a_time_in_the_missing_hour_starts_twice_the_first_an_hour_early() -> None:
    world, schedule = empty(datetime(2027, 3, 27, 18, tzinfo=UTC), "30 2 * * *", PARIS)
    Live(world).advance(datetime(2027, 3, 29, 12, tzinfo=UTC))
    assert starts(world, schedule) == ["28 00:30", "28 01:30", "29 00:30"]


def test_a_time_in_the_repeated_hour_starts_at_both_passes() -> None:
    world, schedule = empty(datetime(2027, 10, 30, 18, tzinfo=UTC), "0 2 * * *", PARIS)
    Live(world).advance(datetime(2027, 10, 31, 12, tzinfo=UTC))
    assert starts(world, schedule) == ["31 00:00", "31 01:00"]


def test_two_times_in_the_missing_hour_start_again_and_again_until_xo_dies() -> None:
    world, schedule = empty(datetime(2027, 3, 27, 18, tzinfo=UTC), "0,30 2 * * *", PARIS)
    live = Live(world)
    live.advance(datetime(2027, 3, 28, 12, tzinfo=UTC))
    assert live.down == "hangs"
    assert len(world.starts) == 1 + live.scheduler.storm_cap
    assert starts(world, schedule) == ["28 00:00"] * len(world.starts)
    statuses = {log["status"] for log in world.logs.values()}
    assert statuses == {"skipped", "failure", "interrupted"}  # no match, already running, and what was under way


def test_restarted_inside_the_window_it_storms_again_and_after_it_all_is_well() -> None:
    world, schedule = empty(datetime(2027, 3, 27, 18, tzinfo=UTC), "0,30 2 * * *", PARIS)
    live = Live(world)
    live.scheduler.storm_cap = 20
    live.advance(datetime(2027, 3, 28, 0, 10, tzinfo=UTC))
    live.restart_xo(timedelta(minutes=1))
    live.advance(datetime(2027, 3, 28, 0, 12, tzinfo=UTC))
    assert (live.down, len(world.starts)) == ("hangs", 41)
    live.restart_xo(timedelta(hours=2))
    live.advance(datetime(2027, 3, 29, 12, tzinfo=UTC))
    assert (live.down, starts(world, schedule)[41:]) == ("", ["29 00:00", "29 00:30"])


def test_a_schedule_disabled_before_its_first_bad_minute_does_not_storm() -> None:
    world, schedule = empty(datetime(2027, 3, 27, 18, tzinfo=UTC), "*/15 2 * * *", PARIS)
    live = Live(world)
    live.advance(datetime(2027, 3, 27, 23, 59, tzinfo=UTC))
    live.set_schedule({"id": schedule["id"], "enabled": False})
    live.advance(datetime(2027, 3, 28, 2, tzinfo=UTC))
    live.set_schedule({"id": schedule["id"], "enabled": True})
    live.advance(datetime(2027, 3, 28, 12, tzinfo=UTC))
    assert (live.down, world.starts) == ("", [])


# --- xo-server goes away


def dead_xo(dies_as: str) -> World:
    world, _ = empty(datetime(2027, 3, 27, 18, tzinfo=UTC), "0,30 2 * * *", PARIS)
    live = Live(world)
    live.dies_as = dies_as
    live.advance(datetime(2027, 3, 28, 0, 10, tzinfo=UTC))
    return world


def test_a_dead_xo_takes_connections_and_never_answers() -> None:
    async def ask(world: World) -> None:
        async with rest(world) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.get("/rest/v0/ping")
            world.live.restart_xo(timedelta(hours=3))
            world.live.advance(timedelta(hours=4))
            assert (await client.get("/rest/v0/ping")).status_code == 200

    asyncio.run(ask(dead_xo("hangs")))


def test_or_nobody_listens_any_more() -> None:
    async def ask(world: World) -> None:
        async with rest(world) as client:
            with pytest.raises((ConnectionResetError, httpx.TransportError)):
                await client.get("/rest/v0/ping")

    asyncio.run(ask(dead_xo("gone")))


def test_an_open_socket_of_a_hanging_xo_is_silent_and_ends_with_the_restart() -> None:
    async def ask() -> None:
        small = Small()
        async with rpc(small.live.world) as socket:
            small.live.stop_xo("hangs")
            await socket.send("schedule.getAll")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await socket.receive()
            small.live.restart_xo()
            with pytest.raises(EOFError):
                await socket.receive()

    asyncio.run(ask())


def test_a_booting_xo_refuses_one_good_credential_while_ping_answers() -> None:
    async def ask() -> list[int]:
        small = Small()
        small.live.restart_xo(timedelta(minutes=1))
        small.live.advance(timedelta(minutes=1))
        async with rest(small.world) as client:
            paths = ("/ping", "/schedules", "/ping", "/schedules")
            return [(await client.get(f"/rest/v0{path}")).status_code for path in paths]

    assert asyncio.run(ask()) == [200, 401, 200, 200]


def test_a_booting_xo_refuses_one_sign_in() -> None:
    async def ask() -> list[bool]:
        small = Small()
        small.live.restart_xo(timedelta(minutes=1))
        small.live.advance(timedelta(minutes=1))
        answers = []
        for _ in range(2):
            socket = Socket(small.world)
            answers.append("result" in await socket.open())
            await socket.close()
        return answers

    assert asyncio.run(ask()) == [False, True]


def test_lists_are_empty_while_a_booting_xo_connects_to_its_pools() -> None:
    small = Small()
    small.live.restart_xo(timedelta(minutes=1))
    small.live.advance(timedelta(seconds=65))
    server = small.world.server_of(small.pool)
    assert (server["status"], small.world.visible("VM")) == ("connecting", [])
    small.live.advance(timedelta(seconds=10))
    assert (server["status"], len(small.world.visible("VM"))) == ("connected", 2)


def test_a_second_restart_takes_the_place_of_the_first() -> None:
    small = Small()
    small.live.restart_xo(timedelta(minutes=1))
    small.live.restart_xo(timedelta(minutes=10))
    small.live.advance(timedelta(minutes=5))
    assert small.live.down == "gone"
    small.live.advance(utc(25, 12))
    assert starts(small.world, small.schedule) == ["25 02:00"]


def test_a_schedule_whose_job_is_gone_starts_nothing_and_stays_armed() -> None:
    small = Small()
    small.world.schedules[small.schedule["id"]]["jobId"] = "11111111-2222-4333-8444-555555555555"
    small.live.advance(utc(25, 12))
    assert (small.world.starts, small.live.scheduler.armed(small.schedule["id"])) == ([], True)


def test_a_run_that_was_planted_as_running_keeps_its_job_busy_until_it_is_finished() -> None:
    small = Small()
    planted = small.world.start_run(small.schedule, [small.web])
    small.live.advance(utc(25, 12))
    assert small.logs()[-1]["result"]["message"].endswith("is already running")
    small.world.finish_run(planted)
    small.live.advance(utc(26, 12))
    assert [log["status"] for log in small.logs()] == ["success", "failure", "success"]
