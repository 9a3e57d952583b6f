"""The estate: everything known about XO and its pools at one moment, immutable, each part with source and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any

import msgspec

from guard.errors import XoAnswerError, XoAuthError
from guard.estate import xo_records as records
from guard.estate.local_disks import LocalDisk
from guard.estate.observations import Observations
from guard.estate.workaround import State
from guard.estate.xapi_records import HostFacts, PoolFacts, SrFacts, VdiFacts, VmFacts


class PartName(StrEnum):
    """What an estate is made of; a check names the parts it needs."""

    POOLS = "pools"
    HOSTS = "hosts"
    SERVERS = "servers"
    SRS = "srs"
    PBDS = "pbds"
    VMS = "vms"
    VBDS = "vbds"
    VDIS = "vdis"
    VDI_SNAPSHOTS = "vdi_snapshots"
    VDI_UNMANAGED = "vdi_unmanaged"
    JOBS = "jobs"
    CALL_JOBS = "call_jobs"
    SCHEDULES = "schedules"
    REPOSITORIES = "repositories"
    REPOSITORY_INFO = "repository_info"
    XAPI_TASKS = "xapi_tasks"
    VUSBS = "vusbs"
    MESSAGES = "messages"
    PROXIES = "proxies"
    XO_TASKS = "xo_tasks"
    LOGS = "logs"
    ARCHIVES = "archives"
    LOCAL_DISKS = "local_disks"
    POOL_FACTS = "pool_facts"
    OBSERVATIONS = "observations"
    WORKAROUND = "workaround"


ON_REQUEST = frozenset(
    {PartName.ARCHIVES, PartName.LOCAL_DISKS, PartName.POOL_FACTS, PartName.OBSERVATIONS, PartName.WORKAROUND}
)
"""Parts that not every guard has. Where it has not, they are not among an estate's parts: nothing is lacking then."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """How one part was read.

    ``complete`` is False when XO may have filtered the list (the token's user is no admin): what is missing from it
    is then unknown, never absent. ``error`` is one sentence when ``ok`` is False.
    """

    name: PartName
    source: str
    read_at: Annotated[datetime, msgspec.Meta(tz=True)]
    ok: bool = True
    complete: bool = True
    error: str = ""

    @property
    def usable(self) -> bool:
        """Whether "not in the list" means "does not exist"."""
        return self.ok and self.complete


class XoIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which XO was asked, and as whom. ``url`` carries no credentials."""

    url: str
    version: str
    admin: bool
    history_days: int = 31


@dataclass(frozen=True)
class Estate:
    """Records by part. ``vm_properties`` holds what job patterns ask of VMs beyond the fields of ``Vm``, by VM id."""

    xo: XoIdentity
    taken_at: datetime
    parts: Mapping[PartName, Part]
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
    repository_info: Mapping[str, records.RepositoryInfo] = field(default_factory=dict)
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
    vm_properties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Short: asyncio and tracebacks print what they hold, and a whole estate is hundreds of megabytes of text."""
        return f"<Estate of {self.xo.url}, {len(self.vms)} VMs, taken at {self.taken_at:%Y-%m-%d %H:%M:%S %Z}>"

    @cached_property
    def pool_by_id(self) -> Mapping[str, records.Pool]:
        return {record.id: record for record in self.pools}

    @cached_property
    def host_by_id(self) -> Mapping[str, records.Host]:
        return {record.id: record for record in self.hosts}

    @cached_property
    def sr_by_id(self) -> Mapping[str, records.Sr]:
        return {record.id: record for record in self.srs}

    @cached_property
    def vm_by_id(self) -> Mapping[str, records.Vm]:
        return {record.id: record for record in self.vms}

    @cached_property
    def job_by_id(self) -> Mapping[str, records.Job]:
        return {record.id: record for record in self.jobs}

    @cached_property
    def call_job_by_id(self) -> Mapping[str, records.CallJob]:
        return {record.id: record for record in self.call_jobs}

    @cached_property
    def schedule_by_id(self) -> Mapping[str, records.Schedule]:
        return {record.id: record for record in self.schedules}

    @cached_property
    def repository_by_id(self) -> Mapping[str, records.Repository]:
        return {record.id: record for record in self.repositories}

    @cached_property
    def vdi_by_id(self) -> Mapping[str, records.Vdi]:
        """Managed VDIs, snapshots and base copies together."""
        return {record.id: record for group in (self.vdi_unmanaged, self.vdi_snapshots, self.vdis) for record in group}

    @cached_property
    def unmanaged_ids(self) -> frozenset[str]:
        return frozenset(record.id for record in self.vdi_unmanaged)

    @cached_property
    def vbds_of_vm(self) -> Mapping[str, tuple[records.Vbd, ...]]:
        """VM id -> its VBDs that hold a VDI, CD drives included."""
        grouped: dict[str, list[records.Vbd]] = {}
        for vbd in self.vbds:
            if vbd.vm and vbd.vdi:
                grouped.setdefault(vbd.vm, []).append(vbd)
        return {vm: tuple(group) for vm, group in grouped.items()}

    @cached_property
    def snapshots_of_vdi(self) -> Mapping[str, tuple[records.Vdi, ...]]:
        """Active VDI id -> its snapshot VDIs."""
        grouped: dict[str, list[records.Vdi]] = {}
        for snapshot in self.vdi_snapshots:
            if snapshot.snapshot_of:
                grouped.setdefault(snapshot.snapshot_of, []).append(snapshot)
        return {vdi: tuple(group) for vdi, group in grouped.items()}

    @cached_property
    def copied_to(self) -> Mapping[str, frozenset[str]]:
        """SR id -> ids of the source snapshots of which an incremental replication left a copy there."""
        grouped: dict[str, set[str]] = {}
        for group in (self.vdis, self.vdi_snapshots):
            for vdi in group:
                source = (vdi.other_config or {}).get("xo:copy_of")
                if source and vdi.sr:
                    grouped.setdefault(vdi.sr, set()).add(source)
        return {sr: frozenset(sources) for sr, sources in grouped.items()}

    @cached_property
    def replicas(self) -> Mapping[tuple[str, str, str, str], tuple[str, ...]]:
        """(job, schedule, VM and SR id) -> ids of the VMs that full replications left there, oldest first."""
        grouped: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        for vm in self.vms:
            marks = vm.other or {}
            if "xo:backup:sr" in marks:
                key = tuple(str(marks.get(f"xo:backup:{name}", "")) for name in ("job", "schedule", "vm", "sr"))
                grouped.setdefault(key, []).append((str(marks.get("xo:backup:datetime", "")), vm.id))
        return {(key[0], key[1], key[2], key[3]): tuple(vm for _, vm in sorted(of)) for key, of in grouped.items()}

    @cached_property
    def plugged_snapshots(self) -> frozenset[str]:
        """Snapshot VDIs that something other than a VM holds: a control domain, as an export does (xo-api.md 3.9)."""
        plugged = {vbd.vdi for vbd in self.vbds if vbd.attached is True and vbd.vdi and vbd.vm not in self.vm_by_id}
        return frozenset(one.id for one in self.vdi_snapshots if one.id in plugged) if plugged else frozenset()

    @cached_property
    def told_by_pool(self) -> Mapping[str, PoolFacts]:
        """Pool id -> what that pool itself told guard; those that did not answer are left out."""
        return {one.pool_id: one for one in self.pool_facts if one.answered and one.pool_id}

    @cached_property
    def host_facts(self) -> Mapping[str, HostFacts]:
        return {id_: facts for one in self.told_by_pool.values() for id_, facts in one.hosts.items()}

    @cached_property
    def sr_facts(self) -> Mapping[str, SrFacts]:
        return {id_: facts for one in self.told_by_pool.values() for id_, facts in one.srs.items()}

    @cached_property
    def vm_facts(self) -> Mapping[str, VmFacts]:
        return {id_: facts for one in self.told_by_pool.values() for id_, facts in one.vms.items()}

    @cached_property
    def vdi_facts(self) -> Mapping[str, VdiFacts]:
        return {id_: facts for one in self.told_by_pool.values() for id_, facts in one.vdis.items()}

    @cached_property
    def archives_of(self) -> Mapping[tuple[str, str], tuple[records.Archive, ...]]:
        """(repository id, VM id) -> its backups there, oldest first."""
        grouped: dict[tuple[str, str], list[records.Archive]] = {}
        for archive in self.archives:
            grouped.setdefault((archive.repository, archive.vm.uuid), []).append(archive)
        return {key: tuple(sorted(group, key=lambda one: one.timestamp or 0)) for key, group in grouped.items()}

    @cached_property
    def listed_repositories(self) -> frozenset[str]:
        """Ids of the repositories of which XO listed at least one backup: of the others it may be unable to, and does not say."""
        return frozenset(archive.repository for archive in self.archives)

    @cached_property
    def proxy_by_id(self) -> Mapping[str, records.Proxy]:
        return {record.id: record for record in self.proxies}

    @cached_property
    def last_message_of(self) -> Mapping[str, int]:
        """Id of an object -> when XAPI's newest message about it came (s)."""
        found: dict[str, int] = {}
        for message in self.messages:
            if message.object and isinstance(message.time, int):
                found[message.object] = max(message.time, found.get(message.object, 0))
        return found

    @cached_property
    def plugged_on_sr(self) -> Mapping[str, int]:
        """SR id -> how many snapshots there something other than a VM holds."""
        return Counter(self.vdi_by_id[one].sr or "" for one in self.plugged_snapshots)

    @cached_property
    def hosts_of_sr(self) -> Mapping[str, frozenset[str]]:
        """SR id -> ids of the hosts to which it is connected, dead ones included."""
        return {
            sr: frozenset(pbd.host for pbd in pbds if pbd.attached is True and isinstance(pbd.host, str))
            for sr, pbds in self.pbds_of_sr.items()
        }

    @cached_property
    def pbds_of_sr(self) -> Mapping[str, tuple[records.Pbd, ...]]:
        grouped: dict[str, list[records.Pbd]] = {}
        for pbd in self.pbds:
            if pbd.sr:
                grouped.setdefault(pbd.sr, []).append(pbd)
        return {sr: tuple(group) for sr, group in grouped.items()}


def require(estate: Estate, *names: PartName) -> None:
    """What cannot be answered without these. Raises XoError: a list that was not read is not an empty one."""
    for name in names:
        part = estate.parts[name]
        if not part.ok:
            raise XoAnswerError(f"XO's {name.value} could not be read: {part.error}")
        if not part.complete:
            raise XoAuthError(f"XO may have filtered its {name.value}: the token's user is no administrator")
