"""XO's cache of backup logs: what was read stays as it was for 10 s (observed-on-real-xo.md; xo-api.md 3.3)."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime, timedelta

from guard.simulator.runs import Runs
from guard.simulator.shapes import XoObject

CACHED_FOR = timedelta(seconds=10)


class LogCache:
    """One cache for the list, shared by REST and JSON-RPC, and one for each log that is asked for alone."""

    def __init__(self, world: Runs) -> None:
        self._world = world
        self._list: tuple[datetime, list[XoObject]] | None = None
        self._single: dict[str, tuple[datetime, XoObject | None]] = {}

    def all(self, *, refresh: bool = False) -> list[XoObject]:
        """All logs, at most 10 s old. ``refresh``: what ``_forceRefresh`` does."""
        now = self._world.now()
        if refresh or self._list is None or now - self._list[0] >= CACHED_FOR:
            self._list = now, [frozen(log) for log in self._world.logs.values()]
        return self._list[1]

    def one(self, identity: str) -> XoObject | None:
        """One log, at most 10 s old; a log that was not there yet stays unknown as long."""
        now = self._world.now()
        kept = self._single.get(identity)
        if kept is None or now - kept[0] >= CACHED_FOR:
            self._single = {key: one for key, one in self._single.items() if now - one[0] < CACHED_FOR}
            log = self._world.logs.get(identity)
            kept = self._single[identity] = now, None if log is None else frozen(log)
        return kept[1]

    def clear(self) -> None:
        """xo-server is gone, and its memory with it."""
        self._list = None
        self._single.clear()


def frozen(log: XoObject) -> XoObject:
    """A log as it is now; one that has ended changes no more."""
    return deepcopy(log) if log["status"] == "pending" else log
