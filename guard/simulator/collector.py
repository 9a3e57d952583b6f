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
            self._enter(sr, base)
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
        for base in list(self.objects.get("VDI-unmanaged", {}).values()):
            if base["$SR"] != sr["id"]:
                continue
            children = self.children_of(base)
            if len(children) == 1 and children[0]["type"] != "VDI-snapshot":
                self._merge(base, children[0])
                return True
            if not children:
                self._leave(base)
                return True
        return False

    def _merge(self, base: XoObject, child: XoObject) -> None:
        """A hidden child goes into its parent; a leaf takes the parent's data and keeps its own uuid."""
        merged = min(base["usage"] + child["usage"], base["size"] + EMPTY_LVM_NODE)
        if child["type"] == "VDI-unmanaged":
            grandchildren = self.children_of(child)
            for grandchild in grandchildren:
                grandchild["parent"] = base["id"]
            self._resize(base, merged)
            self._leave(child)
            for grandchild in grandchildren:
                self._refresh(grandchild)
            return
        child.pop("parent")
        if "parent" in base:
            child["parent"] = base["parent"]
        self._leave(base)
        self._resize(child, merged)
        self._written.pop(child["id"], None)
        self._refresh(child)
