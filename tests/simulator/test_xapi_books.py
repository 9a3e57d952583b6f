"""Random changes over XAPI and by the world's author: the books stay right, and who follows the events knows everything."""

from __future__ import annotations

import random

import pytest
from guard.simulator.world import World
from guard.simulator.xapi import XapiFace
from guard.simulator.xapi_calls import Calls
from guard.simulator.xapi_events import EventLog
from guard.simulator.xapi_records import CLASSES, Tables
from guard.simulator.xapi_wire import Record, XapiError
from tests.simulator.worlds import small_world
from tests.simulator.xapi_ways import ref

MIB = 1024**2


class Client:
    """What a client knows that has only ever followed the events."""

    def __init__(self, events: EventLog) -> None:
        self.events = events
        self.token = ""
        self.known: dict[str, dict[str, Record]] = {cls.lower(): {} for cls in CLASSES}

    def follow(self) -> None:
        answer = self.events.since(["*"], self.token)
        self.token = answer["token"]
        for event in answer["events"]:
            records = self.known[event["class"]]
            if event["operation"] == "del":
                del records[event["ref"]]
            else:
                assert (event["ref"] in records) == (event["operation"] == "mod")
                records[event["ref"]] = event["snapshot"]
        assert answer["valid_ref_counts"] == {cls: len(records) for cls, records in self.known.items()}


class Chance:
    """One random change after another."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.small = small_world()
        self.world: World = self.small.world
        face = XapiFace(self.world, self.small.pool)
        self.tables: Tables = face.tables
        self.calls = Calls(self.tables)
        self.done: set[str] = set()

    def step(self) -> None:
        change = self.random.choice(
            [
                self.snapshot,
                self.snapshot,
                self.destroy,
                self.destroy_disk,
                self.write,
                self.collect,
                self.rename,
                self.task,
            ]
        )
        try:
            change()
            self.done.add(change.__name__)
        except XapiError as refused:
            self.done.add(refused.description[0])

    def _vm(self) -> str:
        return ref(self.random.choice([self.small.thick, self.small.thin]))

    def snapshot(self) -> None:
        self.calls.call("VM.snapshot", [self._vm(), "x"])

    def destroy(self) -> None:
        snapshots = self.tables.record("VM", self._vm())["snapshots"]
        if snapshots:
            self.calls.call("VM.destroy", [self.random.choice(snapshots)])

    def destroy_disk(self) -> None:
        self.calls.call("VDI.destroy", [self.random.choice(self.tables.refs("VDI"))])

    def write(self) -> None:
        for disk in (self.small.thick_disk, self.small.thin_disk):
            if disk["id"] in self.world.objects["VDI"]:
                self.world.write(disk, self.random.randrange(9) * MIB)

    def collect(self) -> None:
        self.world.coalesce(self.random.choice([self.small.lvm, self.small.nfs]), self.random.randrange(3))

    def rename(self) -> None:
        self.calls.call("VM.add_to_other_config", [self._vm(), f"key-{self.random.randrange(5)}", "v"])

    def task(self) -> None:
        task = self.calls.call("task.create", ["t", ""])
        if self.random.random() < 0.5:
            self.calls.call("task.destroy", [task])


@pytest.mark.parametrize("seed", range(8))
def test_the_books_stay_right_and_the_events_tell_everything(seed: int) -> None:
    chance = Chance(seed)
    client = Client(EventLog(chance.tables))
    for _ in range(80):
        for _ in range(chance.random.randrange(1, 4)):
            chance.step()
        client.follow()
        assert client.known == {cls.lower(): chance.tables.all_records(cls) for cls in CLASSES}
        for sr in (chance.small.lvm, chance.small.nfs):
            disks = [
                disk
                for kind in ("VDI", "VDI-snapshot", "VDI-unmanaged")
                for disk in chance.world.objects.get(kind, {}).values()
                if disk["$SR"] == sr["id"]
            ]
            assert sr["physical_usage"] == sum(disk["usage"] for disk in disks)
            assert sorted(sr["VDIs"]) == sorted(disk["id"] for disk in disks)
        drives = chance.world.objects["VBD"]
        for owner in (one for cls in ("VM", "VDI") for one in chance.tables.all_records(cls).values()):
            assert {ref(drive) for drive in drives.values()} >= set(owner["VBDs"])
    assert {"snapshot", "destroy", "destroy_disk", "VDI_NOT_MANAGED"} <= chance.done
    assert "INTERNAL_ERROR" not in chance.done
