"""Pools that go away and come back, and rolling pool updates, in driven time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.simulator.living import MIB, Small, check_like, recorded, recorded_elsewhere, rest, utc

COLLECTIONS = ("pools", "hosts", "srs", "vms", "vdis", "vbds", "pbds")


def listed(small: Small) -> tuple[str, list[int]]:
    """The server's status, and how many objects each list has; every answer is a 200."""

    async def ask() -> tuple[str, list[int]]:
        async with rest(small.live.world) as client:
            counts = []
            for collection in COLLECTIONS:
                answer = await client.get(f"/rest/v0/{collection}")
                assert answer.status_code == 200
                counts.append(len(answer.json()))
            (server,) = (await client.get("/rest/v0/servers?fields=*")).json()
            return server["status"], counts

    return asyncio.run(ask())


def lose(small: Small) -> dict[str, Any]:
    server = small.world.server_of(small.pool)
    small.live.lose_pool(server)
    return server


def test_a_lost_pool_looks_connected_for_five_minutes_and_then_its_objects_vanish() -> None:
    small = Small()
    whole = listed(small)
    lose(small)
    small.live.advance(timedelta(minutes=5, seconds=-1))
    assert listed(small) == whole
    assert whole[0] == "connected"
    small.live.advance(timedelta(seconds=1))
    assert listed(small) == ("connecting", [0] * len(COLLECTIONS))


def test_a_pool_that_is_there_again_comes_back_ten_seconds_later() -> None:
    small = Small()
    whole = listed(small)
    server = lose(small)
    small.live.advance(timedelta(minutes=20))
    small.live.regain_pool(server)
    small.live.advance(timedelta(seconds=9))
    assert listed(small)[0] == "connecting"
    small.live.advance(timedelta(seconds=1))
    assert listed(small) == whole
    assert "error" not in server


def test_a_short_loss_is_never_seen() -> None:
    small = Small()
    whole = listed(small)
    server = lose(small)
    small.live.advance(timedelta(minutes=4))
    small.live.regain_pool(server)
    small.live.advance(timedelta(minutes=30))
    assert listed(small) == whole


def test_a_run_against_a_pool_xo_still_shows_fails_as_recorded() -> None:
    small = Small()
    lose(small)
    run = small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(seconds=10))
    check_like(recorded("xapi_offline_at_start"), run.log)


def test_a_run_against_a_pool_xo_has_lost_fails_as_recorded() -> None:
    small = Small()
    lose(small)
    small.live.advance(timedelta(minutes=6))
    check_like(recorded_elsewhere("F10 pool disconnected", "failure"), small.run())


def test_a_smart_job_whose_pool_is_lost_matches_nothing() -> None:
    small = Small()
    _, schedule = small.another("smart", "0 3 * * *", {"type": "VM", "tags": {"__or": [["prod"]]}})
    lose(small)
    small.live.advance(timedelta(minutes=6))
    check_like(recorded("no_vms_match"), small.run(schedule))


def test_a_transfer_from_a_pool_that_goes_away_is_cut() -> None:
    small = Small()
    small.live.rates.default_host_rate = 10 * MIB
    run = small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(minutes=2))
    lose(small)
    small.live.advance(timedelta(minutes=2))
    check_like(recorded("export_cut"), run.log)


def test_a_restart_does_not_bring_a_lost_pool_back() -> None:
    small = Small()
    server = lose(small)
    small.live.restart_xo(timedelta(seconds=30))
    small.live.advance(timedelta(minutes=20))
    assert server["status"] == "connecting"
    small.live.regain_pool(server)
    small.live.advance(timedelta(seconds=10))
    assert server["status"] == "connected"


# --- rolling pool updates


def rolling() -> tuple[Small, dict, dict]:
    """A small world with a job on another pool and a disabled schedule of the first one's job."""
    small = Small()
    other = small.world.add_pool("lyon")
    away = small.world.add_vm(other, "away")
    _, elsewhere = small.another("elsewhere", "0 3 * * *", [away])
    off = small.world.add_schedule(small.job, "0 5 * * *", enabled=False)
    assert small.live.world is small.world
    return small, elsewhere, off


def test_an_rpu_disables_the_enabled_schedules_of_its_pools_jobs_and_enables_them_at_its_end() -> None:
    small, elsewhere, off = rolling()
    task = small.live.start_rpu(small.pool, timedelta(hours=8))
    assert [one["enabled"] for one in (small.schedule, elsewhere, off)] == [False, True, False]
    assert (task["status"], task["properties"]["name"]) == ("pending", "Rolling pool update")
    small.live.advance(utc(25, 3, 30))
    assert small.logs() == []
    small.live.advance(utc(25, 12))
    assert [one["enabled"] for one in (small.schedule, elsewhere, off)] == [True, True, False]
    assert task["status"] == "success"
    small.live.advance(utc(26, 12))
    assert [log["status"] for log in small.logs()] == ["success"]
    assert small.world.writes == []
    assert {write.by for write in small.world.own_writes} == {"rpu"}


def test_an_rpu_writes_the_whole_old_record_back_over_what_was_changed_meanwhile() -> None:
    small, _, _ = rolling()
    small.live.start_rpu(small.pool, timedelta(hours=2))
    small.live.advance(timedelta(hours=1))
    small.live.set_schedule({"id": small.schedule["id"], "cron": "0 6 * * *", "name": "new"})
    small.live.advance(timedelta(hours=2))
    assert (small.schedule["cron"], small.schedule["name"], small.schedule["enabled"]) == (
        "0 2 * * *",
        "nightly schedule",
        True,
    )


def test_an_rpu_that_a_restart_interrupts_leaves_the_schedules_off() -> None:
    small, _, _ = rolling()
    task = small.live.start_rpu(small.pool, timedelta(hours=2))
    small.live.restart_xo()
    small.live.advance(timedelta(hours=5))
    assert (small.schedule["enabled"], task["status"]) == (False, "interrupted")


def test_an_rpu_does_not_start_while_one_of_its_jobs_runs() -> None:
    small, _, _ = rolling()
    small.live.jobs.run_schedule(small.schedule, "rpc")
    with pytest.raises(ValueError, match="running"):
        small.live.start_rpu(small.pool, timedelta(hours=2))
