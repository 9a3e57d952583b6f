"""What the remedies leave in the simulated XO, held against the recordings and the published document."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from guard.simulator.faults import Faults
from guard.simulator.jobs import Run
from guard.simulator.live import Live
from guard.simulator.rpc import RpcApi
from guard.simulator.rpc_protocol import RpcError, Session
from guard.simulator.rpc_writes import error_of
from guard.simulator.serve import Simulator
from guard.simulator.world import GIB, World, XoObject
from tests.contract.openapi import problems
from tests.simulator.living import recorded

RECORDINGS = Path(__file__).parent / "recordings"
TOKEN = {"authenticationToken": "simulated-token"}
EVENING = datetime(2026, 11, 24, 20, tzinfo=UTC)


class Place:
    """A pool with an SR, a repository, and an admin who asks XO for things."""

    def __init__(self) -> None:
        self.world = World(lambda: EVENING)
        self.pool = self.world.add_pool("paris")
        self.sr = self.world.add_sr(self.pool, "NFS", "nfs")
        self.pbd = self.world.get("PBD", self.sr["$PBDs"][0])
        self.server = self.world.server_of(self.pool)
        self.nas = self.world.add_repository("nas", "nfs://nas.example:/b", size=100 * GIB)
        self.live = Live(self.world)
        self.rpc, self.session = RpcApi(self.world, Faults()), Session()
        self.call("session.signIn", token="simulated-token")

    def call(self, method: str, **params: Any) -> Any:
        return self.rpc.call(self.session, method, params)

    def ask(self, method: str, found: XoObject, seconds: float = 60) -> Any:
        """The result, or the body of an error, after a while."""
        try:
            answer = self.call(method, id=found["id"])
        except RpcError as refused:
            return refused.body
        self.live.advance(timedelta(seconds=seconds))
        if not isinstance(answer, Run):
            return answer
        return answer.result if answer.error is None else error_of(answer.error).body

    def objections(self, collection: str) -> set[str]:
        """What the document says against the whole list."""

        async def read() -> Any:
            transport = httpx.ASGITransport(Simulator(self.world))
            async with httpx.AsyncClient(transport=transport, base_url="http://xo", cookies=TOKEN) as client:
                return (await client.get(f"/rest/v0/{collection}?fields=*")).json()

        rows = asyncio.run(read())
        assert rows
        return problems(f"/{collection}", "200", rows)


@pytest.fixture
def place() -> Place:
    return Place()


def of_recording(kind: str, name: str) -> Any:
    return json.loads((RECORDINGS / kind / f"{name}.json").read_text())["response"]


def test_the_simulated_xo_has_no_method_that_the_real_one_has_not(place: Place) -> None:
    real = of_recording("rpc", "system.listMethods")["result"]
    assert set(place.rpc.methods) - set(real) == set()
    assert {"sr.scan", "server.enable", "server.disable", "pbd.connect", "remote.test"} <= set(place.rpc.methods)


@pytest.mark.parametrize("method", ["sr.scan", "server.enable", "server.disable", "pbd.connect", "remote.test"])
def test_an_unknown_id_and_an_unknown_parameter_are_refused_in_the_recorded_shape(place: Place, method: str) -> None:
    real = of_recording("rpc", "error-no-such-schedule")["error"]
    body = place.ask(method, {"id": "nope"})
    assert (body.keys(), body["code"], body["data"].keys()) == (real.keys(), real["code"], real["data"].keys())
    assert body["message"].startswith("no such ")
    with pytest.raises(RpcError) as refused:
        place.call(method, id="nope", nope=1)
    assert refused.value.body == of_recording("rpc", "error-unknown-param")["error"]


@pytest.mark.parametrize(("method", "what"), [("sr.scan", "sr"), ("pbd.connect", "pbd")])
def test_an_error_of_xapi_has_the_recorded_shape(place: Place, method: str, what: str) -> None:
    real = recorded("sr_backend_failure_44_natural")["tasks"][0]["result"]
    found = getattr(place, what)
    place.live.planted.refuse(found, "SR_BACKEND_FAILURE_44", "", "There is insufficient space", "")
    body = place.ask(method, found)
    assert (body["code"], body["message"]) == (-32000, real["message"])
    assert {key: type(value) for key, value in body["data"].items()} == {key: type(real[key]) for key in real}
    assert body["data"]["task"].keys() == real["task"].keys()


def test_a_server_is_as_recorded_before_and_after_it_was_connected_anew(place: Place) -> None:
    (real, *_) = of_recording("rpc", "server.getAll")["result"]
    assert place.server.keys() == real.keys()
    assert place.ask("server.disable", place.server) is True
    assert place.objections("servers") == set()
    place.live.planted.refuse(place.server, "EHOSTUNREACH", times=1)
    assert place.ask("server.enable", place.server)["code"] == -32000
    assert place.objections("servers") == set()
    assert place.ask("server.enable", place.server) is True
    assert (place.server.keys(), place.objections("servers")) == (real.keys(), set())


def test_an_sr_that_is_scanned_and_a_pbd_that_was_plugged_are_as_the_document_has_them(place: Place) -> None:
    place.call("sr.scan", id=place.sr["id"])
    assert place.sr["current_operations"] != {}
    assert place.objections("srs") == set()
    place.world.unplug(place.sr)
    assert place.ask("pbd.connect", place.pbd) is True
    assert place.objections("pbds") == set()


def test_a_repository_that_was_tested_well_or_badly_is_as_the_document_has_it(place: Place) -> None:
    assert place.ask("remote.test", place.nas)["success"] is True
    assert place.objections("backup-repositories") == set()
    place.live.planted.refuse(place.nas, "EIO")
    assert place.ask("remote.test", place.nas)["success"] is False
    assert "error" in place.nas
    assert place.objections("backup-repositories") == set()
