"""The options of every check, one struct each; the policy's ``[checks.<name>]`` sections are built from these."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from guard.checks.check import Effect, Options


class ChainOptions(Options, frozen=True, kw_only=True):
    """VDI-chain risk."""

    tolerance: Annotated[
        int, Meta(ge=0, description="XO's xapiOptions.maxUncoalescedVdis; no API shows it, so repeat here what XO has.")
    ] = 1


class SrSpaceOptions(Options, frozen=True, kw_only=True):
    """SR headroom."""

    warn_free_percent: Annotated[
        float, Meta(ge=0, le=100, description="Warn below this share of free space: a coalesce needs room to work.")
    ] = 30.0
    warn_thick_used_percent: Annotated[
        float, Meta(ge=0, le=100, description="Warn above this share of used space on a thick (LVM) SR.")
    ] = 50.0
    margin_percent: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="Added to what snapshots need at once, where [remedies] lower_concurrency counts on room that comes back.",
        ),
    ] = 5.0


class RepositoryOptions(Options, frozen=True, kw_only=True):
    """Backup-repository space and reachability."""

    margin_percent: Annotated[
        float, Meta(ge=0, le=100, description="Added to the bytes a run is expected to write.")
    ] = 5.0
    warn_free_percent: Annotated[
        float, Meta(ge=0, le=100, description="Warn below this share of free space, whatever the run needs.")
    ] = 10.0


class SelectionOptions(Options, frozen=True, kw_only=True):
    """Smart-pattern matches."""

    shrunk_percent: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="Report when more than this share of the last three runs' VMs is no longer selected; 0: any VM.",
        ),
    ] = 0.0


class ConnectivityOptions(Options, frozen=True, kw_only=True):
    """Pool connectivity: servers, VMs XO cannot see, unplugged SRs."""


class OverlapOptions(Options, frozen=True, kw_only=True):
    """Overlapping runs."""

    min_samples: Annotated[
        int,
        Meta(ge=1, description="Predict an overlap from past durations only with at least this many finished runs."),
    ] = 5


class ClockChangeOptions(Options, frozen=True, kw_only=True):
    """What XO's scheduler does on a clock-change night."""

    look_ahead_days: Annotated[int, Meta(ge=1, le=400, description="Report a start storm this many days ahead.")] = 60


class JobSettingsOptions(Options, frozen=True, kw_only=True):
    """Job settings that make XO itself fail or do nothing."""


class ChainDepthOptions(Options, frozen=True, kw_only=True):
    """Depth of VDI chains."""

    warn_depth: Annotated[
        int, Meta(ge=2, le=30, description="Warn from so many images below a disk; SM's limit is 30.")
    ] = 25


class SnapshotSupportOptions(Options, frozen=True, kw_only=True):
    """Disks that cannot be snapshotted."""


_TIMES = "Warn when so many of a VM's last runs failed in this way."
_RUNS = "How many of the last runs of a VM are looked at; three good ones in a row end it."


class DiskMissingOptions(Options, frozen=True, kw_only=True):
    """Disks that are missing on their SR, or gave read errors again and again."""

    times: Annotated[int, Meta(ge=1, description=_TIMES)] = 2
    runs: Annotated[int, Meta(ge=1, description=_RUNS)] = 5


class PassthroughOptions(Options, frozen=True, kw_only=True):
    """USB, PCI and GPU devices passed through."""


class BlockedOperationsOptions(Options, frozen=True, kw_only=True):
    """Operations blocked on a VM."""


class VmStateOptions(Options, frozen=True, kw_only=True):
    """VMs that migrate, and replicas the job made itself."""


class TargetSrsOptions(Options, frozen=True, kw_only=True):
    """Target SRs of replications and health checks."""


class NextFullOptions(Options, frozen=True, kw_only=True):
    """Deltas that become fulls."""


class VendorDeviceOptions(Options, frozen=True, kw_only=True):
    """Vendor devices that a target pool does not allow."""


class PlatformOptions(Options, frozen=True, kw_only=True):
    """Pools too old for deltas."""


class RepositoryProxyOptions(Options, frozen=True, kw_only=True):
    """Repositories of another proxy than the job's."""


class ExportTooLongOptions(Options, frozen=True, kw_only=True):
    """Exports longer than a host allows."""

    warn_after: Annotated[
        timedelta, Meta(description="Warn when one export is expected to take so long; hosts end it after 24 h.")
    ] = timedelta(hours=20)


class EncryptionOptions(Options, frozen=True, kw_only=True):
    """Full backups too large for the encryption of an old repository."""


class XapiRefusalOptions(Options, frozen=True, kw_only=True):
    """Snapshots that the pool itself would refuse; needs a [[pool]] entry."""


class DiskPausedOptions(Options, frozen=True, kw_only=True):
    """Disks that a coalesce left paused; needs a [[pool]] entry."""


class ExportTimeoutOptions(Options, frozen=True, kw_only=True):
    """Hosts that kept XO waiting in past runs."""

    effect: Annotated[
        Effect, Meta(description="warn: only report it; block: hold the VMs that it is about; off: do not check.")
    ] = Effect.WARN
    times: Annotated[
        int, Meta(ge=1, description="Report when XO waited in vain so often: for a VM, a host, or VMs of a schedule.")
    ] = 2
    runs: Annotated[int, Meta(ge=1, description=_RUNS)] = 5


class ExportIncompleteOptions(Options, frozen=True, kw_only=True):
    """Transfers that broke off, and fulls that are far too small."""

    times: Annotated[int, Meta(ge=1, description=_TIMES)] = 2
    runs: Annotated[int, Meta(ge=1, description=_RUNS)] = 5
    small_percent: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="Warn of a full backup (XVA) below this share of the median of earlier ones; 0: never.",
        ),
    ] = 50.0


class RepositoryLockOptions(Options, frozen=True, kw_only=True):
    """Locks on backup repositories."""

    min_samples: Annotated[
        int, Meta(ge=1, description="Tell when a run ends from its past only with at least this many finished runs.")
    ] = 5


class ImmutableOptions(Options, frozen=True, kw_only=True):
    """Backups that retention must delete and the storage protects."""


class LocalRepositoryOptions(Options, frozen=True, kw_only=True):
    """XO's own disk, and backup repositories on it."""

    warn_free_percent: Annotated[
        float, Meta(ge=0, le=100, description="Warn below this share of free space on a disk of XO's own machine.")
    ] = 10.0


class ProxyOptions(Options, frozen=True, kw_only=True):
    """Proxies that jobs run on."""


class RollingUpdateOptions(Options, frozen=True, kw_only=True):
    """Rolling pool updates and reboots."""


class XoFeatureOptions(Options, frozen=True, kw_only=True):
    """Features that XO's plan or licence refused the last time."""


class HealthCheckOptions(Options, frozen=True, kw_only=True):
    """Health checks of VMs without guest tools."""


class HostPlacementOptions(Options, frozen=True, kw_only=True):
    """VMs for whose snapshot no host sees every SR."""


class SnapshotStuckOptions(Options, frozen=True, kw_only=True):
    """Old snapshots that XO must delete and a control domain still holds."""


class TargetSpaceOptions(Options, frozen=True, kw_only=True):
    """Room on the target SRs of replications."""


class MemorySpaceOptions(Options, frozen=True, kw_only=True):
    """Room for the memory of snapshots that hold it."""


class HealthCheckSpaceOptions(Options, frozen=True, kw_only=True):
    """Room on the SR of the health checks."""


class DiskSizeOptions(Options, frozen=True, kw_only=True):
    """Disks too large for the VHD format."""


class CoalesceStuckOptions(Options, frozen=True, kw_only=True):
    """Coalesces that do not come."""
