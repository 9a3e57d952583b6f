"""XO's records as frozen structs: only the fields guard asks for, in XO's meaning and units.

Sizes are bytes; XAPI-derived dates are seconds, XO's own times (logs) are milliseconds (xo-api.md section 3).
Unknown fields are ignored. A field XO left out is ``UNSET``, never a guessed default: XO omits what it does not know
(packages/xo-server/src/xapi-object-to-xo.mjs). Attribute names are XO's in snake case, without the dollar sign.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType, field

_ROLLING = ("rolling pool update", "rolling pool reboot")
_FIRST_MS, _LAST_MS = 946_684_800_000, 4_102_444_800_000  # the years 2000 to 2099


def _as_text(name: object) -> str:
    """A name that XO parsed back from JSON as it was written; '' when there is none."""
    if isinstance(name, str):
        return name
    return "" if name is UNSET or name is None else msgspec.json.encode(name).decode()


def moment(ms: int | UnsetType) -> datetime | None:
    """XO's milliseconds as a time; None for nothing, and for what lies outside this century."""
    if not ms or not _FIRST_MS <= ms < _LAST_MS:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC)


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Base of all records. Without cycles, so left out of the garbage collector's rounds."""

    id: str


class Pool(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/pools``. ``suspend_sr``: where the memory of its VMs goes, unless a VM has its own."""

    name_label: str = ""
    master: str | UnsetType = UNSET
    suspend_sr: str | UnsetType = field(name="suspendSr", default=UNSET)


class Host(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/hosts``. ``power_state``: Running, Halted or Unknown. ``version``: the product's, e.g. 8.3.0."""

    name_label: str = ""
    pool: str | UnsetType = field(name="$pool", default=UNSET)
    enabled: bool | UnsetType = UNSET
    power_state: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    license_params: dict[str, str] | UnsetType = UNSET


class Server(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/servers``: XO's connection to a pool. ``status``: connected, connecting or disconnected.

    ``pool_id`` is only there while connected; ``error`` is whatever object XO kept of the last failure.
    """

    label: str | UnsetType = UNSET
    host: str = ""
    enabled: bool = True
    status: str = ""
    pool_id: str | UnsetType = field(name="poolId", default=UNSET)
    pool_name_label: str | UnsetType = field(name="poolNameLabel", default=UNSET)
    error: Any = UNSET

    @property
    def name(self) -> str:
        """What XO's own list shows: the label, else the pool's name, else the address."""
        return self.label or self.pool_name_label or self.host  # UNSET is falsy


class Sr(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/srs``. Free bytes = ``size - physical_usage``, as of XAPI's last SR scan."""

    name_label: str = ""
    pool: str | UnsetType = field(name="$pool", default=UNSET)
    container: str | UnsetType = field(name="$container", default=UNSET)
    sr_type: str = field(name="SR_type", default="")
    allocation_strategy: str | UnsetType = field(name="allocationStrategy", default=UNSET)
    content_type: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    physical_usage: int | UnsetType = UNSET
    shared: bool | UnsetType = UNSET
    in_maintenance_mode: bool | UnsetType = field(name="inMaintenanceMode", default=UNSET)
    other_config: dict[str, str] | UnsetType = UNSET
    sm_config: dict[str, str] | UnsetType = UNSET


class Pbd(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/pbds``: the plug of one SR on one host."""

    sr: str | UnsetType = field(name="SR", default=UNSET)
    host: str | UnsetType = UNSET
    attached: bool | UnsetType = UNSET


class VmMemory(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What guard asks of a VM's memory. ``static``: the least and the most bytes it may ever have."""

    static: tuple[float, ...] = ()

    @property
    def static_max(self) -> int | None:
        """Bytes that a snapshot with memory makes room for; None where XO does not tell."""
        return int(max(self.static)) if self.static else None


class Vm(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/vms`` (no snapshots, templates or dom0). ``container``: its host while running, else its pool or host.

    ``current_operations``: task id -> operation. ``attached_pcis``: ids of PCI devices passed through.
    ``pv_drivers_detected``: of a running VM, whether its guest tools answered; UNSET of any other.
    """

    name_label: str | UnsetType = UNSET
    power_state: str | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    pool: str | UnsetType = field(name="$pool", default=UNSET)
    container: str | UnsetType = field(name="$container", default=UNSET)
    blocked_operations: dict[str, str] | UnsetType = field(name="blockedOperations", default=UNSET)
    other: dict[str, Any] | UnsetType = UNSET
    current_operations: dict[str, str] | UnsetType = UNSET
    attached_pcis: list[str] | UnsetType = field(name="attachedPcis", default=UNSET)
    has_vendor_device: bool | UnsetType = field(name="hasVendorDevice", default=UNSET)
    vgpus: list[str] | UnsetType = field(name="VGPUs", default=UNSET)
    pv_drivers_detected: bool | UnsetType = field(name="pvDriversDetected", default=UNSET)
    memory: VmMemory | UnsetType = UNSET
    suspend_sr: str | UnsetType = field(name="suspendSr", default=UNSET)

    @property
    def name(self) -> str:
        return self.name_label or self.id


class Vbd(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/vbds``. ``vdi`` is absent for an empty drive."""

    vm: str | UnsetType = field(name="VM", default=UNSET)
    vdi: str | UnsetType = field(name="VDI", default=UNSET)
    is_cd_drive: bool = False
    attached: bool | UnsetType = UNSET


class Vdi(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/vdis`` and ``/vdi-snapshots``, RPC type ``VDI-unmanaged``.

    ``parent``: sm_config's vhd-parent, only for drivers that publish it. ``size`` virtual, ``usage`` physical bytes.
    """

    sr: str | UnsetType = field(name="$SR", default=UNSET)
    name_label: str = ""
    parent: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    usage: int | UnsetType = UNSET
    image_format: str | UnsetType = UNSET
    cbt_enabled: bool | UnsetType = UNSET
    missing: bool | UnsetType = UNSET
    snapshot_of: str | UnsetType = field(name="$snapshot_of", default=UNSET)
    snapshot_time: int | UnsetType | None = UNSET
    other_config: dict[str, str] | UnsetType = UNSET


class Job(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/backup-jobs``. Values XO parsed back from JSON may have any type: a job named 123 arrives as a number.

    ``run_id`` is only there while the job runs; it is the id of the run's log. ``settings``: xo-api.md 3.1.2.
    ``compression``: of full backups, '' for none.
    """

    raw_name: Any = field(name="name", default=UNSET)
    type: str = "backup"
    mode: str | UnsetType = UNSET
    vms: Any = UNSET
    remotes: Any = UNSET
    srs: Any = UNSET
    pools: Any = UNSET
    xo_metadata: bool | UnsetType = field(name="xoMetadata", default=UNSET)
    source_remote: str | UnsetType = field(name="sourceRemote", default=UNSET)
    proxy: str | UnsetType | None = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    compression: str | UnsetType | None = UNSET
    run_id: str | UnsetType = field(name="runId", default=UNSET)

    @property
    def name(self) -> str:
        """The name as text; the id when there is none."""
        return _as_text(self.raw_name) or self.id


class CallJob(Record, frozen=True, kw_only=True, gc=False):
    """RPC ``job.getAll``: a job of type ``call``. With method ``schedule.runSequence`` it is a sequence."""

    raw_name: Any = field(name="name", default=UNSET)
    method: str = ""
    params_vector: Any = field(name="paramsVector", default=UNSET)
    run_id: str | UnsetType = field(name="runId", default=UNSET)

    @property
    def name(self) -> str:
        """The name as text; the id when there is none."""
        return _as_text(self.raw_name) or self.id


class Schedule(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/schedules``, those of call jobs and sequences included. No ``timezone`` means UTC."""

    job_id: str | UnsetType = field(name="jobId", default=UNSET)
    cron: str = ""
    enabled: bool = False
    raw_name: Any = field(name="name", default=UNSET)
    timezone: str | UnsetType | None = UNSET

    @property
    def name(self) -> str:
        """The name as text; the id when there is none."""
        return _as_text(self.raw_name) or self.id

    @property
    def zone(self) -> str:
        """XO's default is UTC (@xen-orchestra/cron index.js), never the server's zone."""
        return self.timezone or "utc"


class Repository(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/backup-repositories``: XO's "remote". ``error``: what the last mount or test left."""

    name: str = ""
    enabled: bool = True
    url: str = ""
    proxy: str | UnsetType | None = UNSET
    error: Any = UNSET


class RepositoryInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """RPC ``remote.getAllInfo``, bytes from ``df``. Object stores have none of the three; XO never stamps them.

    ``encryption``: ``{algorithm, isLegacy, recommendedAlgorithm}`` where XO has opened the repository.
    """

    size: int | UnsetType = UNSET
    used: int | UnsetType = UNSET
    available: int | UnsetType = UNSET
    encryption: Any = UNSET

    @property
    def has_legacy_encryption(self) -> bool:
        """Whether files are encrypted by the algorithm that XO keeps for old repositories (AES-256-GCM)."""
        return isinstance(self.encryption, dict) and self.encryption.get("isLegacy") is True


class XapiTask(Record, frozen=True, kw_only=True, gc=False):
    """RPC type ``task``: a task of XAPI, e.g. ``Garbage Collection`` (a coalesce at work) with the SR in applies_to."""

    name_label: str = ""
    name_description: str = ""
    status: str = ""
    progress: float | UnsetType = UNSET
    applies_to: Any = UNSET


class Vusb(Record, frozen=True, kw_only=True, gc=False):
    """RPC type ``VUSB``: a USB device passed through to a VM."""

    vm: str | UnsetType = UNSET
    currently_attached: bool | UnsetType = field(name="currentlyAttached", default=UNSET)


class ArchivedVm(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The VM of a backup, by XO's id of it."""

    uuid: str = ""


class ArchivedDisk(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A disk of a backup. ``uuid``: of the snapshot VDI it was made from."""

    uuid: str = ""


class Archive(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/backup-archives``: one backup of one VM on one repository. ``timestamp`` in ms, ``size`` in bytes.

    ``disks``: none of a full backup. ``is_immutable``: whether the storage refuses to delete it; UNSET where XO cannot tell.
    """

    repository: str = field(name="backupRepository", default="")
    job_id: str | UnsetType = field(name="jobId", default=UNSET)
    schedule_id: str | UnsetType = field(name="scheduleId", default=UNSET)
    mode: str = ""
    size: int | UnsetType = UNSET
    timestamp: int | UnsetType = UNSET
    vm: ArchivedVm = ArchivedVm()
    is_immutable: bool | UnsetType = field(name="isImmutable", default=UNSET)
    disks: tuple[ArchivedDisk, ...] = ()


class Message(Record, frozen=True, kw_only=True, gc=False):
    """RPC type ``message``: a message of XAPI about one object, by XO's id of it. ``time``: seconds."""

    name: str = ""
    body: str = ""
    object: str | UnsetType = field(name="$object", default=UNSET)
    time: int | UnsetType = UNSET


class Proxy(Record, frozen=True, kw_only=True, gc=False):
    """A backup proxy: REST ``/proxies``, and what RPC ``proxy.checkHealth`` says of it. Its URL holds a token: never read.

    ``healthy`` is UNSET where guard did not ask, or got no answer; ``error``: the reason it is not healthy.
    """

    name: str = ""
    vm: str | UnsetType = field(name="vmUuid", default=UNSET)
    address: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    healthy: bool | UnsetType = UNSET
    error: str = ""


class XoTask(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/tasks``: a task of XO's own. ``properties.name``: what it does."""

    status: str = ""
    properties: Any = UNSET

    @property
    def is_rolling(self) -> bool:
        """XO calls it ``Rolling pool update``, and ``REST API: rolling pool update`` when REST asked for it
        (xo-server's xen-servers.mjs, rest-api's pool.controller.mts); ``reboot`` likewise.
        """
        name = self.properties.get("name") if isinstance(self.properties, dict) else None
        return isinstance(name, str) and name.lower().endswith(_ROLLING)


class LogTask(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One task inside a backup log: ``backup VM``, ``snapshot``, ``export``, ``transfer``, ``clean-vm``, ... (ms)."""

    id: str = ""
    message: str | UnsetType = UNSET
    data: Any = UNSET
    start: int | UnsetType = UNSET
    end: int | UnsetType = UNSET
    status: str = "pending"
    result: Any = UNSET
    infos: list[Any] | UnsetType = UNSET
    warnings: list[Any] | UnsetType = UNSET
    tasks: tuple[LogTask, ...] = ()


class BackupLog(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/backup-logs``: one run (ms epochs). ``result`` is a job-level error; VM errors are in ``tasks``.

    ``status``: pending, success, failure, skipped or interrupted (xo-api.md 3.3).
    """

    message: str | UnsetType = UNSET
    job_id: str | UnsetType = field(name="jobId", default=UNSET)
    raw_job_name: Any = field(name="jobName", default=UNSET)
    schedule_id: str | UnsetType = field(name="scheduleId", default=UNSET)
    proxy_id: str | UnsetType = field(name="proxyId", default=UNSET)
    data: Any = UNSET
    start: int | UnsetType = UNSET
    end: int | UnsetType = UNSET
    status: str = "pending"
    result: Any = UNSET
    infos: list[Any] | UnsetType = UNSET
    warnings: list[Any] | UnsetType = UNSET
    tasks: tuple[LogTask, ...] | UnsetType = UNSET

    @property
    def began(self) -> datetime | None:
        """When the run began; None where XO does not tell, or tells what cannot be a time."""
        return moment(self.start)
