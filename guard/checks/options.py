"""The options of every check, one struct each; the policy's ``[checks.<name>]`` sections are built from these."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from guard.checks.check import Options


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


class DiskMissingOptions(Options, frozen=True, kw_only=True):
    """Disks that are missing on their SR."""


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
