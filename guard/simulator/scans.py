"""``SR.scan`` and ``PBD.plug`` in driven time (xapi-storage.md 3.6, failure-modes.md 3.4).

One scan at a time on an SR: XAPI lets whatever else is asked of that SR wait meanwhile, snapshots too, up to two hours
(``Helpers.retry`` of its message forwarding). SM wakes the collector at the end of a scan that went well.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from guard.simulator.calls import CallError, Work
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import FOREVER
from guard.simulator.vm_backup import xapi_error

if TYPE_CHECKING:
    from guard.simulator.live import Live

PATIENCE, RETRY = 7200.0, 1.0
"""Seconds XAPI waits for another operation on the SR, and between two tries: 1 to 20 s, less when it is woken."""
SCAN, PLUG = 20.0, 3.0
"""Seconds they take unless told otherwise: guesses."""


class Scans:
    """What is done to SRs at a client's wish. ``seconds``: of a scan, by SR id."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.seconds: dict[str, float] = {}

    def scan(self, sr: XoObject) -> Work:
        """Scan an SR, once nobody else does. Raises CallError."""
        world = self._live.world
        self._check_way(sr)
        if not self._is_plugged_on_master(sr):
            raise CallError(xapi_error(self._live, "SR_HAS_NO_PBDS", [sr["_xapiRef"]], "Async.SR.scan"))
        task = world.add_xapi_task(world.get("pool", sr["$pool"]), "Async.SR.scan", progress=0)
        try:
            busy = yield from self.wait(sr)
            if busy is not None:
                raise CallError(xapi_error(self._live, *busy, "Async.SR.scan"))
            sr["current_operations"][task["_xapiRef"]] = "scan"
            yield from self._trouble(sr, self.seconds.get(sr["id"], SCAN), "Async.SR.scan")
        finally:
            sr["current_operations"].pop(task["_xapiRef"], None)
            world.remove_object(task)
        self._live.collector.wake(sr)

    def wait(self, sr: XoObject) -> Generator[Any, None, tuple[str, list[str]] | None]:
        """Until nobody scans the SR; (code, parameters) of XAPI's error where that takes too long."""
        waited = 0.0
        while scans := [task for task, operation in sr["current_operations"].items() if operation == "scan"]:
            if waited >= PATIENCE:
                return "OTHER_OPERATION_IN_PROGRESS", ["SR", sr["_xapiRef"], "scan", scans[0]]
            yield RETRY
            waited += RETRY
        return None

    def plug(self, pbd: XoObject) -> Work:
        """Attach an SR to a host; one that is attached stays so. Raises CallError."""
        world = self._live.world
        self._check_way(pbd)
        host = world.get("host", pbd["host"])
        if host["power_state"] != "Running":
            raise CallError(xapi_error(self._live, "HOST_OFFLINE", [host["_xapiRef"]], "Async.PBD.plug"))
        task = world.add_xapi_task(world.get("pool", pbd["$pool"]), "Async.PBD.plug", progress=0)
        try:
            yield from self._trouble(pbd, PLUG, "Async.PBD.plug")
        finally:
            world.remove_object(task)
        pbd["attached"] = True

    def _trouble(self, found: XoObject, seconds: float, call: str) -> Work:
        """So long it takes, and what is planted for it. Raises CallError."""
        trouble = self._live.planted.next_trouble(found["id"])
        if trouble is not None and trouble.hangs:
            yield FOREVER
        yield seconds
        self._check_way(found)
        if trouble is not None:
            raise CallError(xapi_error(self._live, trouble.code, list(trouble.params), call))

    def _check_way(self, found: XoObject) -> None:
        """XAPI may be away although XO still shows its pool."""
        if not self._live.pools.reachable(found["$pool"]):
            raise CallError(self._live.pools.cut_connection())

    def _is_plugged_on_master(self, sr: XoObject) -> bool:
        """A shared SR is scanned by the pool's master, a local one by its host."""
        master = self._live.world.get("pool", sr["$pool"]).get("master")
        pbds = [self._live.world.get("PBD", identity) for identity in sr["$PBDs"]]
        return any(pbd["attached"] and (not sr["shared"] or pbd["host"] == master) for pbd in pbds)
