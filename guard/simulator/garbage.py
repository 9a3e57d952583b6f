"""SM's garbage collector in driven time (SM cleanup.py; xapi-storage.md 3): late, one pair at a time, and it takes room.

It is woken when a snapshot is deleted or its SR is scanned, waits five minutes, then merges pair after pair. One that
sleeps (after its host was restarted, or killed) is woken by a scan only. Until the last one is done XAPI
shows a task ``Garbage Collection``. While a pair is merged its data is there twice; the room comes back at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.simulator.shapes import XoObject
from guard.simulator.timeline import Process, Steps

if TYPE_CHECKING:
    from guard.simulator.live import Live

QUIET = 300.0
"""Seconds the collector waits before it works."""
SHORTEST = 1.0
"""Seconds even an empty pair takes."""


class GarbageCollector:
    """One collector per SR. ``rate``: bytes/s at which a pair is merged; ``rates``: those of single SRs, by id."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.rate = 50.0 * 1024**2
        self.rates: dict[str, float] = {}
        self._at_work: dict[str, Process] = {}
        self._again: set[str] = set()
        self._asleep: set[str] = set()

    def fall_asleep(self, sr: XoObject) -> None:
        """From now on nothing but a scan of the SR wakes it; what it is at is left as it is."""
        self._asleep.add(sr["id"])
        self._again.discard(sr["id"])
        if (process := self._at_work.pop(sr["id"], None)) is not None:
            process.stop()

    def wake(self, sr: XoObject) -> None:
        """What a scan of the SR does."""
        self._asleep.discard(sr["id"])
        self.kick(sr)

    def kick(self, sr: XoObject) -> None:
        """What deleting a disk does."""
        if sr["id"] in self._asleep:
            return
        if sr["id"] in self._at_work:
            self._again.add(sr["id"])
        elif self._is_on(sr) and self._live.world.next_merge(sr) is not None:
            process = Process(self._live.timeline, self._work(sr), self._live.outside)
            self._at_work[sr["id"]] = process
            process.resume()

    def switch_off(self, sr: XoObject) -> None:
        """``other_config.gc = false``: nothing is merged any more; a merge under way is finished."""
        sr["other_config"]["gc"] = "false"

    def switch_on(self, sr: XoObject) -> None:
        sr["other_config"].pop("gc", None)
        self.kick(sr)

    def _is_on(self, sr: XoObject) -> bool:
        return bool(sr["other_config"].get("gc") != "false")

    def _work(self, sr: XoObject) -> Steps:
        world = self._live.world
        task = world.add_xapi_task(world.get("pool", sr["$pool"]), "Garbage Collection", sr, progress=0)
        task["name_description"] = f"Garbage collection for SR {sr['id']}"
        try:
            yield QUIET
            while self._is_on(sr):
                pair = world.next_merge(sr)
                if pair is None:
                    break
                moved, needed = self._cost(sr, *pair)
                if needed > sr["size"] - sr["physical_usage"]:
                    self._tell_no_space(sr)
                    break
                sr["physical_usage"] += needed
                try:
                    yield max(SHORTEST, moved / self.rates.get(sr["id"], self.rate))
                finally:
                    sr["physical_usage"] -= needed
                if is_there(world.objects, pair):
                    world.merge(*pair)
                task["progress"] = (1 + task["progress"]) / 2
        finally:
            world.remove_object(task)
        del self._at_work[sr["id"]]
        if sr["id"] in self._again:
            self._again.discard(sr["id"])
            self.kick(sr)

    def _cost(self, sr: XoObject, base: XoObject, child: XoObject | None) -> tuple[int, int]:
        """(bytes to move, bytes of room needed meanwhile): at most the data of the child."""
        if child is None:
            return 0, 0
        data = self._live.world.data_of(child)
        return data, min(data, max(0, base["size"] - base["usage"]))

    def _tell_no_space(self, sr: XoObject) -> None:
        """It gives up; XAPI has a message and the SR a mark (SM cleanup.py, SM_GC_NO_SPACE)."""
        if "gc_no_space" not in sr["sm_config"]:
            message = self._live.world.add_message(sr, "SM_GC_NO_SPACE", f"Unable to perform coalesce on {sr['id']}")
            sr["sm_config"]["gc_no_space"] = message["_xapiRef"]


def is_there(objects: dict[str, dict[str, XoObject]], pair: tuple[XoObject, XoObject | None]) -> bool:
    """Whether both are still what they were when the merge began: a new snapshot may hang below the base by now."""
    base, child = pair
    if base["id"] not in objects["VDI-unmanaged"]:
        return False
    below = [
        node["id"]
        for kind in ("VDI", "VDI-snapshot", "VDI-unmanaged")
        for node in objects.get(kind, {}).values()
        if node.get("parent") == base["id"]
    ]
    return below == ([] if child is None else [child["id"]])
