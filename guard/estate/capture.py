"""An estate as one compressed file and back, without secrets. Bytes in, bytes out."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import fields
from datetime import datetime
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from guard.errors import CaptureError
from guard.estate import xo_records as records
from guard.estate.estate import Estate, Part, PartName, XoIdentity

SCHEMA = "guard.capture/1"
MAX_BYTES = 1024 * 1024 * 1024


class _Capture(msgspec.Struct, kw_only=True, omit_defaults=True):
    schema: str = ""
    taken_at: datetime
    xo: XoIdentity
    parts: dict[PartName, Part]
    pools: tuple[records.Pool, ...] = ()
    hosts: tuple[records.Host, ...] = ()
    servers: tuple[records.Server, ...] = ()
    srs: tuple[records.Sr, ...] = ()
    pbds: tuple[records.Pbd, ...] = ()
    vms: tuple[records.Vm, ...] = ()
    vbds: tuple[records.Vbd, ...] = ()
    vdis: tuple[records.Vdi, ...] = ()
    vdi_snapshots: tuple[records.Vdi, ...] = ()
    vdi_unmanaged: tuple[records.Vdi, ...] = ()
    jobs: tuple[records.Job, ...] = ()
    call_jobs: tuple[records.CallJob, ...] = ()
    schedules: tuple[records.Schedule, ...] = ()
    repositories: tuple[records.Repository, ...] = ()
    repository_info: dict[str, records.RepositoryInfo] = {}
    xapi_tasks: tuple[records.XapiTask, ...] = ()
    vusbs: tuple[records.Vusb, ...] = ()
    logs: tuple[records.BackupLog, ...] = ()
    vm_properties: dict[str, dict[str, Any]] = {}


def to_bytes(estate: Estate) -> bytes:
    """The estate as a gzip file; the same estate always gives the same bytes."""
    content = {field.name: getattr(estate, field.name) for field in fields(estate)}
    whole_other = any(isinstance(job.vms, dict) and "other" in job.vms for job in estate.jobs)
    content["schema"] = SCHEMA
    content["repositories"] = [
        msgspec.structs.replace(one, url=without_secrets(one.url)) for one in estate.repositories
    ]
    if not whole_other:
        content["vms"] = [_without_private_keys(vm) for vm in estate.vms]
    return gzip.compress(msgspec.json.encode(content, order="deterministic"), mtime=0)


def from_bytes(data: bytes) -> Estate:
    """Raises CaptureError for anything that is no whole capture of a known schema."""
    try:
        with gzip.GzipFile(fileobj=BytesIO(data)) as stream:
            text = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise CaptureError(f"this is no whole capture ({error}); make one with: guard capture FILE") from error
    if len(text) > MAX_BYTES:
        raise CaptureError(f"this capture is larger than {MAX_BYTES} bytes unpacked; guard gave up")
    try:
        schema = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get("schema", b"null")
        if bytes(schema) != msgspec.json.encode(SCHEMA):
            raise CaptureError(f"this capture has the schema {bytes(schema).decode()}; this guard reads {SCHEMA}")
        capture = msgspec.json.decode(text, type=_Capture)
    except msgspec.MsgspecError as error:
        raise CaptureError(f"this is no capture of guard ({error})") from error
    content = {name: getattr(capture, name) for name in _Capture.__struct_fields__ if name != "schema"}
    return Estate(**content)


def without_secrets(url: str) -> str:
    """A repository's URL without user info and query, where XO keeps keys and passwords."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _without_private_keys(vm: records.Vm) -> records.Vm:
    if not vm.other:
        return vm
    return msgspec.structs.replace(vm, other={key: value for key, value in vm.other.items() if key.startswith("xo:")})
