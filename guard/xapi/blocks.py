"""``vhd-blocks`` of a VDI's ``sm_config``: which blocks a node of a VHD chain has, one bit for each (xapi-storage.md 3.2)."""

from __future__ import annotations

import base64
import zlib

BLOCK_BYTES = 2 * 1024**2
_LONGEST = 256 * 1024  # bytes: the bits of 4 TiB; a VHD holds 2 at most, and those of a whole SR are in memory at once


def bitmap(packed: str) -> bytes | None:
    """The bits, unpacked; None where it is no bitmap ("skipped"), or one that no disk could have."""
    try:
        unpacking = zlib.decompressobj()
        bits = unpacking.decompress(base64.b64decode(packed, validate=True), _LONGEST)
    except (ValueError, zlib.error):
        return None
    return bits if unpacking.eof else None


def held_bytes(*bitmaps: bytes) -> int:
    """How much data nodes with these blocks have together: what they share counts once."""
    together = 0
    longest = max(map(len, bitmaps))
    for bits in bitmaps:
        together |= int.from_bytes(bits.ljust(longest, b"\0"), "big")
    return together.bit_count() * BLOCK_BYTES
