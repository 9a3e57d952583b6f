"""An estate as one compressed file and back, without secrets. Bytes in, bytes out."""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import fields
from datetime import datetime
from io import BytesIO
from typing import Annotated, Any

import msgspec

from guard.errors import CaptureError
from guard.estate import xo_records as records
from guard.estate.crowded import MOST_VALUES, is_crowded
from guard.estate.estate import ON_REQUEST, Estate, Part, PartName, XoIdentity
from guard.estate.local_disks import LocalDisk
from guard.estate.observations import Observations
from guard.estate.workaround import State
from guard.estate.xapi_records import PoolFacts

SCHEMA = "guard.capture/1"
_FIRST_YEAR, _LAST_YEAR = 2000, 2100
MAX_BYTES = 512 * 1024 * 1024
_LOGIN = re.compile(r"\A[^/?#]*@")
_SMB_LOGIN = re.compile(r"\A.*@(?=[^@\\]*\\\\)|\A.*@", re.DOTALL)  # up to the domain, which two backslashes follow


class _Head(msgspec.Struct):
    schema: Any = None


class _Capture(msgspec.Struct, kw_only=True, omit_defaults=True):
    schema: str = ""
    taken_at: Annotated[datetime, msgspec.Meta(tz=True)]
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
    messages: tuple[records.Message, ...] = ()
    proxies: tuple[records.Proxy, ...] = ()
    xo_tasks: tuple[records.XoTask, ...] = ()
    archives: tuple[records.Archive, ...] = ()
    local_disks: tuple[LocalDisk, ...] = ()
    pool_facts: tuple[PoolFacts, ...] = ()
    observations: Observations | None = None
    workaround: State | None = None
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
    content["call_jobs"] = [_without_parameters(job) for job in estate.call_jobs]
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
    if is_crowded(text):
        raise CaptureError(f"this capture holds more than {MOST_VALUES} values; guard gave up")
    try:
        schema = msgspec.json.decode(text, type=_Head).schema
        if schema != SCHEMA:
            told = msgspec.json.encode(schema).decode()[:40]
            raise CaptureError(f"this capture has the schema {told}; this guard reads {SCHEMA}")
        capture = msgspec.json.decode(text, type=_Capture)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CaptureError(f"this is no capture of guard ({error})") from error
    content = {name: getattr(capture, name) for name in _Capture.__struct_fields__ if name != "schema"}
    return Estate(**content | {"parts": _whole(capture)})


def _whole(capture: _Capture) -> dict[PartName, Part]:
    """The parts of a capture; one it lacks was not read. Raises CaptureError."""
    for name, part in capture.parts.items():
        if part.name != name:
            raise CaptureError(f"this is no capture of guard (its part {name.value} calls itself {part.name.value})")
    for moment in (capture.taken_at, *(part.read_at for part in capture.parts.values())):
        if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            raise CaptureError(f"this is no capture of guard (it is of the year {moment.year})")
    lacking = {
        name: Part(name=name, source="capture", read_at=capture.taken_at, ok=False, error="It is not in this capture.")
        for name in PartName
        if name not in capture.parts and name not in ON_REQUEST
    }
    return {**capture.parts, **lacking}


def without_secrets(url: str) -> str:
    """A repository's URL without user info and query, where XO keeps keys and passwords.

    XO writes the password of an SMB share as it is, so it may hold any character; in other URLs it is percent-encoded.
    """
    scheme, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    rest = (_SMB_LOGIN if scheme == "smb" else _LOGIN).sub("", rest)
    return scheme + mark + re.split("[?#]", rest, maxsplit=1)[0]


def _without_private_keys(vm: records.Vm) -> records.Vm:
    if not vm.other:
        return vm
    return msgspec.structs.replace(vm, other={key: value for key, value in vm.other.items() if key.startswith("xo:")})


def _without_parameters(job: records.CallJob) -> records.CallJob:
    """What a call job other than a sequence is called with says nothing of backups, and may be a password."""
    return job if job.method == "schedule.runSequence" else msgspec.structs.replace(job, params_vector=msgspec.UNSET)
