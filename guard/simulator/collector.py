"""SM's garbage collector, acted out: base copies nobody needs any more are merged (SM cleanup.py). Bytes everywhere."""

from __future__ import annotations

from guard.simulator.shapes import XoObject
from guard.simulator.storage import EMPTY_LVM_NODE, MIB, Storage

DISK_TYPES = ("VDI", "VDI-snapshot", "VDI-unmanaged")


class Collector(Storage):
    """What becomes of base copies. Nothing is merged before ``coalesce`` is called."""

    def add_base_copies(self, disk: XoObject, count: int, usage: int = 10 * MIB) -> list[XoObject]:
        """Plant what ``count`` removed snapshots leave when nothing is ever coalesced: base copies above the leaf.

        Returned from the root downwards.
        """
        sr = self.sr_of(disk)
        planted = []
        for _ in range(count):
            base = self._new_base_copy(sr, disk, usage)
            if "parent" in disk:
                base["parent"] = disk["parent"]
            disk["parent"] = base["id"]
            self.enter(sr, base)
            planted.append(base)
        self._refresh(disk)
        return planted

    def children_of(self, node: XoObject) -> list[XoObject]:
        return [
            found
            for kind in DISK_TYPES
            for found in self.objects.get(kind, {}).values()
            if found.get("parent") == node["id"] and found["$SR"] == node["$SR"]
        ]

    def coalesce(self, sr: XoObject, steps: int | None = None) -> int:
        """Let the garbage collector of one SR work, until it is done or for ``steps`` merges; returns how many."""
        done = 0
        while (steps is None or done < steps) and self._coalesce_one(sr):
            done += 1
        return done

    def _coalesce_one(self, sr: XoObject) -> bool:
        found = self.next_merge(sr)
        if found is not None:
            self.merge(*found)
        return found is not None

    def next_merge(self, sr: XoObject) -> tuple[XoObject, XoObject | None] | None:
        """The base copy the collector turns to next, and the only child to merge it with (None: nobody needs it)."""
        children: dict[str, list[XoObject]] = {}
        for kind in DISK_TYPES:
            for found in self.objects.get(kind, {}).values():
                if found["$SR"] == sr["id"] and "parent" in found:
                    children.setdefault(found["parent"], []).append(found)
        for base in self.objects.get("VDI-unmanaged", {}).values():
            if base["$SR"] != sr["id"]:
                continue
            below = children.get(base["id"], [])
            if not below:
                return base, None
            if len(below) == 1 and below[0]["type"] != "VDI-snapshot":
                return base, below[0]
        return None

    def merge(self, base: XoObject, child: XoObject | None) -> None:
        """One step of the collector: a base copy nobody needs goes; one with a single child becomes one with it."""
        if child is None:
            self.leave(base)
        else:
            self._merge(base, child)

    def _merge(self, base: XoObject, child: XoObject) -> None:
        """A hidden child goes into its parent; a leaf takes the parent's data and keeps its own uuid."""
        merged = min(base["usage"] + child["usage"], base["size"] + EMPTY_LVM_NODE)
        if child["type"] == "VDI-unmanaged":
            grandchildren = self.children_of(child)
            for grandchild in grandchildren:
                grandchild["parent"] = base["id"]
            self._resize(base, merged)
            self.leave(child)
            for grandchild in grandchildren:
                self._refresh(grandchild)
            return
        data = self.data_of(base) + self.data_of(child)
        child.pop("parent")
        if "parent" in base:
            child["parent"] = base["parent"]
        self.leave(base)
        self._resize(child, merged)
        if child["id"] in self._written:
            self._written[child["id"]] = min(child["size"], data)
        self._refresh(child)
