"""What the JSON-RPC face does that no recording shows."""

from __future__ import annotations

import asyncio

import pytest
import websockets
from guard.simulator.faults import Faults
from guard.simulator.serve import Simulator, serve
from tests.simulator.faces import call
from tests.simulator.worlds import NOW, minutes, small_world


def test_signing_in_gives_the_user() -> None:
    (answer,) = call(small_world().world)
    assert answer["result"]["permission"] == "admin"


def test_a_wrong_token_is_refused() -> None:
    (answer,) = call(small_world().world, token="wrong")
    assert answer["error"] == {"message": "invalid credentials", "code": 3}


def test_before_sign_in_only_open_methods_answer() -> None:
    version, jobs = call(small_world().world, ("system.getServerVersion", {}), ("job.getAll", {}), token=None)
    assert version["result"] == "5.207.2"
    assert (jobs["error"]["code"], jobs["error"]["data"]["permission"]) == (2, "admin")


def test_a_user_without_rights_may_read_objects_but_not_jobs() -> None:
    small = small_world()
    small.world.add_user("reader@example.org", "reader", permission="none")
    _, jobs, objects = call(small.world, ("job.getAll", {}), ("xo.getAllObjects", {}), token="reader")
    assert jobs["error"]["code"] == 2
    assert small.thin["id"] in objects["result"]


def test_an_unknown_parameter_is_refused_unless_it_is_marked_optional() -> None:
    refused, dropped = call(small_world().world, ("job.getAll", {"x": 1}), ("job.getAll", {"x?": 1}))[1:]
    assert refused["error"]["code"] == 10
    assert dropped["result"] == []


def test_objects_are_found_by_text_and_by_plain_object() -> None:
    small = small_world()
    vusb = small.world.add_vusb(small.thin)
    gc = small.world.add_xapi_task(small.pool, "Garbage Collection", small.nfs)
    small.world.snapshot(small.thin)
    by_text, by_object, operators, broken = call(
        small.world,
        ("xo.getAllObjects", {"filter": "type:|(/^VDI-unmanaged$/ /^VUSB$/ /^task$/)"}),
        ("xo.getAllObjects", {"filter": {"type": "task"}}),
        ("xo.getAllObjects", {"filter": {"type": {"__or": ["task"]}}}),
        ("xo.getAllObjects", {"filter": "(("}),
    )[1:]
    assert {found["type"] for found in by_text["result"].values()} == {"VDI-unmanaged", "VUSB", "task"}
    assert vusb["id"] in by_text["result"]
    assert list(by_object["result"]) == [gc["id"]]
    assert operators["result"] == {}
    assert broken["error"]["code"] == -32000


def test_a_sequence_is_a_call_job() -> None:
    small = small_world()
    job, schedule = small.world.add_sequence("weekend", [small.schedule], "0 1 * * 6")
    calls, schedules, backups = call(
        small.world, ("job.getAll", {}), ("schedule.getAll", {}), ("backupNg.getAllJobs", {})
    )[1:]
    assert [found["id"] for found in calls["result"]] == [job["id"]]
    assert calls["result"][0]["paramsVector"]["items"][0]["values"] == [{"schedules": [small.schedule["id"]]}]
    assert schedule["id"] in [found["id"] for found in schedules["result"]]
    assert [found["id"] for found in backups["result"]] == [small.job["id"]]


def test_a_limit_on_logs_keeps_the_newest() -> None:
    small = small_world()
    runs = [small.world.add_run(small.schedule, NOW + minutes(m), NOW + minutes(m), {}) for m in (1, 2, 3)]
    _, newest, after = call(
        small.world, ("backupNg.getLogs", {"limit": 2}), ("backupNg.getLogs", {"after": runs[1]["start"]})
    )
    assert [log["id"] for log in newest["result"]] == [runs[1]["id"], runs[2]["id"]]
    assert [log["id"] for log in after["result"]] == [runs[2]["id"]]


def test_a_disabled_repository_and_an_object_store_have_no_figures() -> None:
    small = small_world()
    off = small.world.add_repository("off", enabled=False)
    bucket = small.world.add_repository("bucket", "s3://bucket.example/backups", size=None)
    _, answer = call(small.world, ("remote.getAllInfo", {}))
    assert off["id"] not in answer["result"]
    assert "size" not in answer["result"][bucket["id"]]


def test_xo_blames_a_healthy_disk_for_its_siblings_chain() -> None:
    small = small_world()
    small.world.snapshot(small.thin)
    (root,) = small.world.objects["VDI-unmanaged"].values()
    small.world.add_base_copies(small.thin_disk, 1)
    sibling = small.world.add_disk(small.thin, small.nfs)
    sibling["parent"] = root["id"]
    lost = small.world.add_disk(small.thin, small.nfs)
    lost["parent"] = "00000000-0000-4000-8000-000000000000"
    _, answer = call(small.world, ("sr.getVdiChainsInfo", {"id": small.nfs["id"]}))
    assert answer["result"] == {
        "unhealthyVdis": {small.thin_disk["id"]: 1, sibling["id"]: 1},
        "vdisWithUnknownVhdParent": {lost["id"]: lost["parent"]},
        "nUnhealthyVdis": 2,
    }


def test_frames_nobody_asked_for_arrive_when_switched_on() -> None:
    frames = call(small_world().world, ("job.getAll", {}), faults=Faults(announce=True, notification_bytes=20_000_000))
    pushed = next(frame for frame in frames if frame.get("method") == "all")
    assert "id" not in pushed
    assert len(pushed["params"]["items"]["padding"]["name_description"]) == 20_000_000


@pytest.mark.parametrize("path", ["/api", "/api/?x", "/other/"])
def test_any_other_address_hangs_in_the_handshake(path: str) -> None:
    async def knock() -> None:
        async with serve(Simulator(small_world().world)) as url:
            with pytest.raises(TimeoutError):
                await websockets.connect(url.replace("http", "ws") + path, open_timeout=0.2)

    asyncio.run(knock())
