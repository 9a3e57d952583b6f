"""Bytes that whole new disks need on an SR: replicas, health checks, memory (xapi-storage.md 1; failure-modes.md 3.3, 4.4).

Free space below ``lower``: it will not fit. At or above ``upper``: it cannot fail for space. A disk counts whole once it is
created on LVM and thick LINSTOR, and with the bytes it is given elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from guard.mechanics.snapshot_space import (
    FILE_TYPES,
    LVM_TYPES,
    META,
    QCOW2_RESERVE,
    THIN,
    VHD_LIMIT,
    Need,
    disk_need,
    lvm_full,
    round_up,
    vhd_bitmaps,
    vhd_header,
)

_MEMORY_SPARE = 104_857_600


def new_disk(*, sr_type: str, provisioning: str, size: int, data: int | None) -> Need | None:
    """A disk of ``size`` that is created and given ``data`` bytes (None: nothing tells). None: a driver without a rule.

    LVM inflates even a thin volume to its whole size while something writes to it (LVHDSR.py:1443-1455).
    """
    if sr_type in LVM_TYPES:
        volume = lvm_full(size) if size <= VHD_LIMIT else round_up(4096 * 1024, size + QCOW2_RESERVE)
        return Need(lower=volume, expected=volume, upper=volume)
    if sr_type == "linstor":
        volume = round_up(512, size + META + vhd_bitmaps(size))
        if provisioning == "thick":
            return Need(lower=volume, expected=volume, upper=volume)
        known = provisioning == "thin" and data is not None
        return Need(lower=0, expected=min(volume, (data or 0) + THIN) if known else None, upper=volume)
    if sr_type in FILE_TYPES or sr_type == "zfs-vol":
        most = size + vhd_header(size) + vhd_bitmaps(size)
        return Need(lower=0, expected=None if data is None else min(most, data + vhd_header(size)), upper=most)
    return None


def first_replica(*, sr_type: str, provisioning: str, size: int, data: int | None) -> Need | None:
    """A replica's disk that is not there yet: it is created, filled, and snapshotted (IncrementalXapiWriter.mjs:469)."""
    new = new_disk(sr_type=sr_type, provisioning=provisioning, size=size, data=data)
    kept = _frozen(sr_type, provisioning, size, data)
    if new is None or kept is None:
        return None
    expected = None if new.expected is None or kept.expected is None else new.expected + kept.expected
    return Need(lower=new.lower, expected=expected, upper=new.upper + kept.upper, transient=kept.transient)


def next_replica(*, sr_type: str, provisioning: str, size: int, data: int | None) -> Need | None:
    """A replica's disk that is given the next ``data`` bytes and snapshotted: on a thick SR its volume is whole already."""
    kept = _frozen(sr_type, provisioning, size, data)
    if kept is None or (provisioning == "thick" and (sr_type in LVM_TYPES or sr_type == "linstor")):
        return kept
    # a thin LVM volume is inflated while it is written to: what that takes depends on what else is written then
    unknown = data is None or kept.expected is None or sr_type in LVM_TYPES
    most = kept.upper + size + vhd_bitmaps(size) + META
    expected = None if unknown else min(most, (kept.expected or 0) + (data or 0))
    return Need(lower=kept.lower, expected=expected, upper=most, transient=kept.transient)


def _frozen(sr_type: str, provisioning: str, size: int, data: int | None) -> Need | None:
    """The snapshot of a replica, which no VM has attached."""
    return disk_need(
        sr_type=sr_type,
        size=size,
        provisioning=provisioning,
        attached=False,
        written=data,
        image_format="vhd" if size <= VHD_LIMIT else "qcow2",
    )


def memory_image(static_max: int) -> int:
    """Bytes of the disk that XAPI makes for a VM's memory (xapi_xenops.ml:4016-4049); a vGPU's frame buffer comes on top."""
    return static_max * 126 // 100 + _MEMORY_SPARE


def memory_need(*, sr_type: str, provisioning: str, static_max: int) -> Need | None:
    """What a snapshot with memory needs on the suspend SR: the image is written, then snapshotted like any disk."""
    return first_replica(sr_type=sr_type, provisioning=provisioning, size=memory_image(static_max), data=static_max)


def summed(needs: Iterable[Need]) -> Need:
    """Several disks one after another: what stays adds up, journals are needed once. ``expected`` None: one has none."""
    lower = expected = upper = transient = 0
    guessed = False
    for need in needs:
        lower += need.lower
        upper += need.upper
        expected += need.lower if need.expected is None else need.expected
        guessed = guessed or need.expected is None
        transient = max(transient, need.transient)
    return Need(lower=lower, expected=None if guessed else expected + transient, upper=upper + transient)
