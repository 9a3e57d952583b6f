"""VMs whose next delta silently becomes a full, because the base is gone (failure-modes.md 3.6, 8.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import NextFullOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids, target_sr_ids
from guard.mechanics.retention import has_base
from guard.mechanics.throughput import throughput
from guard.mechanics.zones import zone_or_utc
from guard.units import format_bytes, format_duration, format_time, plural, some_of

NEXT_RUN_FULL = Code(
    id="NEXT_RUN_FULL",
    title="The base of a delta is gone, so a full is needed",
    why="The snapshot, archive or replica on which the delta builds was deleted. Today's XO makes a full by itself; older "
    "ones failed, and a few cases still do.",
    do="When the run failed: delete the job's own snapshot on the source VM, so that the next run starts with a full. Make "
    "sure that the repository has the room and the night the hours for it. A mirror job: run the source's job first.",
    page_section="Could not find the base VM",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.TIME,),
)


@dataclass(frozen=True)
class _Lost:
    """Disks of a VM without a base: on the host, and on a backup repository."""

    snapshots: int
    archives: int


def evaluate(view: View, options: NextFullOptions) -> list[Finding]:
    """One finding for all VMs of the run that were sent before and have lost the base of a disk.

    A full that the job's settings ask for is no finding; whether the bytes fit is told by the space of the repository.
    """
    del options
    run = view.run
    if run.job.mode != "delta" or run.settings.full_interval == 1:
        return []
    targets = (*repository_ids(run.job), *target_sr_ids(run.job))
    without: dict[str, _Lost] = {}
    for vm_id in view.vms:
        # a VM that was never sent is expected to be sent whole; without logs nothing tells, and nothing is said
        if view.outlook.history.transfers_to(run.job.id, vm_id, targets):
            lost = _lost(view, vm_id)
            if lost.snapshots or lost.archives:
                without[vm_id] = lost
    if not without:
        return []
    sizes = [view.outlook.bytes_of(run, vm_id, targets[0]).expected for vm_id in without]
    known = [size for size in sizes if size is not None]
    expected = sum(known) if len(known) == len(sizes) else None
    takes = _takes(view, targets[0], dict(zip(without, known, strict=True))) if expected is not None else None
    following = next((one.due.at for one in view.outlook.of_job(run.job.id) if one.due.at > run.due.at), None)
    how_long, clash = "", ""
    if takes is not None:
        how_long = f", which takes about {format_duration(takes.total_seconds())} as fast as past fulls were"
        if following is not None and run.due.at + takes > following:
            clash = (
                f" The job's next run is due before that ends, at {format_time(following, zone_or_utc(run.due.zone))}."
            )
    how_much = f", about {format_bytes(expected)} to each target" if expected is not None else ""
    return [
        Finding(
            code=NEXT_RUN_FULL.id,
            check="next_full",
            level=Level.WARN,
            certainty=Certainty.CERTAIN,
            harm=Harm.NONE,
            scope=Scope(ScopeKind.JOB, run.job.id, run.job.name),
            holds=tuple(without),
            summary=f"{plural(len(without), 'VM')} of this delta job will be sent whole{how_much}{how_long}: "
            f"{_why(view, without)}.{clash}",
            facts=(
                view.fact("vms", len(without), "VMs", PartName.VDI_SNAPSHOTS),
                view.fact(
                    "disks_without_base", sum(one.snapshots for one in without.values()), "VDIs", PartName.VDI_SNAPSHOTS
                ),
                *_of_archives(view, without),
                view.fact("expected", expected, "bytes", PartName.LOGS),
                view.fact("takes", None if takes is None else takes.total_seconds(), "s", PartName.LOGS),
            ),
            remedy="Nothing, when the repository has the room and the night the hours for it. Keep the snapshots that carry "
            "the job's name: a failed transfer, or a person who deletes them, costs the base.",
            clears=Clears(ClearedBy.TIME),
        )
    ]


def _lost(view: View, vm_id: str) -> _Lost:
    """A base is gone where one target lacks it; of several that share the VMs, where all do."""
    run, outlook = view.run, view.outlook
    snapshots = view.estate.snapshots_of_vdi
    disks = [vdi for _, vdi in outlook.disks(vm_id)]
    repositories = repository_ids(run.job)
    asked = [repositories] if run.settings.distribute_backups else [(one,) for one in repositories]
    return _Lost(
        snapshots=sum(not has_base(run.job, vm_id, snapshots.get(vdi.id, ()))[0] for vdi in disks),
        archives=max((outlook.lost_archives(run.job, vm_id, one) for one in asked), default=0),
    )


def _why(view: View, without: Mapping[str, _Lost]) -> str:
    of_host = [vm for vm, one in without.items() if one.snapshots]
    of_target = [vm for vm, one in without.items() if not one.snapshots]
    told = []
    if of_host:
        names = some_of(map(view.vm_name, of_host))
        told.append(f"the host has no exported snapshot of the job left for a disk of {names}")
    if of_target:
        names = some_of(map(view.vm_name, of_target))
        told.append(f"a backup repository has not the backup any more on which the delta of {names} builds")
    return ", and ".join(told)


def _of_archives(view: View, without: Mapping[str, _Lost]) -> tuple[Fact, ...]:
    lost = sum(one.archives for one in without.values())
    return (view.fact("disks_without_archive", lost, "VDIs", PartName.ARCHIVES),) if lost else ()


def _takes(view: View, target: str, sizes: Mapping[str, float]) -> timedelta | None:
    """How long the fulls of these VMs (bytes) take by the P50 of past fulls there, as many at once as the job does.

    None where one of them was never sent whole in the past that XO shows: a delta's speed tells nothing of a full's.
    """
    run = view.run
    seconds = []
    for vm_id, size in sizes.items():
        speed = throughput(view.outlook.history.transfers_to(run.job.id, vm_id, (target,)), full=True).p50
        if speed is None:
            return None
        seconds.append(size / speed)
    at_once = run.settings.concurrency or len(seconds)
    return timedelta(seconds=max(max(seconds), sum(seconds) / at_once))


CHECK = Check(
    name="next_full",
    title="Deltas that become fulls",
    codes=(NEXT_RUN_FULL,),
    needs={
        part: timedelta(minutes=10) for part in (PartName.VMS, PartName.VBDS, PartName.VDIS, PartName.VDI_SNAPSHOTS)
    },
    options=NextFullOptions,
    evaluate=evaluate,
)
