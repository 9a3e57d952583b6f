"""Ways to ask a simulated pool master something from a test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import httpx
import XenAPI
from guard.simulator.world import World, XoObject
from guard.simulator.xapi import XapiFace, serving_xapi
from guard.simulator.xapi_wire import ref_of
from tests.virtual_time import run

T = TypeVar("T")
INSUFFICIENT = ["SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""]


def ref(found: XoObject) -> str:
    return ref_of(found["id"])


@contextmanager
def on_socket(face: XapiFace, originator: str = "tests") -> Iterator[tuple[str, Any]]:
    """The URL of the served face and ``xenapi`` of the published package, signed in."""
    with serving_xapi(face) as url:
        session = XenAPI.Session(url)
        session.xenapi.login_with_password(face.user, face.password, "1.0", originator)
        try:
            yield url, session.xenapi
        finally:
            session("close")()


@contextmanager
def signed_in(face: XapiFace, originator: str = "tests") -> Iterator[Any]:
    with on_socket(face, originator) as (_url, xenapi):
        yield xenapi


class Client:
    """A JSON-RPC client in memory and in driven time, signed in."""

    def __init__(self, face: XapiFace) -> None:
        self.face = face
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(face), base_url="http://master.example")
        self.session = ""

    async def __aenter__(self) -> Self:
        self.session = await self.raw("session.login_with_password", self.face.user, self.face.password)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def post(self, method: str, *params: Any) -> httpx.Response:
        call = {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}
        return await self.http.post("/jsonrpc", json=call)

    async def raw(self, method: str, *params: Any) -> Any:
        """Raises XenAPI.Failure as the package would."""
        answer = (await self.post(method, *params)).json()
        if "error" in answer:
            raise XenAPI.Failure([answer["error"]["message"], *answer["error"]["data"]])
        return answer["result"]

    async def call(self, method: str, *params: Any) -> Any:
        return await self.raw(method, self.session, *params)

    async def task(self, method: str, *params: Any) -> Any:
        """The record of an ``Async`` call's task once it has ended."""
        task = await self.call(f"Async.{method}", *params)
        token, record = "", {"status": "pending"}
        while record["status"] == "pending":
            answer = await self.call("event.from", ["task"], token, 30.0)
            token = answer["token"]
            record = next((event["snapshot"] for event in answer["events"] if event["ref"] == task), record)
        return record

    async def export(self, path: str, **query: str) -> httpx.Response:
        return await self.http.get(path, params={"session_id": self.session, **query})


def asked(face: XapiFace, what: Callable[[Client], Awaitable[T]]) -> T:
    """What a client gets, in driven time."""

    async def ask() -> T:
        async with Client(face) as client:
            return await what(client)

    return run(ask())


def refused(face: XapiFace, method: str, *params: Any) -> list[str]:
    """The error a call is answered with."""

    async def ask(client: Client) -> list[str]:
        try:
            await client.call(method, *params)
        except XenAPI.Failure as failure:
            return failure.details
        raise AssertionError(f"{method} was not refused")

    return asked(face, ask)


def told(face: XapiFace, method: str, *params: Any) -> Any:
    """The answer to one call."""
    return asked(face, lambda client: client.call(method, *params))


def face_of(world: World) -> XapiFace:
    """The face of the world's only pool."""
    (pool,) = world.objects["pool"].values()
    return XapiFace(world, pool)
