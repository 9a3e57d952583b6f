"""Bytes an SR must have free for the next merge of two nodes (xapi-storage.md 3.2; SM cleanup.py 1467-1483, 1085-1102)."""

from __future__ import annotations

import msgspec
from msgspec import UnsetType

from guard.mechanics.snapshot_space import EXTENT, LVM_TYPES, round_up, vhd_header


class MergeNeed(msgspec.Struct, frozen=True, kw_only=True):
    """``exact``: from the blocks of both nodes; otherwise an upper bound: all that the child holds is new to its parent."""

    bytes: int
    exact: bool


def merge_need(*, sr_type: str, size: int, child: int, parent: int, merged: int | UnsetType | None) -> MergeNeed:
    """``size``: virtual; ``child``, ``parent``: physical bytes of the two; ``merged``: bytes of their blocks together, where told.

    On LVM the parent's volume grows to hold both, by whole extents; in a file it grows by what is new.
    """
    if not isinstance(merged, int):
        return MergeNeed(bytes=child, exact=False)
    whole = merged + vhd_header(size)
    if sr_type in LVM_TYPES:
        whole = round_up(EXTENT, whole)
    return MergeNeed(bytes=max(0, whole - parent), exact=True)
