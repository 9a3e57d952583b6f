"""Pool connectivity: servers, VMs XO cannot see, SRs that are not plugged (failure-modes.md 3.16, 4.3; xo-api.md 3.5)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import ConnectivityOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Server, Sr, Vm
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.selection import named_pools
from guard.units import plural

POOL_DISCONNECTED = Code(
    id="POOL_DISCONNECTED",
    title="XO is not connected to a pool",
    why="XO removes all objects of a pool it lost. Smart jobs then silently take fewer VMs or none, and listed VMs fail with "
    '"no XAPI associated".',
    do="In XO, Settings > Servers: read the error and reconnect. Check that the pool master answers and the password holds.",
    page_section="Error: no XAPI associated to <UUID>",
)
VM_UNKNOWN = Code(
    id="VM_UNKNOWN",
    title="A job lists a VM that XO does not show",
    why='XO looks a listed VM up at the start. One it does not find fails with "no XAPI associated to <UUID>": it was deleted, '
    "or its pool is not connected.",
    do="Search the UUID in XO. Reconnect its pool, or take the deleted VM out of the job.",
    page_section="Error: no XAPI associated to <UUID>",
)
SR_DETACHED = Code(
    id="SR_DETACHED",
    title="The SR of a disk is not plugged where it must be",
    why="A snapshot needs the SR attached on the VM's host, or on any live host for a halted VM; otherwise XAPI refuses it.",
    do="In XO, open the SR > Hosts and connect it (plug the PBD), or end its maintenance mode.",
)


def evaluate(view: View, options: ConnectivityOptions) -> list[Finding]:
    """Servers first, then listed VMs that are not shown, then SRs of the VMs in question."""
    del options
    findings = [_disconnected(view, server) for server in view.estate.servers if _concerns(view, server)]
    findings += _unknown_vms(view) + _of_lost_pools(view)
    for vm_id in view.vms:
        finding = _detached(view, view.estate.vm_by_id[vm_id])
        if finding is not None:
            findings.append(finding)
    return findings


def _concerns(view: View, server: Server) -> bool:
    """A lost server matters to a job that names a pool XO lacks, lists VMs XO lacks, or takes from every pool."""
    if server.status == "connected":
        return False
    selection = view.run.selection
    if not selection.smart:
        return bool(selection.unknown)
    wanted = named_pools(view.run.job.vms)
    if wanted:
        return any(pool not in view.estate.pool_by_id for pool in wanted)
    before = view.outlook.history.last_vms.get(view.run.schedule.id)
    # a job that still takes all it took last time has lost nothing with this pool
    return server.enabled and (before is None or not set(before).issubset(selection.ids))


def _disconnected(view: View, server: Server) -> Finding:
    told = server.error
    text = f": {told.get('code') or told.get('message') or told}" if isinstance(told, dict) else ""
    reconnects = server.enabled
    nothing_left = not view.run.selection.ids
    return Finding(
        code=POOL_DISCONNECTED.id,
        check="connectivity",
        level=Level.BLOCK if nothing_left else Level.WARN,
        certainty=Certainty.CERTAIN if nothing_left else Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.SERVER, server.id, server.name),
        summary=f"XO's connection to {server.name} is {server.status or 'unknown'}{text}; the VMs of its pool are not shown, "
        f"this run takes {plural(len(view.run.selection.ids), 'VM')} without them.",
        facts=(
            view.fact("status", server.status, "", PartName.SERVERS),
            view.fact("enabled", server.enabled, "", PartName.SERVERS),
        ),
        remedy=f"Reconnect {server.name} in XO (Settings > Servers).",
        clears=Clears(ClearedBy.TIME if reconnects else ClearedBy.PERSON),
    )


def _unknown_vms(view: View) -> list[Finding]:
    unknown = view.run.selection.unknown
    if not unknown:
        return []
    lost = [server.name for server in view.estate.servers if server.status != "connected"]
    shown = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
    why = f"XO is not connected to {', '.join(lost)}" if lost else "all pools are connected, so it was deleted"
    return [
        Finding(
            code=VM_UNKNOWN.id,
            check="connectivity",
            level=Level.BLOCK,
            certainty=Certainty.LIKELY if lost else Certainty.CERTAIN,
            harm=Harm.NONE,
            scope=Scope(ScopeKind.VM, unknown[0], unknown[0]),
            holds=unknown,
            summary=f"{plural(len(unknown), 'listed VM')} not shown by XO ({shown}): {why}.",
            facts=(view.fact("not_shown", len(unknown), "VMs", PartName.VMS),),
            remedy="Reconnect the pool." if lost else f"Take the deleted VM out of job {view.run.job.name}.",
            clears=Clears(ClearedBy.TIME if lost else ClearedBy.PERSON),
        )
    ]


def _of_lost_pools(view: View) -> list[Finding]:
    """VMs that XO still shows though no server connects it to their pool: it forgets them minutes later (xo-api.md 3.5)."""
    connected = {server.pool_id for server in view.estate.servers if server.status == "connected"}
    by_pool: dict[str, list[str]] = {}
    for vm_id in view.vms:
        home = view.estate.vm_by_id[vm_id].pool
        if home and home not in connected:
            by_pool.setdefault(home, []).append(vm_id)
    findings = []
    for pool_id, vms in by_pool.items():
        pool = view.estate.pool_by_id.get(pool_id)
        name = pool.name_label if pool is not None and pool.name_label else pool_id
        findings.append(
            Finding(
                code=POOL_DISCONNECTED.id,
                check="connectivity",
                level=Level.BLOCK,
                certainty=Certainty.LIKELY,
                harm=Harm.NONE,
                scope=Scope(ScopeKind.POOL, pool_id, name),
                holds=tuple(vms),
                summary=f"No server connects XO to pool {name} now; what it shows of {plural(len(vms), 'VM')} there is old.",
                facts=(view.fact("vms", len(vms), "VMs", PartName.VMS),),
                remedy=f"Reconnect the server of {name} in XO (Settings > Servers).",
                clears=Clears(ClearedBy.TIME),
            )
        )
    return findings


def _detached(view: View, vm: Vm) -> Finding | None:
    for _, vdi in view.outlook.disks(vm.id):
        sr = view.estate.sr_by_id.get(vdi.sr or "")
        why = _why_unusable(view, vm, sr) if sr is not None else ""
        if sr is not None and why:
            return Finding(
                code=SR_DETACHED.id,
                check="connectivity",
                level=Level.BLOCK,
                certainty=Certainty.CERTAIN,
                harm=Harm.NONE,
                scope=Scope(ScopeKind.SR, sr.id, sr.name_label),
                holds=(vm.id,),
                summary=f"{vm.name}: disk {vdi.name_label or vdi.id} is on {sr.name_label}, which {why}.",
                facts=(view.fact("attached", False, "", PartName.PBDS),),
                remedy=f"Connect {sr.name_label} in XO (SR > Hosts), or end its maintenance mode.",
                clears=Clears(ClearedBy.PERSON),
            )
    return None


def _why_unusable(view: View, vm: Vm, sr: Sr) -> str:
    if sr.in_maintenance_mode is True:
        return "is in maintenance mode"
    attached = [pbd.host for pbd in view.estate.pbds_of_sr.get(sr.id, ()) if pbd.attached is True]
    if not attached:
        return "is attached to no host"
    if vm.power_state == "Running" and vm.container not in attached:
        return "is not attached to the host the VM runs on"
    return ""


CHECK = Check(
    name="connectivity",
    title="Pool connectivity",
    codes=(POOL_DISCONNECTED, VM_UNKNOWN, SR_DETACHED),
    needs={
        part: timedelta(minutes=10)
        for part in (
            PartName.SERVERS,
            PartName.POOLS,
            PartName.VMS,
            PartName.VBDS,
            PartName.VDIS,
            PartName.SRS,
            PartName.PBDS,
        )
    },
    options=ConnectivityOptions,
    evaluate=evaluate,
)
