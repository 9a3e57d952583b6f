"""Bytes a snapshot needs on an SR, per driver and image format, as bounds (xapi-storage.md section 1).

Sources: SM drivers LVHDSR.py:1684-1713, lvhdutil.py:98-103, vhdutil.py:65-89, FileSR.py:754-915, LinstorSR.py,
qcow2util.py. Free space below ``lower``: the snapshot will fail. At or above ``upper``: it cannot fail for space.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from guard.units import GIB, KIB, MIB, TIB

BLOCK = 2 * MIB
EXTENT = 4 * MIB
JOURNAL = 2 * EXTENT  # two journal volumes, gone again after the snapshot

LVM_TYPES = frozenset({"lvm", "lvmoiscsi", "lvmohba", "lvmofcoe"})
FILE_TYPES = frozenset({"ext", "nfs", "smb", "file", "xfs", "zfs", "cephfs", "glusterfs", "moosefs", "largeblock"})


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that stay allocated after the snapshots, as bounds; ``expected`` None: no history to tell from.

    ``transient`` bytes are needed once on top while a snapshot is being taken (journals). ``empty_discount`` is what an
    empty base gives back when several disks follow one another (SM deletes it again). ``proven``: False for a rule that was
    read in a branch of SM only, and not measured.
    """

    lower: int
    expected: int | None
    upper: int
    transient: int = 0
    proven: bool = True


def round_up(unit: int, count: int) -> int:
    """``count`` rounded up to a multiple of ``unit``."""
    return -(-count // unit) * unit


def vhd_header(size: int) -> int:
    """Bytes of an empty VHD that can hold ``size`` virtual bytes (vhdutil.py:65-82)."""
    blocks = size // MIB // 2
    return round_up(4096, round_up(512, 3072 + 4 * blocks) + blocks // 8)


def vhd_bitmaps(size: int) -> int:
    """Bytes of all block bitmaps of a fully written VHD (vhdutil.py:85-89)."""
    return 4096 * -(-size // BLOCK)


META = vhd_header(2 * TIB)  # every LVM VHD reserves the header of a 2 TiB disk
THIN = round_up(EXTENT, META)
QCOW2_RESERVE = round_up(EXTENT, 128 * KIB + 8 * (16 * TIB // 65536))  # tables of a disk of 16 TiB, whatever its size
VHD_LIMIT = 2040 * GIB
"""The largest disk that SM makes a VHD of, and XAPI exports as one (xapi-storage.md 1.4, 6)."""


def lvm_full(size: int) -> int:
    """Size of the logical volume that holds a fully inflated VHD (lvhdutil.py:98-103)."""
    return round_up(EXTENT, size + META + vhd_bitmaps(size))


def lvm_base(written: int) -> int:
    """Size of a leaf's volume once deflated to the ``written`` bytes it holds, in whole 2 MiB blocks."""
    return round_up(EXTENT, META + -(-written // BLOCK) * (BLOCK + 4096) + 512)


def disk_need(
    *,
    sr_type: str,
    size: int,
    usage: int | None = None,
    image_format: str = "vhd",
    provisioning: str = "thick",
    attached: bool = True,
    written: int | None = None,
    cbt: bool = False,
) -> Need | None:
    """What one disk's snapshot needs. None: a driver whose rule is not known.

    ``provisioning``: thick or thin; on LINSTOR anything else means that it is not known.
    ``usage``: the leaf's physical bytes (on LVM the size of its volume). ``written``: bytes expected in the leaf since
    its last snapshot, None when nothing tells.
    """
    if sr_type in LVM_TYPES:
        inflated = provisioning != "thin" or attached
        if image_format == "qcow2":
            return _lvm_qcow2(size, inflated=inflated, cbt=cbt)
        return _lvm_vhd(size, usage, written, inflated=inflated, cbt=cbt)
    if sr_type in FILE_TYPES:
        one = 128 * KIB + 8 * size // 65536 if image_format == "qcow2" else vhd_header(size)
        least = 128 * KIB if image_format == "qcow2" else one  # the tables of a QCOW2 file grow with it
        return Need(lower=2 * least, expected=2 * one, upper=2 * one)
    if sr_type == "linstor":
        volume = round_up(512, size + META + vhd_bitmaps(size))
        thick, thin = 2 * volume, 2 * THIN
        if provisioning not in ("thick", "thin"):
            return Need(lower=0, expected=None, upper=thick)
        return Need(lower=0, expected=thick if provisioning == "thick" else thin, upper=thick)
    if sr_type == "zfs-vol":
        return Need(lower=0, expected=0, upper=0)
    return None


def _lvm_vhd(size: int, usage: int | None, written: int | None, *, inflated: bool, cbt: bool) -> Need:
    log = EXTENT if cbt else 0  # without room for it the snapshot succeeds and CBT is switched off (SM VDI.py:786-810)
    if not inflated:
        # the detached leaf of a thin SR holds just its data, so the check comes to two empty nodes whatever it holds
        return Need(lower=THIN, expected=2 * THIN + log, upper=2 * THIN + log, transient=JOURNAL)
    full = lvm_full(size)
    growth = max(0, full - (usage if usage is not None else full))
    upper = full + THIN + log
    expected = None if written is None else min(upper, growth + lvm_base(written) + THIN + log)
    return Need(lower=growth + THIN, expected=expected, upper=upper, transient=JOURNAL)


def _lvm_qcow2(size: int, *, inflated: bool, cbt: bool) -> Need:
    """A QCOW2 leaf is not deflated, so what it holds does not matter (SM qcow2util.py getSizePhys; a branch of SM)."""
    whole = (round_up(EXTENT, size + QCOW2_RESERVE) if inflated else QCOW2_RESERVE) + QCOW2_RESERVE
    most = whole + (EXTENT if cbt else 0)
    return Need(lower=whole - THIN, expected=most, upper=most, transient=JOURNAL, proven=False)


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """The need of several disks, bytes. ``known``: what is expected of those that something tells of, at least."""

    lower: int
    known: int
    expected: int | None
    upper: int


def total(needs: Iterable[Need]) -> Total:
    """The need of disks snapshotted one after another on one SR.

    Journals are needed once. On LVM the last disk's check still counts its not yet deleted empty base, one THIN.
    """
    lower = upper = known = transient = 0
    guessed = False
    for need in needs:
        lower += need.lower
        upper += need.upper
        known += need.lower if need.expected is None else need.expected
        guessed = guessed or need.expected is None
        transient = max(transient, need.transient)
    checked = lower + transient + (THIN if transient else 0)
    known = max(checked, known + transient)
    return Total(lower=checked, known=known, expected=None if guessed else known, upper=max(checked, upper + transient))
