"""Everything that would help the runs ahead, in the order in which it is done."""

from __future__ import annotations

from guard.checks.chain import CHAIN_UNHEALTHY
from guard.checks.coalesce_stuck import COALESCE_STUCK
from guard.checks.connectivity import POOL_DISCONNECTED, SR_DETACHED, VM_UNKNOWN
from guard.checks.export_timeout import EXPORT_TIMEOUT
from guard.estate.estate import PartName
from guard.lifecycle.remedy import Remedy, RemedyKind, Wanted
from guard.remedies import plug, probe, reconnect, rescan, timeout
from guard.remedies.scene import Scene

HELPED = frozenset(
    one.id for one in (CHAIN_UNHEALTHY, COALESCE_STUCK, POOL_DISCONNECTED, VM_UNKNOWN, SR_DETACHED, EXPORT_TIMEOUT)
)
"""Codes of what waits that a remedy may clear."""
_NEEDED: tuple[PartName, ...] = (
    PartName.SERVERS,
    PartName.SRS,
    PartName.PBDS,
    PartName.HOSTS,
    PartName.VMS,
    PartName.VBDS,
    PartName.VDIS,
    PartName.VDI_SNAPSHOTS,
    PartName.VDI_UNMANAGED,
    PartName.JOBS,
    PartName.SCHEDULES,
    PartName.LOGS,
    PartName.XAPI_TASKS,
)


def wanted(scene: Scene) -> tuple[Wanted, ...]:
    """Lost pools first: what is behind them is not seen yet. Nothing where XO told only half of what that rests on."""
    if not all(scene.estate.parts[part].usable for part in _NEEDED):
        return ()
    return (
        *reconnect.wanted(scene),
        *plug.wanted(scene),
        *timeout.wanted(scene),
        *rescan.wanted(scene),
        *probe.wanted(scene),
    )


def seen_again(remedy: Remedy, scene: Scene) -> Remedy:
    """The remedy with what a new reading tells of its effect; itself where that is nothing new."""
    match remedy.kind:
        case RemedyKind.RESCAN:
            return rescan.seen_again(remedy, scene.estate, scene.now)
        case RemedyKind.RECONNECT:
            return reconnect.seen_again(remedy, scene.estate, scene.now)
        case RemedyKind.PLUG:
            return plug.seen_again(remedy, scene.estate, scene.now)
        case RemedyKind.TIMEOUT_FILE:
            return timeout.seen_again(remedy, scene.estate, scene.now)
        case _:
            return remedy
