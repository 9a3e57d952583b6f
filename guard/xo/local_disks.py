"""The file systems of the machine guard runs on, where the policy says that it is XO's own ([xo] local_paths)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from guard.estate.estate import Part, PartName
from guard.estate.local_disks import LocalDisk
from guard.threads import DaemonThreads

LONGEST_S = 5.0
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


async def read_local_disks(paths: Iterable[str], now: datetime, disk_of: DiskOf) -> tuple[Part, tuple[LocalDisk, ...]]:
    """All of them, and how they were read: one that cannot be makes the part a failed one.

    In threads, as a share that hangs does not answer at all; within ``LONGEST_S`` together.
    """
    loop = asyncio.get_running_loop()
    asked = {path: loop.run_in_executor(DaemonThreads(f"statvfs {path}"), disk_of, path) for path in paths}
    if asked:
        await asyncio.wait(asked.values(), timeout=LONGEST_S)
    found: list[LocalDisk] = []
    wrong: list[str] = []
    for path, one in asked.items():
        if not one.done():
            wrong.append(f"{path} (no answer in {LONGEST_S:g} s; is a share hung?)")
            one.cancel()
            continue
        try:
            found.append(one.result())
        except OSError as error:
            wrong.append(f"{path} ({error.strerror})")
        except ValueError as error:  # no path at all, such as one with a NUL in it
            wrong.append(f"{path!r} ({error})")
    told = f"[xo] local_paths: {', '.join(wrong)} cannot be read; name paths of XO's own machine, and only where guard runs on it."
    part = Part(name=PartName.LOCAL_DISKS, source="statvfs", read_at=now, ok=not wrong, error=told if wrong else "")
    return part, tuple(found)
