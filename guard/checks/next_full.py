"""VMs whose next delta silently becomes a full, because the base is gone (failure-modes.md 3.6, 8.3)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import NextFullOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids, target_sr_ids
from guard.mechanics.retention import has_base
from guard.units import format_bytes, plural, some_of

NEXT_RUN_FULL = Code(
    id="NEXT_RUN_FULL",
    title="The base of a delta is gone, so a full is needed",
    why="The snapshot, archive or replica on which the delta builds was deleted. Today's XO makes a full by itself; older "
    "ones failed, and a few cases still do.",
    do="When the run failed: delete the job's own snapshot on the source VM, so that the next run starts with a full. Make "
    "sure that the repository has the room and the night the hours for it. A mirror job: run the source's job first.",
    page_section="Could not find the base VM",
)


def evaluate(view: View, options: NextFullOptions) -> list[Finding]:
    """One finding for all VMs of the run that were sent before and have lost the base of a disk.

    A full that the job's settings ask for is no finding; whether the bytes fit is told by the space of the repository.
    """
    del options
    run = view.run
    if run.job.mode != "delta" or run.settings.full_interval == 1:
        return []
    targets = (*repository_ids(run.job), *target_sr_ids(run.job))
    without: dict[str, int] = {}
    snapshots = view.estate.snapshots_of_vdi
    for vm_id in view.vms:
        # a VM that was never sent is expected to be sent whole; without logs nothing tells, and nothing is said
        if view.outlook.history.transfers_to(run.job.id, vm_id, targets):
            disks = [vdi for _, vdi in view.outlook.disks(vm_id)]
            lost = sum(not has_base(run.job, vm_id, snapshots.get(vdi.id, ()))[0] for vdi in disks)
            if lost:
                without[vm_id] = lost
    if not without:
        return []
    sizes = [view.outlook.bytes_of(run, vm_id, targets[0]).expected for vm_id in without]
    known = [size for size in sizes if size is not None]
    expected = sum(known) if len(known) == len(sizes) else None
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
            summary=f"{plural(len(without), 'VM')} of this delta job will be sent whole{how_much}: the host has no exported "
            f"snapshot of the job left for a disk of {some_of(map(view.vm_name, without))}.",
            facts=(
                view.fact("vms", len(without), "VMs", PartName.VDI_SNAPSHOTS),
                view.fact("disks_without_base", sum(without.values()), "VDIs", PartName.VDI_SNAPSHOTS),
                view.fact("expected", expected, "bytes", PartName.LOGS),
            ),
            remedy="Nothing, when the repository has the room and the night the hours for it. Keep the snapshots that carry "
            "the job's name: a failed transfer, or a person who deletes them, costs the base.",
            clears=Clears(ClearedBy.TIME),
        )
    ]


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
