"""XAPI's records as guard's own. A field that is not there, or has not the shape it should have, is UNSET: pools of all
versions are read, and a record that is odd in one field is not lost for the others. References become uuids.
"""

from __future__ import annotations

import math
import xmlrpc.client
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET, UnsetType

from guard.estate.xapi_records import (
    Dom0Vbd,
    GcTask,
    HostFacts,
    PoolMessage,
    SrFacts,
    Text,
    VdiFacts,
    VmFacts,
    Words,
)
from guard.xapi.blocks import bitmap, held_bytes

Row = Mapping[str, Any]
Rows = Mapping[str, Row]
"""Reference -> record."""
_FORMATS = {"vhd": "vhd", "aio": "raw", "qcow2": "qcow2"}
"""``vdi_type`` of SM's drivers -> image format."""
_HOST_KEY = "host_"
_YEARS = range(2000, 2100)


def rows(answer: object) -> dict[str, Row]:
    """Reference -> record, without what is none."""
    if not isinstance(answer, dict):
        return {}
    return {str(ref): row for ref, row in answer.items() if isinstance(row, dict) and isinstance(row.get("uuid"), str)}


def uuids(*tables: Rows) -> dict[str, str]:
    """Reference -> uuid."""
    return {ref: str(row["uuid"]) for table in tables for ref, row in table.items()}


def text(row: Row, key: str) -> Text:
    value = row.get(key)
    return value if isinstance(value, str) and value else UNSET


def flag(row: Row, key: str) -> bool | UnsetType:
    value = row.get(key)
    return value if isinstance(value, bool) else UNSET


def whole(value: object) -> int | UnsetType:
    """An integer, which XAPI writes as text; none that is below zero, as XAPI writes what it does not know."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return UNSET
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return UNSET
    return number if number >= 0 else UNSET


def real(value: object) -> float | UnsetType:
    """A finite number that is not below zero: XAPI has NaN for what was not measured yet."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return UNSET
    try:
        number = float(value)
    except ValueError:
        return UNSET
    return number if math.isfinite(number) and number >= 0 else UNSET


def texts(value: object) -> dict[str, str] | UnsetType:
    """A map of texts, such as ``sm_config``."""
    if not isinstance(value, dict):
        return UNSET
    return {str(key): item for key, item in value.items() if isinstance(item, str)}


def words(value: object) -> Words:
    """A set of words, or the values of a map (``current_operations``), in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return UNSET
    return tuple(sorted({item for item in value if isinstance(item, str)}))


def moment(value: object) -> datetime | UnsetType:
    """``dateTime.iso8601``, or seconds since 1970 as SM writes them."""
    if isinstance(value, xmlrpc.client.DateTime):
        written = str(value).replace("-", "").removesuffix("Z")
        try:
            found = datetime.strptime(written, "%Y%m%dT%H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            return UNSET
        return found if found.year in _YEARS else UNSET
    seconds = real(value)
    if seconds is UNSET or not 946_684_800 <= seconds < 4_102_444_800:  # the years 2000 to 2099
        return UNSET
    return datetime.fromtimestamp(seconds, UTC)


def ref(row: Row, key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def host_facts(row: Row, metrics: Row, dom0: Row) -> HostFacts:
    """Without its load, which is asked for separately. ``dom0``: the record of its control domain, empty if unknown."""
    versions = texts(row.get("software_version"))
    return HostFacts(
        name=text(row, "name_label") or "",
        address=text(row, "address"),
        enabled=flag(row, "enabled"),
        live=flag(metrics, "live"),
        xapi_build=UNSET if versions is UNSET else text(versions, "xapi_build"),
        dom0=text(dom0, "uuid"),
        dom0_vcpus=whole(dom0.get("VCPUs_at_startup")),
    )


def sr_facts(row: Row, tasks: tuple[GcTask, ...] | UnsetType) -> SrFacts:
    config, kept = texts(row.get("other_config")), texts(row.get("sm_config"))

    def is_on(key: str) -> bool | UnsetType:
        """SM's switches are on unless they say false (xapi-storage.md 3.4)."""
        return UNSET if config is UNSET else config.get(key, "true").lower() != "false"

    return SrFacts(
        name=text(row, "name_label") or "",
        type=text(row, "type"),
        shared=flag(row, "shared"),
        gc=is_on("gc"),
        coalesce=is_on("coalesce"),
        leaf_coalesce=is_on("leaf-coalesce"),
        auto_scan=UNSET if config is UNSET else config.get("auto-scan") == "true",
        sm_config=kept,
        gc_no_space=UNSET if kept is UNSET else "gc_no_space" in kept,
        last_coalesce_error_at=UNSET if kept is UNSET else moment(kept.get("last-coalesce-error")),
        gc_tasks=tasks,
        allowed_operations=words(row.get("allowed_operations")),
        current_operations=words(row.get("current_operations")),
        physical_size=whole(row.get("physical_size")),
        physical_utilisation=whole(row.get("physical_utilisation")),
        virtual_allocation=whole(row.get("virtual_allocation")),
    )


def gc_task(row: Row) -> GcTask:
    return GcTask(id=row["uuid"], created=moment(row.get("created")), progress=real(row.get("progress")))


def sr_of_task(row: Row, srs: Mapping[str, str]) -> str:
    """The SR a collection works on: by ``applies_to``, else by its description; '' when neither tells."""
    config = texts(row.get("other_config"))
    named = srs.get(config.get("applies_to", ""), "") if config else ""
    described = text(row, "name_description") or ""
    return named or next((uuid for uuid in srs.values() if described.endswith(uuid)), "")


def vm_facts(row: Row) -> VmFacts:
    return VmFacts(
        allowed_operations=words(row.get("allowed_operations")),
        current_operations=words(row.get("current_operations")),
    )


def message(row: Row) -> PoolMessage:
    """``obj_uuid`` is a uuid in XAPI too."""
    return PoolMessage(
        id=row["uuid"],
        name=text(row, "name") or "",
        cls=text(row, "cls") or "",
        object=text(row, "obj_uuid") or "",
        at=moment(row.get("timestamp")),
    )


def vdi_facts(
    row: Row,
    sr: Text,
    hosts: Mapping[str, str],
    maps: Mapping[str, bytes],
    held: tuple[Dom0Vbd, ...] | UnsetType,
) -> VdiFacts:
    """``hosts``: reference -> uuid; ``maps``: uuid -> blocks of every VDI of its SR that has them."""
    own, merged = maps.get(row["uuid"]), None
    parent: Text = UNSET
    kept, config = texts(row.get("sm_config")), texts(row.get("other_config"))
    told: dict[str, Any] = {}
    if kept is not UNSET:
        parent = text(kept, "vhd-parent")
        above = maps.get(parent) if parent else None
        merged = held_bytes(own, above) if own is not None and above is not None else None
        image = _format(kept)
        noted = {key.removeprefix(_HOST_KEY): mode for key, mode in kept.items() if key.startswith(_HOST_KEY)}
        told = {
            "image_format": image,
            "raw": UNSET if image is UNSET else image == "raw",
            "paused": "paused" in kept,
            "relinking": "relinking" in kept,
            "gc_no_space": "gc_no_space" in kept,
            "attached": {hosts[host]: mode for host, mode in noted.items() if host in hosts},
            "attached_to_unknown": not noted.keys() <= hosts.keys(),
        }
    return VdiFacts(
        sr=sr,
        parent=parent,
        managed=flag(row, "managed"),
        is_a_snapshot=flag(row, "is_a_snapshot"),
        leaf_coalesce=UNSET if config is UNSET else text(config, "leaf-coalesce"),
        allocated_bytes=UNSET if own is None else held_bytes(own),
        merged_bytes=UNSET if merged is None else merged,
        allowed_operations=words(row.get("allowed_operations")),
        current_operations=words(row.get("current_operations")),
        dom0_vbds=held,
        **told,
    )


def block_maps(table: Iterable[Row]) -> dict[str, bytes]:
    """uuid -> blocks, of VHD nodes whose bitmap can be read. QCOW2 has blocks of another size."""
    found = {}
    for row in table:
        kept = texts(row.get("sm_config"))
        packed = kept.get("vhd-blocks") if kept else None
        if kept and packed and _format(kept) in ("vhd", UNSET):
            bits = bitmap(packed)
            if bits is not None:
                found[row["uuid"]] = bits
    return found


def _format(kept: Mapping[str, str]) -> Text:
    """``image-format`` since QCOW2, else what the driver notes; UNSET where nothing does (file SRs before that)."""
    if kept.get("type") == "raw":
        return "raw"
    return text(kept, "image-format") or _FORMATS.get(kept.get("vdi_type", ""), UNSET)
