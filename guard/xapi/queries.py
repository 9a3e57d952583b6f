"""Expressions of ``get_all_records_where``, and the words guard looks for (xapi-storage.md 3.5, 5.3, 6 and 8).

XAPI compares values as texts: ``true``, references, uuids. It knows no ranges and no patterns.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

AT_ONCE = 100
"""So many values in one expression: its answer stays small, and so does the time XAPI holds its database."""
CONTROL_DOMAINS = 'field "is_control_domain" = "true"'
COLLECTIONS = 'field "name__label" = "Garbage Collection" and field "status" = "pending"'
"""Tasks of SM's garbage collector that are at work."""
MESSAGES = (
    "SM_GC_NO_SPACE",
    "No space left on device",
    "Input/output error",
    "failed to unpause tapdisk",
    "VDI_CBT_SNAPSHOT_FAILED",
)
"""Names under which the collector and the snapshots leave word of what went wrong."""
_VALUE = re.compile(r"[0-9A-Za-z:_-]{1,100}")


def any_of(field: str, values: Collection[str]) -> str:
    return " or ".join(f'field "{field}" = "{value}"' for value in values)


def at_a_time(values: Collection[str]) -> Iterator[tuple[str, ...]]:
    """References or uuids in groups that an expression can hold; what is neither is left out."""
    fitting = sorted({value for value in values if _VALUE.fullmatch(value)})
    for start in range(0, len(fitting), AT_ONCE):
        yield tuple(fitting[start : start + AT_ONCE])


def attached_drives_of(domains: Collection[str]) -> str:
    return f'field "currently_attached" = "true" and ({any_of("VM", domains)})'


def plugged_into(srs: Collection[str]) -> str:
    return f'field "currently_attached" = "true" and ({any_of("SR", srs)})'


def disks_of(vms: Collection[str]) -> str:
    return f'field "type" = "Disk" and ({any_of("VM", vms)})'
