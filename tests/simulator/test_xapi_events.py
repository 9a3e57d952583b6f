"""``event.from``: whoever changes the world, a client that watches hears of it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import XenAPI
from guard.simulator.xapi import serving_xapi
from tests.simulator.worlds import small_world
from tests.simulator.xapi_ways import Client, asked, face_of, on_socket, ref, refused, told

MIB = 1024**2


async def changes(client: Client, token: str, classes: list[str] | None = None, seconds: float = 0.0) -> dict:
    return await client.call("event.from", classes or ["*"], token, seconds)


def brief(answer: dict) -> list[tuple[str, str, str]]:
    return [(event["operation"], event["class"], event["ref"]) for event in answer["events"]]


def test_an_empty_token_gives_everything_as_additions() -> None:
    small = small_world()

    async def ask(client: Client) -> None:
        answer = await changes(client, "", ["VM", "SR"])
        assert {event["operation"] for event in answer["events"]} == {"add"}
        assert {event["class"] for event in answer["events"]} == {"vm", "sr"}
        assert answer["valid_ref_counts"] == {"vm": 3, "sr": 2}
        snapshots = {event["ref"]: event["snapshot"] for event in answer["events"]}
        assert snapshots[ref(small.thick)] == await client.call("VM.get_record", ref(small.thick))

    asked(face_of(small.world), ask)


def test_a_quiet_pool_answers_when_the_time_is_over() -> None:
    small = small_world()

    async def ask(client: Client) -> None:
        loop = asyncio.get_running_loop()
        token = await client.call("event.inject", "pool", ref(small.pool))
        before = loop.time()
        answer = await changes(client, token, seconds=60.1)
        assert answer["events"] == []
        assert answer["token"] == token
        assert loop.time() - before == pytest.approx(60.1)

    asked(face_of(small.world), ask)


def test_a_change_by_the_worlds_author_ends_the_wait() -> None:
    small = small_world()

    async def ask(client: Client) -> None:
        loop = asyncio.get_running_loop()
        token = await client.call("event.inject", "pool", ref(small.pool))
        loop.call_later(7, small.thick["tags"].append, "changed")
        before = loop.time()
        answer = await changes(client, token, seconds=60)
        assert brief(answer) == [("mod", "vm", ref(small.thick))]
        assert answer["events"][0]["snapshot"]["tags"] == ["prod", "changed"]
        assert loop.time() - before == pytest.approx(7, abs=0.2)
        assert brief(await changes(client, answer["token"])) == []

    asked(face_of(small.world), ask)


def test_a_change_over_the_face_wakes_a_client_at_once() -> None:
    small = small_world()

    async def ask(client: Client) -> None:
        token = await client.call("event.inject", "pool", ref(small.pool))
        waiting = asyncio.ensure_future(changes(client, token, seconds=60))
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        await asyncio.sleep(1.05)
        before = loop.time()
        await client.call("VM.set_name_label", ref(small.thick), "renamed")
        assert brief(await waiting) == [("mod", "vm", ref(small.thick))]
        assert loop.time() == before, "without waiting for the next look"

    asked(face_of(small.world), ask)


def test_a_snapshot_is_told_with_all_it_touches_and_so_is_its_removal() -> None:
    small = small_world()

    async def ask(client: Client) -> None:
        token = await client.call("event.inject", "pool", ref(small.pool))
        taken = await client.call("VM.snapshot", ref(small.thick), "x")
        answer = await changes(client, token)
        told_of = set(brief(answer))
        assert ("add", "vm", taken) in told_of
        assert ("mod", "vm", ref(small.thick)) in told_of
        assert ("mod", "vdi", ref(small.thick_disk)) in told_of
        assert ("mod", "sr", ref(small.lvm)) in told_of
        assert sum(operation == "add" and cls == "vdi" for operation, cls, _ref in told_of) == 2
        await client.call("VM.destroy", taken)
        later = await changes(client, answer["token"])
        assert ("del", "vm", taken) in brief(later)
        gone = next(event for event in later["events"] if event["ref"] == taken)
        assert "snapshot" not in gone
        assert brief(await changes(client, answer["token"], ["network"])) == []

    asked(face_of(small.world), ask)


def test_what_came_and_went_between_two_looks_is_told_as_gone_or_not_at_all() -> None:
    small = small_world()

    async def ask(client: Client) -> None:
        token = await client.call("event.inject", "pool", ref(small.pool))
        task = await client.call("task.create", "short", "")
        await client.call("task.destroy", task)
        assert brief(await changes(client, token, ["task"])) == []
        assert (await changes(client, token, ["task"]))["valid_ref_counts"] == {"task": 0}

    asked(face_of(small.world), ask)


def test_two_clients_hear_of_the_same_change() -> None:
    small = small_world()

    async def ask(client: Client) -> None:
        token = await client.call("event.inject", "pool", ref(small.pool))
        waiting = [asyncio.ensure_future(changes(client, token, seconds=60)) for _ in range(2)]
        await asyncio.sleep(0.05)
        small.thin["name_label"] = "changed"
        assert {event["ref"] for one in waiting for event in (await one)["events"]} == {ref(small.thin)}

    asked(face_of(small.world), ask)


def test_a_token_of_another_life_is_refused() -> None:
    face = face_of(small_world().world)
    assert refused(face, "event.from", ["*"], "999999", 0.0) == ["EVENTS_LOST"]
    assert refused(face, "event.from", ["*"], "abc", 0.0) == ["EVENT_FROM_TOKEN_PARSE_FAILURE", "abc"]
    assert refused(face, "event.from", ["*"], "")[0] == "MESSAGE_PARAMETER_COUNT_MISMATCH"
    assert told(face, "event.from", ["VIF"], "", 0.0)["events"] == []


def test_serving_ends_at_once_though_a_client_still_waits() -> None:
    small = small_world()
    face = face_of(small.world)
    failed: list[Exception] = []

    def wait(url: str) -> None:
        session = XenAPI.Session(url)
        try:
            session.xenapi.login_with_password("root", "simulated-password", "1.0", "tests")
            session.xenapi_request("event.from", (["*"], session.xenapi.event.inject("pool", ""), 60.0))
        except Exception as error:  # noqa: BLE001 - what a client says when its server goes is its own affair
            failed.append(error)
        finally:
            session("close")()

    with serving_xapi(face) as url:
        waiting = threading.Thread(target=wait, args=(url,), daemon=True)
        waiting.start()
        until = time.monotonic() + 5
        while not face._waiting and time.monotonic() < until:
            waiting.join(0.01)
        assert len(face._waiting) == 1
        begun = time.monotonic()
    assert time.monotonic() - begun < 2
    waiting.join(5)
    assert not waiting.is_alive(), "its connection was closed, the one it made again too"
    assert len(failed) == 1
    assert face._waiting == set()


def test_a_world_that_another_thread_changes_is_told_whole() -> None:
    small = small_world()
    with on_socket(face_of(small.world)) as (_url, xenapi):
        token = xenapi.event.inject("pool", ref(small.pool))

        def change() -> None:
            for number in range(40):
                with small.world.turn():
                    small.world.add_vm(small.pool, f"vm-{number}")
                    snapshot = small.world.snapshot(small.thin)
                    small.world.write(small.thin_disk, MIB)
                with small.world.turn():
                    small.world.delete_snapshot(snapshot)
                    small.world.coalesce(small.nfs)

        changing = threading.Thread(target=change)
        changing.start()
        heard: set[str] = set()
        while len(heard) < 40:
            answer = getattr(xenapi.event, "from")(["*"], token, 5.0)
            token = answer["token"]
            heard |= {
                event["snapshot"]["name_label"]
                for event in answer["events"]
                if event["class"] == "vm" and event["operation"] == "add" and not event["snapshot"]["is_a_snapshot"]
            }
        changing.join()
    assert heard == {f"vm-{number}" for number in range(40)}


def test_many_changes_under_load_are_all_heard_of() -> None:
    small = small_world()
    vms = [small.world.add_vm(small.pool, f"vm-{number}") for number in range(60)]

    async def ask(client: Client) -> None:
        token = await client.call("event.inject", "pool", ref(small.pool))
        heard: dict[str, str] = {}

        async def listen() -> None:
            nonlocal token
            while len(heard) < len(vms):
                answer = await changes(client, token, ["VM"], 60)
                token = answer["token"]
                heard.update({event["ref"]: event["snapshot"]["name_label"] for event in answer["events"]})

        async def rename(number: int) -> None:
            await asyncio.sleep(number * 0.01)
            await client.call("VM.set_name_label", ref(vms[number]), f"new-{number}")

        await asyncio.gather(listen(), *(rename(number) for number in range(len(vms))))
        assert heard == {ref(vm): f"new-{number}" for number, vm in enumerate(vms)}

    asked(face_of(small.world), ask)
