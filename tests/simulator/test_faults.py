"""Planted faults reach a client as the real ones would."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
import websockets
from guard.simulator.faults import Cut, Dribble, Faults, HalfAnswer, Hang, Html, HttpStatus, RpcFailure
from guard.simulator.serve import Simulator, serve
from tests.simulator.faces import TOKEN, call, get
from tests.simulator.worlds import small_world


def planted(where: str, fault: object, **options: int) -> Faults:
    faults = Faults()
    faults.plant(where, fault, **options)
    return faults


def test_a_status_takes_the_place_of_one_answer_only() -> None:
    faults = planted("/rest/v0/vms", HttpStatus(503, "busy"))
    answer = get(small_world().world, "/vms", faults=faults)
    assert (answer.status_code, answer.json()) == (503, {"error": "busy"})
    assert get(small_world().world, "/srs", faults=faults).status_code == 200


def test_a_fault_waits_and_goes_away_again() -> None:
    faults = planted("/rest/v0/vms", HttpStatus(503), skip=1, times=1)
    statuses = [get(small_world().world, "/vms", faults=faults).status_code for _ in range(3)]
    assert statuses == [200, 503, 200]


def test_a_web_page_comes_with_status_200() -> None:
    answer = get(small_world().world, "/vms", faults=planted("/rest/v0/vms", Html()))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize("fault", [HalfAnswer(), Cut()])
def test_a_cut_connection_is_seen_as_one(fault: object) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        get(small_world().world, "/vms?fields=*", faults=planted("/rest/v0/vms", fault))


def test_no_answer_ever_comes_from_a_hanging_route() -> None:
    with pytest.raises(httpx.ReadTimeout):
        get(small_world().world, "/vms", faults=planted("/rest/v0/vms", Hang()), timeout=0.1)


def test_a_dribbled_answer_arrives_whole() -> None:
    faults = planted("/rest/v0/vms", Dribble(size=64, pause=0))
    assert len(get(small_world().world, "/vms?fields=*", faults=faults).json()) == 2


def test_in_the_boot_window_ping_answers_and_a_good_token_is_refused() -> None:
    faults, world = Faults(boot_window=True), small_world().world
    assert get(world, "/ping", faults=faults).status_code == 200
    assert get(world, "/vms", faults=faults).status_code == 401
    (answer,) = call(world, faults=faults)
    assert answer["error"]["code"] == 3
    faults.boot_window = False
    assert get(world, "/vms", faults=faults).status_code == 200


def test_a_restart_in_the_middle_drops_the_connection() -> None:
    faults = Faults()
    faults.after(2, faults.drop_connections)

    async def ask() -> list[int | str]:
        seen: list[int | str] = []
        app = Simulator(small_world().world, faults)
        async with serve(app) as url, httpx.AsyncClient(cookies=TOKEN, base_url=url) as client:
            for _ in range(4):
                try:
                    seen.append((await client.get("/rest/v0/vms")).status_code)
                except httpx.TransportError as error:
                    seen.append(type(error).__name__)
        return seen

    assert asyncio.run(ask()) == [200, 200, "RemoteProtocolError", 200]


def test_a_pool_can_vanish_between_two_requests() -> None:
    small, faults = small_world(), Faults()
    faults.after(1, lambda: small.world.disconnect(small.world.server_of(small.pool), "connecting"))
    counts = [len(get(small.world, "/vms", faults=faults).json()) for _ in range(2)]
    assert counts == [2, 0]


def test_a_method_can_fail_while_the_others_answer() -> None:
    faults = planted("remote.getAllInfo", RpcFailure(-32000, "no handler"))
    _, info, jobs = call(small_world().world, ("remote.getAllInfo", {}), ("job.getAll", {}), faults=faults)
    assert info["error"] == {"message": "no handler", "code": -32000}
    assert jobs["result"] == []


async def frame_after(fault: object) -> str:
    app = Simulator(small_world().world, planted("system.listMethods", fault))
    async with serve(app) as url, websockets.connect(f"{url.replace('http', 'ws')}/api/") as socket:
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "system.listMethods"}))
        return str(await asyncio.wait_for(socket.recv(), 0.5))


@pytest.mark.parametrize("fault", [HalfAnswer(), Html()])
def test_a_frame_can_be_no_json(fault: object) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(asyncio.run(frame_after(fault)))


def test_a_method_can_hang() -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(frame_after(Hang()))


def test_a_socket_can_be_cut() -> None:
    with pytest.raises(websockets.ConnectionClosedError):
        asyncio.run(frame_after(Cut()))


def test_the_handshake_can_be_refused() -> None:
    with pytest.raises(websockets.InvalidStatus, match="502"):
        call(small_world().world, faults=planted("/api/", HttpStatus(502)))
