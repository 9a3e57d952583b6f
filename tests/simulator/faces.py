"""Ways to ask the simulator something from a test."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import websockets
from guard.simulator.faults import Faults
from guard.simulator.serve import Simulator, serve
from guard.simulator.world import World

TOKEN = {"authenticationToken": "simulated-token"}


def get(
    world: World, path: str, *, faults: Faults | None = None, cookies: Any = TOKEN, **options: Any
) -> httpx.Response:
    """The answer to one GET below ``/rest/v0``."""

    async def ask() -> httpx.Response:
        async with serve(Simulator(world, faults)) as url, httpx.AsyncClient(cookies=cookies, base_url=url) as client:
            return await client.get(f"/rest/v0{path}", **options)

    return asyncio.run(ask())


def call(
    world: World,
    *calls: tuple[str, Any],
    faults: Faults | None = None,
    token: str | None = TOKEN["authenticationToken"],
) -> list[dict[str, Any]]:
    """Every frame that arrives for these calls, sign-in first (unless ``token`` is None); ends with the last answer."""
    wanted = [] if token is None else [("session.signIn", {"token": token})]
    wanted += calls

    async def ask() -> list[dict[str, Any]]:
        async with (
            serve(Simulator(world, faults)) as url,
            websockets.connect(f"{url.replace('http', 'ws')}/api/", max_size=None) as socket,
        ):
            for number, (method, params) in enumerate(wanted):
                await socket.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
            frames: list[dict[str, Any]] = []
            while not frames or frames[-1].get("id") != len(wanted) - 1:
                frames.append(json.loads(await socket.recv()))
            return frames

    return asyncio.run(ask())
