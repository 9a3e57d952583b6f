"""What ``GET /export_raw_vdi`` and ``GET /export`` send."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from guard.simulator.shapes import XoObject
from guard.simulator.vhd import VHD_LIMIT, blocks_since, content, raw_stream, vhd_stream
from guard.simulator.vm_snapshots import BLOCK
from guard.simulator.xapi_records import Tables
from guard.simulator.xapi_wire import XapiError

XVA_PIECE = 1024**2


def body(tables: Tables, path: str, query: Mapping[str, str]) -> Iterator[bytes]:
    """The body of an export. Raises XapiError when there is nothing to send, or not in this form."""
    if path == "/export":
        return _vm(tables, query)
    disk = tables.object("VDI", query.get("vdi", ""))
    base = tables.object("VDI", query["base"]) if query.get("base") else None
    form = query.get("format", "raw")
    if form == "raw":
        return raw_stream(tables.world, disk)
    if form != "vhd":
        raise XapiError("IMPORT_INCOMPATIBLE_VERSION", form)
    if disk["size"] > VHD_LIMIT:
        raise XapiError("VDI_TOO_LARGE", query["vdi"], str(VHD_LIMIT))
    return vhd_stream(tables.world, disk, base, tables.world.seconds())


def _vm(tables: Tables, query: Mapping[str, str]) -> Iterator[bytes]:
    ref = query.get("ref") or tables.by_uuid("VM", query.get("uuid", ""))
    vm = tables.object("VM", ref)
    refusal = tables.vm_refusal(ref, tables.record("VM", ref), "export")
    if refusal is not None:
        raise refusal
    return xva(tables, vm)


def xva(tables: Tables, vm: XoObject) -> Iterator[bytes]:
    """A VM as a tar archive: its description, then what is written of each disk in pieces of 1 MiB."""
    description = f'<?xml version="1.0"?><vm uuid="{vm["id"]}"><name>{escape(vm["name_label"])}</name></vm>'.encode()
    yield from _member("ova.xml", description)
    for number, disk in enumerate(tables.world.disks_of(vm)):
        for index in blocks_since(tables.world, disk, None):
            whole = content(disk, index, min(BLOCK, disk["size"] - index * BLOCK))
            for part, start in enumerate(range(0, len(whole), XVA_PIECE)):
                name = f"Ref:{number}/{index * (BLOCK // XVA_PIECE) + part:08d}"
                yield from _member(name, whole[start : start + XVA_PIECE])
    yield bytes(1024)


def _member(name: str, data: bytes) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    yield info.tobuf(tarfile.USTAR_FORMAT)
    yield data + bytes(-len(data) % 512)
