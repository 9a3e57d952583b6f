"""VDI chains: XO's own health rule per disk, and SM's depth (failure-modes.md 3.1-3.2, xo-api.md 4.1).

A node counts as un-coalesced when it is unmanaged and its only child in its own SR is unmanaged too
(@xen-orchestra/xapi vm.mjs:102-160). A base copy whose only child is the live leaf does not count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from guard.estate.estate import Estate

MAX_DEPTH = 30  # SM vhdutil.py: a snapshot of a chain this deep is refused with SR_BACKEND_FAILURE_109
MOST_NODES = 10 * MAX_DEPTH  # what claims to be longer is no chain, and is not walked to its end for each of its disks


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """One disk's chain: ids of its un-coalesced nodes, its depth in nodes (leaf included), a parent XO does not show."""

    uncoalesced: tuple[str, ...]
    depth: int
    missing_parent: str = ""


class ChainIndex:
    """Answers chains over one estate: children by parent are found once."""

    def __init__(self, estate: Estate) -> None:
        self._vdis = estate.vdi_by_id
        self._unmanaged = estate.unmanaged_ids
        self._children: dict[str, list[str]] = {}
        self._known: dict[str, Chain] = {}
        for vdi in self._vdis.values():
            parent = self._vdis.get(vdi.parent) if vdi.parent else None
            if parent is not None and parent.sr == vdi.sr:
                self._children.setdefault(parent.id, []).append(vdi.id)

    def chain(self, vdi_id: str, removed: Collection[str] = ()) -> Chain:
        """The chain from one disk to its root, as if the VDIs in ``removed`` were already deleted.

        An unreadable parent ends the walk, as in XO; a cycle, or a chain longer than any can be, (corrupt data) ends it too.
        """
        if removed:
            return self._walk(vdi_id, removed)
        if vdi_id not in self._known:  # asked by one check after the other
            self._known[vdi_id] = self._walk(vdi_id, ())
        return self._known[vdi_id]

    def _walk(self, vdi_id: str, removed: Collection[str]) -> Chain:
        uncoalesced: list[str] = []
        seen: set[str] = set()
        missing = ""
        at: str | None = vdi_id
        while at is not None and at not in seen and len(seen) < MOST_NODES:
            vdi = self._vdis.get(at)
            if vdi is None:
                missing = at
                break
            seen.add(at)
            if self._counts(at, removed):
                uncoalesced.append(at)
            at = vdi.parent or None
        return Chain(uncoalesced=tuple(uncoalesced), depth=len(seen), missing_parent=missing)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every node that counts, in whichever chain, with its only child: what SM has to merge into it."""
        return ((one, self.child(one)) for one in self._unmanaged if self._counts(one, ()))

    def has_child(self, node: str) -> bool:
        return node in self._children

    def child(self, node: str) -> str:
        """The only child of a node that counts."""
        return self._children[node][0]

    def _counts(self, vdi_id: str, removed: Collection[str]) -> bool:
        if vdi_id not in self._unmanaged:
            return False
        children = self._children.get(vdi_id, ())
        if removed:
            children = [child for child in children if child not in removed]
        return len(children) == 1 and children[0] in self._unmanaged
