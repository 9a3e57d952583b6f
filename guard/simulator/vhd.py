"""Disks as they leave a pool: VHD streams, raw streams, and which blocks of 2 MiB a node of a chain holds.

The world knows how many bytes a node holds, not where. Here a node's blocks are laid one after another, beginning
behind those of the nodes above it, and round again at the end of the disk: so a chain's nodes overlap only where they
must, and the blocks of a chain add up to what the world says. What is in a block is the same in every snapshot of a
disk: a full copy equals a base with its deltas.

Layout (the published VHD format): footer 512 bytes, header 1024, block table, then each block behind a bitmap of 512
bytes, and the footer again.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import takewhile
from uuid import UUID

from guard.simulator.runs import Runs
from guard.simulator.shapes import THICK_TYPES, XoObject
from guard.simulator.storage import EMPTY_FILE_NODE, EMPTY_LVM_NODE
from guard.simulator.vm_snapshots import BLOCK, above

SECTOR = 512
UNUSED = 0xFFFFFFFF
VHD_EPOCH = 946_684_800
"""Seconds from 1970 to 2000, where VHD times begin."""
DYNAMIC, DIFFERENCING = 3, 4
HEADER = 1024
VHD_LIMIT = 2040 * 1024**3
"""Bytes: a larger disk cannot be sent as VHD."""


def block_count(disk: XoObject) -> int:
    return -(-int(disk["size"]) // BLOCK)


def held(world: Runs, node: XoObject) -> int:
    """How many blocks a node of a chain holds itself."""
    thick = world.sr_of(node)["SR_type"] in THICK_TYPES
    data = max(0, world.data_of(node) - (EMPTY_LVM_NODE if thick else EMPTY_FILE_NODE))
    if thick and node["type"] == "VDI":
        data = min(int(node["size"]), world.data_of(node))  # of a leaf the world keeps what the guest wrote
    return min(block_count(node), -(-data // BLOCK))


def own_blocks(world: Runs, node: XoObject) -> set[int]:
    """The numbers of a node's blocks."""
    total = block_count(node)
    start = sum(held(world, ancestor) for ancestor in above(world, node))
    return {(start + index) % total for index in range(held(world, node))}


def block_map(world: Runs, node: XoObject) -> str:
    """``vhd-blocks`` as SM keeps it: one bit per block, zlib, base64."""
    start = sum(held(world, ancestor) for ancestor in above(world, node))
    return _packed(block_count(node), start, held(world, node))


@lru_cache(maxsize=4096)
def _packed(total: int, start: int, count: int) -> str:
    bits = bytearray(-(-total // 8))
    for index in (number % total for number in range(start, start + count)):
        bits[index // 8] |= 0x80 >> index % 8
    return base64.b64encode(zlib.compress(bytes(bits))).decode()


def blocks_since(world: Runs, disk: XoObject, base: XoObject | None) -> list[int]:
    """The blocks to send: of the whole chain, or of what lies above the chain node that ``base`` was taken from."""
    stop = None if base is None else base.get("parent")
    nodes = [disk, *takewhile(lambda node: node["id"] != stop, above(world, disk))]
    return sorted(set().union(*(own_blocks(world, node) for node in nodes)))


def content(disk: XoObject, index: int, length: int = BLOCK) -> bytes:
    """What stands in one block of a disk or of any snapshot of it."""
    origin = UUID(disk.get("$snapshot_of") or disk["id"])
    word = struct.pack(">QII", origin.int & 0xFFFFFFFFFFFFFFFF, index, 0x53494D55)
    return (word * -(-length // len(word)))[:length]


def raw_stream(world: Runs, disk: XoObject) -> Iterator[bytes]:
    """The disk as the guest sees it; blocks nobody wrote are zeros."""
    written, size = set(blocks_since(world, disk, None)), int(disk["size"])
    for index in range(block_count(disk)):
        length = min(BLOCK, size - index * BLOCK)
        yield content(disk, index, length) if index in written else bytes(length)


def vhd_stream(world: Runs, disk: XoObject, base: XoObject | None, at: int) -> Iterator[bytes]:
    """A dynamic VHD of the disk, or with ``base`` (another snapshot of it) a differencing one. ``at``: epoch seconds."""
    total = block_count(disk)
    table_size = -(-total * 4 // SECTOR) * SECTOR
    first = SECTOR + HEADER + table_size
    blocks = blocks_since(world, disk, base)
    table = [UNUSED] * (table_size // 4)
    for position, index in enumerate(blocks):
        table[index] = (first + position * (SECTOR + BLOCK)) // SECTOR
    closing = footer(disk, at, DYNAMIC if base is None else DIFFERENCING)
    yield closing
    yield header(total, base)
    yield struct.pack(f">{len(table)}I", *table)
    for index in blocks:
        yield b"\xff" * SECTOR
        yield content(disk, index)
    yield closing


def footer(disk: XoObject, at: int, kind: int) -> bytes:
    cylinders, heads, sectors = geometry(int(disk["size"]) // SECTOR)
    fields = struct.pack(
        ">8sIIQI4sI4sQQHBBII16sB427x",
        *(b"conectix", 2, 0x00010000, SECTOR, at - VHD_EPOCH, b"tap\0", 0x00010003, b"\0\0\0\0"),
        *(int(disk["size"]), int(disk["size"]), cylinders, heads, sectors, kind, 0, UUID(disk["id"]).bytes, 0),
    )
    return _with_checksum(fields, 64)


def header(entries: int, base: XoObject | None) -> bytes:
    parent = bytes(16) if base is None else UUID(base["id"]).bytes
    name = b"" if base is None else f"{base['id']}.vhd".encode("utf-16-be")
    fields = struct.pack(
        ">8sQQIIII16sI4x512s448x",
        *(b"cxsparse", UNUSED << 32 | UNUSED, SECTOR + HEADER, 0x00010000, entries, BLOCK, 0, parent, 0, name),
    )
    return _with_checksum(fields, 36)


def _with_checksum(fields: bytes, place: int) -> bytes:
    """One's complement of the sum of all bytes, put where zeros stand."""
    checksum = ~sum(fields) & 0xFFFFFFFF
    return fields[:place] + struct.pack(">I", checksum) + fields[place + 4 :]


def geometry(sectors: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors per track of a disk, as the VHD specification's appendix computes them."""
    sectors = min(sectors, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        return sectors // 255 // 16, 16, 255
    per_track = 17
    tracks = sectors // per_track
    heads = max(4, (tracks + 1023) // 1024)
    if tracks >= heads * 1024 or heads > 16:
        per_track, heads = 31, 16
        tracks = sectors // per_track
    if tracks >= heads * 1024:
        per_track, heads = 63, 16
        tracks = sectors // per_track
    return tracks // heads, heads, per_track
