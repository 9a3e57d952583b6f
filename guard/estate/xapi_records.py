"""What a pool's XAPI itself tells, where guard may ask it (``[[pool]]`` of the policy), beyond what XO shows of it.

Every id is a uuid, the same as in XO's records. Sizes are bytes. What was not told, or not asked, is ``UNSET``, and an
object that a mapping does not hold is unknown: neither is ever a guess. Meaning of the fields: xapi-storage.md 1 to 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Number = float | UnsetType
Count = int | UnsetType
Flag = bool | UnsetType
Text = str | UnsetType
Words = tuple[str, ...] | UnsetType


class XapiRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the records."""


class HostFacts(XapiRecord, frozen=True, kw_only=True):
    """A host. ``live``: it reports to the master. ``xapi_build``: such as 24.19.2, what features go by.

    ``loadavg``: of its control domain over one minute, not divided by ``dom0_vcpus``. ``dom0_memory_free_bytes``: what
    Linux calls available there. ``tapdisks_low_on_memory``: disks' processes in low memory mode.
    """

    name: str = ""
    address: Text = UNSET
    enabled: Flag = UNSET
    live: Flag = UNSET
    xapi_build: Text = UNSET
    dom0: Text = UNSET
    dom0_vcpus: Count = UNSET
    loadavg: Number = UNSET
    dom0_memory_free_bytes: Count = UNSET
    dom0_memory_total_bytes: Count = UNSET
    tapdisks_low_on_memory: Count = UNSET


class GcTask(XapiRecord, frozen=True, kw_only=True):
    """SM's garbage collector at work on an SR, its five quiet minutes before included. ``progress``: 0 to 1."""

    id: str
    created: Moment | UnsetType = UNSET
    progress: Number = UNSET


class SrFacts(XapiRecord, frozen=True, kw_only=True):
    """An SR. ``gc``, ``coalesce``, ``leaf_coalesce``: False where ``other_config`` switches it off.

    ``gc_no_space``: the collector gave up for want of room. ``gc_tasks``: empty where it is idle; XCP-ng 8.2 shows none
    ever. ``current_operations``: what keeps snapshots waiting. ``latency_us``: host -> microseconds of an I/O there.
    """

    name: str = ""
    type: Text = UNSET
    shared: Flag = UNSET
    gc: Flag = UNSET
    coalesce: Flag = UNSET
    leaf_coalesce: Flag = UNSET
    auto_scan: Flag = UNSET
    sm_config: Mapping[str, str] | UnsetType = UNSET
    gc_no_space: Flag = UNSET
    last_coalesce_error_at: Moment | UnsetType = UNSET
    gc_tasks: tuple[GcTask, ...] | UnsetType = UNSET
    allowed_operations: Words = UNSET
    current_operations: Words = UNSET
    physical_size: Count = UNSET
    physical_utilisation: Count = UNSET
    virtual_allocation: Count = UNSET
    latency_us: Mapping[str, float] = {}


class Refusal(XapiRecord, frozen=True, kw_only=True):
    """An error of XAPI: its code, and its parameters with uuids in place of references where they are known."""

    code: str
    params: tuple[str, ...] = ()


class VmFacts(XapiRecord, frozen=True, kw_only=True):
    """A VM that guard asked about. ``refusal``: what ``VM.assert_operation_valid(vm, "snapshot")`` answered.

    None: XAPI would take the snapshot, as far as it can see: it knows nothing of space, chains and raw disks. UNSET: it was
    not asked, or could not be. ``current_operations``: names such as ``snapshot``; while there are any, a refusal passes.
    """

    allowed_operations: Words = UNSET
    current_operations: Words = UNSET
    refusal: Refusal | UnsetType | None = UNSET


class Dom0Vbd(XapiRecord, frozen=True, kw_only=True):
    """A VBD with which a control domain holds a VDI: an export at work, or one that left it behind."""

    id: str
    host: str


class VdiFacts(XapiRecord, frozen=True, kw_only=True):
    """A VDI, snapshots and base copies included.

    ``paused``, ``relinking``: the collector's marks; one that stays makes the next snapshot fail. ``attached``: host ->
    RO or RW, as SM notes it; ``attached_to_unknown``: SM notes a host that the pool does not have. ``leaf_coalesce``: false,
    force or offline. ``allocated_bytes``: its own blocks (``vhd-blocks``, nodes above leaves); ``merged_bytes``: its blocks and
    its parent's together, what the parent holds after their merge. ``dom0_vbds``: attached ones only.
    """

    sr: Text = UNSET
    parent: Text = UNSET
    managed: Flag = UNSET
    is_a_snapshot: Flag = UNSET
    image_format: Text = UNSET
    raw: Flag = UNSET
    paused: Flag = UNSET
    relinking: Flag = UNSET
    gc_no_space: Flag = UNSET
    leaf_coalesce: Text = UNSET
    attached: Mapping[str, str] | UnsetType = UNSET
    attached_to_unknown: Flag = UNSET
    allocated_bytes: Count = UNSET
    merged_bytes: Count = UNSET
    allowed_operations: Words = UNSET
    current_operations: Words = UNSET
    dom0_vbds: tuple[Dom0Vbd, ...] | UnsetType = UNSET


class PoolMessage(XapiRecord, frozen=True, kw_only=True):
    """A message of XAPI about ``object`` of class ``cls``, such as SM_GC_NO_SPACE about an SR."""

    id: str
    name: str
    cls: str = ""
    object: str = ""
    at: Moment | UnsetType = UNSET


class PoolFacts(XapiRecord, frozen=True, kw_only=True):
    """One pool as XAPI shows it. ``label``: its name in the policy; ``address``: host of its url there.

    ``answered``: guard signed in and knows which pool it is; otherwise ``error`` is one sentence and all else unknown.
    ``refused``: it was the user or the password that the pool did not take.
    ``gaps``: what a pool that answered did not tell, each with the reason. ``vms``: those asked about; ``vdis``: of
    the SRs asked about and of those VMs. ``messages``: newest first.
    """

    label: str
    address: str
    read_at: Moment
    answered: bool
    error: str = ""
    refused: bool = False
    pool_id: Text = UNSET
    master: Text = UNSET
    restrictions: Mapping[str, str] | UnsetType = UNSET
    hosts: Mapping[str, HostFacts] = {}
    srs: Mapping[str, SrFacts] = {}
    vms: Mapping[str, VmFacts] = {}
    vdis: Mapping[str, VdiFacts] = {}
    messages: tuple[PoolMessage, ...] | UnsetType = UNSET
    gaps: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Short: tracebacks print what they hold."""
        told = f"{len(self.vms)} VMs, {len(self.vdis)} VDIs" if self.answered else "no answer"
        return f"<PoolFacts of {self.label}: {told}, read at {self.read_at:%Y-%m-%d %H:%M:%S %Z}>"
