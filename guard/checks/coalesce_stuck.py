"""SRs whose coalesces do not come: the chains there only get longer (failure-modes.md 3.4)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.coalesce_reasons import Reason, reasons
from guard.checks.options import CoalesceStuckOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Sr
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.units import plural, some_of

COALESCE_STUCK = Code(
    id="COALESCE_STUCK",
    title="An SR does not coalesce, or not any more",
    why="Every backup leaves a base copy that the host has to merge. On this SR nothing does that, so the chains grow with every "
    'run until XO skips their VMs ("unhealthy VDI chain"), and at 30 images no snapshot is possible any more.',
    do="Look which reason the finding names: coalesce switched off in the SR's other_config, no room for a merge, the SR "
    "unplugged on the pool master, snapshots left plugged in a control domain. Then rescan the SR in XO. When nothing moves "
    "after that, look for coalesce errors in /var/log/SMlog on the pool master; as a last resort migrate the disks to another "
    "SR and back.",
    page_section="Troubleshooting a constant VDI Chain Protection message",
    certainty=(Certainty.CERTAIN, Certainty.LIKELY, Certainty.TREND),
    clears=(ClearedBy.PERSON,),
)


def evaluate(view: View, options: CoalesceStuckOptions) -> list[Finding]:
    """One finding per SR, with every reason, the surest first. It keeps nobody from starting: CHAIN_UNHEALTHY does that."""
    del options
    findings = []
    for sr_id, vms in _by_sr(view).items():
        sr = view.estate.sr_by_id.get(sr_id)
        told = reasons(view, sr, vms) if sr is not None else []
        if sr is not None and told:
            nodes = {node for pairs in vms.values() for node, _ in pairs}  # VMs may share the root of their chains
            findings.append(_finding(view, sr, [vm for vm in vms if vms[vm]] or list(vms), len(nodes), told))
    return findings


def _by_sr(view: View) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """SR id -> the VMs of the run that leave a base copy there, those already held for their chains among them.

    Of each what waits in its chains there: nodes as XO counts them, of every VBD (CDs and [NOBAK] disks too), each with its
    child.
    """
    chains, vdis = view.outlook.chains, view.estate.vdi_by_id
    found: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for vm_id in view.run.selection.ids:
        if not view.takes_snapshot(vm_id):
            continue
        for _, vdi in view.outlook.disks(vm_id):
            if vdi.sr:
                found.setdefault(vdi.sr, {}).setdefault(vm_id, [])
        for vbd in view.estate.vbds_of_vm.get(vm_id, ()):
            for node in chains.chain(vbd.vdi).uncoalesced if vbd.vdi else ():
                waiting = found.setdefault(vdis[node].sr or "", {}).setdefault(vm_id, [])
                waiting.append((node, chains.child(node)))
    return found


def _finding(view: View, sr: Sr, vms: list[str], waiting: int, told: list[Reason]) -> Finding:
    waits = f"{plural(waiting, 'un-coalesced VDI')} of {plural(len(vms), 'VM')} of this run ({some_of(map(view.vm_name, vms))})"
    begins = (
        f"{sr.name_label}: {waits} wait there."
        if waiting
        else f"{sr.name_label}: {plural(len(vms), 'VM')} of this run."
    )
    return Finding(
        code=COALESCE_STUCK.id,
        check="coalesce_stuck",
        level=Level.WARN,
        certainty=told[0].certainty,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.SR, sr.id, sr.name_label),
        holds=tuple(vms),
        summary=f"{begins} {' '.join(one.told for one in told)}",
        facts=(
            view.fact("waiting", waiting, "VDIs", PartName.VDI_UNMANAGED),
            *(fact for one in told for fact in one.facts),
        ),
        remedy=told[0].remedy,
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="coalesce_stuck",
    title="Coalesces that do not come",
    codes=(COALESCE_STUCK,),
    needs={
        part: timedelta(minutes=10)
        for part in (
            PartName.SRS,
            PartName.VMS,
            PartName.VBDS,
            PartName.VDIS,
            PartName.VDI_SNAPSHOTS,
            PartName.VDI_UNMANAGED,
        )
    },
    options=CoalesceStuckOptions,
    evaluate=evaluate,
)
