"""The file systems of the machine guard runs on, where that is XO's own."""

from __future__ import annotations

import msgspec


class LocalDisk(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A file system, by a path in it (``statvfs``), in bytes. ``device``: ``st_dev``, the same for all its paths."""

    path: str
    device: int
    size: int
    available: int
