"""The simulator against the OpenAPI document XO publishes; where a recording differs from it, the recording wins."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from guard.simulator.rest import POOL_COLLECTIONS, XO_COLLECTIONS
from guard.simulator.serve import Simulator, serve
from guard.simulator.world import World
from tests.contract.mirrored import mirrored_world
from tests.contract.openapi import problems

RECORDINGS = Path(__file__).parent / "recordings" / "rest"
COLLECTIONS = [*POOL_COLLECTIONS, *XO_COLLECTIONS]

TASKS_OF_LOGS = "the document describes XO tasks here; a real log has tasks of its own shape"
RECORDING_WINS: dict[tuple[str, str], str] = {
    ("vms", "'creation' is a required property"): "XO leaves it out for VMs it did not create",
    ("vm-snapshots", "'creation' is a required property"): "XO leaves it out for VMs it did not create",
    ("backup-logs", ".id: type"): TASKS_OF_LOGS,
    ("backup-logs", "'properties' is a required property"): TASKS_OF_LOGS,
    ("backup-logs", ".result: type"): "the result of a real snapshot task is the snapshot's id, a text",
    ("backup-logs", "enum 'skipped'"): "a real log's tasks can be skipped",
}
"""(collection, part of what the document objects to) -> what the real xo-server does."""


def excused(collection: str, problem: str) -> bool:
    return any(name == collection and part in problem for name, part in RECORDING_WINS)


def furnished_world() -> World:
    """The mirrored world with one of each thing the recorded one had none of."""
    world = mirrored_world()
    world.add_proxy("branch")
    world.add_proxy("silent", reachable=False)
    world.add_message(next(iter(world.objects["host"].values())), "HOST_CLOCK_SKEW_DETECTED", "clock")
    world.start_run(next(iter(world.schedules.values())))
    return world


async def answers(world: World, collection: str) -> tuple[Any, list[Any]]:
    """The whole list, and each of its objects asked for alone."""
    cookies = {"authenticationToken": "simulated-token"}
    async with serve(Simulator(world)) as url, httpx.AsyncClient(cookies=cookies, base_url=url) as client:
        rows = (await client.get(f"/rest/v0/{collection}?fields=*")).json()
        return rows, [(await client.get(row["href"])).json() for row in rows]


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_an_answer_is_what_the_published_document_describes(collection: str) -> None:
    rows, singles = asyncio.run(answers(furnished_world(), collection))
    found = problems(f"/{collection}", "200", rows)
    for single in singles:
        found |= problems(f"/{collection}/{{id}}", "200", single)
    assert {problem for problem in found if not excused(collection, problem)} == set()


@pytest.mark.parametrize(("collection", "part"), RECORDING_WINS)
def test_the_real_xo_differs_from_its_document_too(collection: str, part: str) -> None:
    rows = json.loads((RECORDINGS / f"{collection}.json").read_text())["response"]["body"]
    found = problems(f"/{collection}", "200", rows)
    for row in rows:
        found |= problems(f"/{collection}/{{id}}", "200", row)
    assert any(part in problem for problem in found)


def test_a_start_is_answered_as_the_document_says() -> None:
    world = mirrored_world()
    schedule = next(iter(world.schedules))

    async def start() -> httpx.Response:
        cookies = {"authenticationToken": "simulated-token"}
        async with serve(Simulator(world)) as url, httpx.AsyncClient(cookies=cookies, base_url=url) as client:
            return await client.post(f"/rest/v0/schedules/{schedule}/actions/run")

    answer = asyncio.run(start())
    assert answer.status_code == 202
    assert problems("/schedules/{id}/actions/run", "202", answer.json(), "post") == set()
    assert answer.headers["location"] == f"/rest/v0/tasks/{answer.json()['taskId']}"
    assert [started for _, started in world.starts][-1] == schedule


def test_a_wrong_type_is_noticed() -> None:
    rows = [dict(vm) for vm in mirrored_world().visible("VM")]
    rows[0]["memory"] = {"size": "much"}
    assert problems("/vms", "200", rows) != set()
