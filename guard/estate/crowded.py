"""How much a JSON text would take once it is read: a short text may stand for very many values."""

from __future__ import annotations

import msgspec

MOST_VALUES = 20_000_000
"""What one text may hold: some 60 bytes of memory each. 10,000 VMs with 30,000 disks are a tenth of it."""


def is_crowded(text: bytes | msgspec.Raw) -> bool:
    """Whether a text holds more values than guard takes. Marks inside strings count too: no exact count is needed."""
    whole = bytes(text)
    return sum(map(whole.count, (b",", b"[", b"{"))) > MOST_VALUES
