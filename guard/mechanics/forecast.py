"""Bytes of a VM's next transfer: full or delta, from past transfers, else from its disks (failure-modes.md 3.6, 9.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from guard.estate.xo_records import Job, Vdi
from guard.mechanics.chain import MOST_NODES
from guard.mechanics.history import Transfer, quantiles, sizes
from guard.mechanics.retention import has_base


class Bytes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes one VM is expected to send to one target.

    ``expected`` and ``high`` (P90) are None where nothing tells; ``most`` bounds them by what the disks hold, None where
    that cannot be told either. ``full`` None: full or delta cannot be told. ``source`` says where the figures are from.
    """

    expected: int | None
    high: int | None
    most: int | None
    full: bool | None
    samples: int
    source: str


def next_is_full(job: Job, vm_id: str, snapshots_of_disks: Iterable[Iterable[Vdi]], full_interval: int) -> bool:
    """Full mode, a disk without a delta base, or the forced full interval (VMR/IncrementalXapi.mjs:161-268)."""
    if job.mode == "full":
        return True
    bases = [has_base(job, vm_id, snapshots) for snapshots in snapshots_of_disks]
    return any(not found or (full_interval > 0 and length + 1 >= full_interval) for found, length in bases)


def forecast(samples: Sequence[Transfer], *, full: bool, schedule: str, most: int | None) -> Bytes:
    """From past transfers of the same kind, the newest full or the quantiles of the deltas; else from the disks."""
    seen = sizes(samples, full=full, schedule=schedule)
    if seen and full:
        known = quantiles(seen)
        return Bytes(
            expected=seen[-1],
            high=max(seen[-1], int(known.p90 or 0)),
            most=most,
            full=True,
            samples=len(seen),
            source="backup logs",
        )
    if seen:
        known = quantiles(seen)
        return Bytes(
            expected=int(known.p50 or 0),
            high=int(known.p90 or 0),
            most=most,
            full=False,
            samples=len(seen),
            source="backup logs",
        )
    if most == 0 or (full and most is not None):
        return Bytes(expected=most, high=most, most=most, full=full, samples=0, source="physical size of the disks")
    source = "a disk without a size" if full else "no delta in the backup logs"
    return Bytes(expected=None, high=None, most=most, full=full, samples=0, source=source)


UNKNOWN = Bytes(expected=None, high=None, most=None, full=None, samples=0, source="disks or snapshots not read")


def most_bytes(disks: Iterable[Vdi | None], vdis: Mapping[str, Vdi]) -> int | None:
    """What a full export of the disks sends at most: the bytes allocated along each chain, at most the virtual size.

    None when a disk is not shown, or has no size.
    """
    total = 0
    for disk in disks:
        if disk is None or not isinstance(disk.size, int):
            return None
        total += _allocated(disk, disk.size, vdis)
    return total


def _allocated(disk: Vdi, size: int, vdis: Mapping[str, Vdi]) -> int:
    used, at, seen = 0, disk, set[str]()
    while at.id not in seen and used < size and len(seen) < MOST_NODES:
        seen.add(at.id)
        if not isinstance(at.usage, int):
            return size
        used += at.usage
        if not at.parent or at.parent not in vdis:
            break
        at = vdis[at.parent]
    return min(used, size)
