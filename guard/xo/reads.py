"""Which questions make up an estate, and how their answers become records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from guard.estate import xo_records as records
from guard.estate.crowded import MOST_VALUES, is_crowded
from guard.estate.estate import PartName
from guard.estate.xo_records import BackupLog, Job, Record, Vm
from guard.mechanics.selection import MATCHED_FIELDS, listed_ids, pattern_keys

COLLECTIONS: Mapping[PartName, tuple[str, type[Record]]] = {
    PartName.SERVERS: ("servers", records.Server),
    PartName.POOLS: ("pools", records.Pool),
    PartName.HOSTS: ("hosts", records.Host),
    PartName.SRS: ("srs", records.Sr),
    PartName.PBDS: ("pbds", records.Pbd),
    PartName.SCHEDULES: ("schedules", records.Schedule),
    PartName.REPOSITORIES: ("backup-repositories", records.Repository),
    PartName.VBDS: ("vbds", records.Vbd),
    PartName.VDIS: ("vdis", records.Vdi),
    PartName.VDI_SNAPSHOTS: ("vdi-snapshots", records.Vdi),
}
"""Part -> REST collection and record. Jobs, VMs and logs depend on one another and are read on their own."""

_PART_OF: Mapping[tuple[type[Record], str], str] = {(Vm, "memory"): "memory.static"}
"""Fields of which guard asks only a part: XO takes paths (xo-api.md 2.1)."""

OBJECTS_FILTER = "|(type:|(/^VDI-unmanaged$/ /^VUSB$/ /^task$/) (type:/^message$/ name:/^SM_GC_NO_SPACE$/))"
"""The string filter of xo.getAllObjects; an object filter would be an exact match (xo-api.md 9.2)."""

_OBJECT_PARTS: Mapping[str, tuple[PartName, type[Record]]] = {
    "VDI-unmanaged": (PartName.VDI_UNMANAGED, records.Vdi),
    "VUSB": (PartName.VUSBS, records.Vusb),
    "task": (PartName.XAPI_TASKS, records.XapiTask),
    "message": (PartName.MESSAGES, records.Message),
}
LOG_FIELDS = "id,jobId,scheduleId,start,end,status,result.message,result.code"
TREES_PER_SCHEDULE = 10
TREES_AT_LEAST = 3
TREES_IN_ALL = 600
FILTER_CHARACTERS = 12_000  # node refuses request heads above 16 KiB
TREES_PER_REQUEST = 150  # a tree of 50 VMs is about 100 kB: this bounds what one answer holds in memory


class _Typed(msgspec.Struct):
    type: str = ""


def fields_of(record: type[Record], extra: Iterable[str] = ()) -> str:
    """The ``fields`` of a request: exactly what the record can hold."""
    own = (_PART_OF.get((record, name), name) for name in record.__struct_encode_fields__)
    return ",".join(dict.fromkeys((*own, *extra)))


def decode(body: bytes | msgspec.Raw, kind: type[Any]) -> Any:  # noqa: ANN401  a ``kind``
    """JSON as that type. Raises msgspec.MsgspecError."""
    if is_crowded(body):
        raise msgspec.ValidationError(f"it holds more than {MOST_VALUES} values; guard gave up")
    try:
        return msgspec.json.decode(body, type=kind)
    except (UnicodeDecodeError, RecursionError) as error:  # msgspec lets these two through as they are
        raise msgspec.DecodeError(str(error)) from error


def decode_list(body: bytes, record: type[Any]) -> tuple[Any, ...]:
    """A JSON list as records. Raises msgspec.MsgspecError."""
    found: tuple[Any, ...] = decode(body, tuple[record, ...])  # type: ignore[valid-type]  # a type passed at run time
    return found


def decode_objects(body: msgspec.Raw) -> dict[PartName, tuple[Record, ...]]:
    """The answer of xo.getAllObjects, by part."""
    sorted_out: dict[PartName, list[Record]] = {part: [] for part, _ in _OBJECT_PARTS.values()}
    probe = msgspec.json.Decoder(_Typed)
    decoders = {name: (part, msgspec.json.Decoder(record)) for name, (part, record) in _OBJECT_PARTS.items()}
    found: dict[str, msgspec.Raw] = decode(body, dict[str, msgspec.Raw])
    try:
        for raw in found.values():
            known = decoders.get(probe.decode(raw).type)
            if known is not None:
                sorted_out[known[0]].append(known[1].decode(raw))
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
    return {part: tuple(found) for part, found in sorted_out.items()}


def extra_vm_fields(jobs: Iterable[Job]) -> tuple[str, ...]:
    """What smart patterns ask of VMs beyond the fields guard reads anyway."""
    known = {*MATCHED_FIELDS, "type", "id", "uuid", "$poolId"}
    asked = {
        key
        for job in jobs
        if job.type == "backup" and listed_ids(job.vms) is None
        for key in pattern_keys({"type": "VM", **job.vms} if isinstance(job.vms, dict) else {})
    }
    return tuple(sorted(asked - known))


def wanted_trees(logs: Iterable[BackupLog], schedule_ids: frozenset[str]) -> tuple[str, ...]:
    """Ids of the logs whose task trees are worth fetching: pending runs, and the newest of each live schedule."""
    by_schedule: dict[str, list[BackupLog]] = {}
    pending: list[str] = []
    for log in logs:
        if log.status == "pending":
            pending.append(log.id)
        elif (log.schedule_id or "") in schedule_ids and not log.result:
            by_schedule.setdefault(log.schedule_id or "", []).append(log)
    each = min(TREES_PER_SCHEDULE, max(TREES_AT_LEAST, TREES_IN_ALL // max(1, len(by_schedule))))
    newest = [
        log.id
        for group in by_schedule.values()
        for log in sorted(group, key=lambda one: one.start or 0, reverse=True)[:each]
    ]
    return tuple(dict.fromkeys([*pending, *newest]))


def id_filters(ids: Iterable[str]) -> list[str]:
    """Filters that ask for exactly these logs, each short enough for a URL. Ids are digits, with ``:n`` for twins."""
    filters: list[str] = []
    terms: list[str] = []
    length = 0
    for identity in ids:
        term = f"id:/^{identity}$/"
        if length + len(term) > FILTER_CHARACTERS or len(terms) == TREES_PER_REQUEST:
            filters.append(f"|({' '.join(terms)})")
            terms, length = [], 0
        terms.append(term)
        length += len(term) + 1
    return [*filters, f"|({' '.join(terms)})"] if terms else filters
