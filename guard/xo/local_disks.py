"""The file systems of the machine guard runs on, where the policy says that it is XO's own ([xo] local_paths)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from guard.estate.estate import Part, PartName
from guard.estate.local_disks import LocalDisk

DiskOf = Callable[[str], LocalDisk]


def disk_of(path: str) -> LocalDisk:
    """The file system a path lies on; what is kept for root alone is not available. Raises OSError."""
    space = os.statvfs(path)
    return LocalDisk(
        path=path,
        device=Path(path).stat().st_dev,
        size=space.f_blocks * space.f_frsize,
        available=space.f_bavail * space.f_frsize,
    )


def read_local_disks(paths: Iterable[str], now: datetime, disk_of: DiskOf) -> tuple[Part, tuple[LocalDisk, ...]]:
    """All of them, and how they were read: one that cannot be makes the part a failed one."""
    found: list[LocalDisk] = []
    wrong: list[str] = []
    for path in paths:
        try:
            found.append(disk_of(path))
        except OSError as error:
            wrong.append(f"{path} ({error.strerror})")
    told = f"[xo] local_paths: {', '.join(wrong)} cannot be read; name paths of XO's own machine, and only where guard runs on it."
    part = Part(name=PartName.LOCAL_DISKS, source="statvfs", read_at=now, ok=not wrong, error=told if wrong else "")
    return part, tuple(found)
