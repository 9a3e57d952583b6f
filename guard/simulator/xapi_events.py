"""What changed in a pool since a client last looked: ``event.from`` (xapi-storage.md 8).

Nobody tells the face what happens to the world, so every look compares all records with those of the look before. A
token is the number of the last change a client knows of.
"""

from __future__ import annotations

from collections.abc import Iterable

from guard.simulator.xapi_records import CLASSES, Tables
from guard.simulator.xapi_wire import Record, Value, XapiError, stamp


class Seen:
    """One record as it was last seen: when it came (``added``) and when it last changed (``changed``)."""

    __slots__ = ("added", "changed", "record")

    def __init__(self, record: Record, number: int) -> None:
        self.record = record
        self.added = self.changed = number


class EventLog:
    """Changes of one pool's records, numbered."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._seen: dict[str, dict[str, Seen]] = {cls: {} for cls in CLASSES}
        self._gone: list[tuple[int, str, str]] = []
        self._number = 0

    def look(self) -> str:
        """Notice what has changed; returns the token of now."""
        for cls in CLASSES:
            before, now = self._seen[cls], self._tables.all_records(cls)
            for ref in [ref for ref in before if ref not in now]:
                del before[ref]
                self._number += 1
                self._gone.append((self._number, cls, ref))
            for ref, record in now.items():
                known = before.get(ref)
                if known is None:
                    self._number += 1
                    before[ref] = Seen(record, self._number)
                elif known.record != record:
                    self._number += 1
                    known.record, known.changed = record, self._number
        return str(self._number)

    def since(self, classes: Iterable[str], token: str) -> Record:
        """The answer to ``event.from``: deletions first, then everything in the order it changed.

        An empty token is the beginning: all objects of the classes, as additions. Raises XapiError for a token this
        log never gave.
        """
        self.look()
        wanted = self._wanted(classes)
        start = self._start(token)
        events = [
            (number, self._event(number, cls, "del", ref)) for number, cls, ref in self._gone if number > start > 0
        ]
        events = [(number, event) for number, event in events if event["class"] in wanted]
        for cls in (cls for cls in CLASSES if cls.lower() in wanted):
            for ref, seen in self._seen[cls].items():
                if seen.changed > start:
                    operation = "add" if seen.added > start else "mod"
                    event = self._event(seen.changed, cls, operation, ref) | {"snapshot": seen.record}
                    events.append((seen.changed, event))
        return {
            "token": str(self._number),
            "events": [event for _number, event in sorted(events, key=lambda pair: pair[0])],
            "valid_ref_counts": {cls.lower(): len(self._seen[cls]) for cls in CLASSES if cls.lower() in wanted},
        }

    def _wanted(self, classes: Iterable[str]) -> frozenset[str]:
        names = frozenset(name.lower() for name in classes)
        return frozenset(cls.lower() for cls in CLASSES) if "*" in names else names

    def _start(self, token: str) -> int:
        if token == "":
            return 0
        if not token.isdecimal():
            raise XapiError("EVENT_FROM_TOKEN_PARSE_FAILURE", token)
        if int(token) > self._number:
            raise XapiError("EVENTS_LOST")
        return int(token)

    def _event(self, number: int, cls: str, operation: str, ref: str) -> Record:
        at: Value = stamp(self._tables.world.now())
        return {"id": str(number), "timestamp": at, "class": cls.lower(), "operation": operation, "ref": ref}
