"""Pool connectivity: servers, VMs XO cannot see, SRs that are not plugged (failure-modes.md 3.16, 4.3; xo-api.md 3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import ConnectivityOptions
from guard.checks.view import View, back_by
from guard.estate.estate import PartName
from guard.estate.xapi_records import PoolFacts
from guard.estate.xo_records import Server, Sr, Vm
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.connection import is_live, pool_told
from guard.mechanics.placement import serves
from guard.mechanics.selection import named_pools
from guard.units import plural, some_of

POOL_DISCONNECTED = Code(
    id="POOL_DISCONNECTED",
    title="XO is not connected to a pool",
    why="XO removes all objects of a pool it lost. Smart jobs then silently take fewer VMs or none, and listed VMs fail with "
    '"no XAPI associated".',
    do="In XO, Settings > Servers: read the error and reconnect. Check that the pool master answers and the password holds.",
    page_section="Error: no XAPI associated to <UUID>",
    certainty=(Certainty.CERTAIN, Certainty.LIKELY),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)
VM_UNKNOWN = Code(
    id="VM_UNKNOWN",
    title="A job lists a VM that XO does not show",
    why='XO looks a listed VM up at the start. One it does not find fails with "no XAPI associated to <UUID>": it was deleted, '
    "or its pool is not connected.",
    do="Search the UUID in XO. Reconnect its pool, or take the deleted VM out of the job.",
    page_section="Error: no XAPI associated to <UUID>",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)
SR_DETACHED = Code(
    id="SR_DETACHED",
    title="The SR of a disk is not plugged where it must be",
    why="A snapshot needs the SR attached on the VM's host, or on any live host for a halted VM; otherwise XAPI refuses it.",
    do="In XO, open the SR > Hosts and connect it (plug the PBD), or end its maintenance mode.",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)


def evaluate(view: View, options: ConnectivityOptions) -> list[Finding]:
    """Servers first, then pools and listed VMs that are not shown, then SRs of the VMs in question."""
    del options
    findings = [_disconnected(view, server) for server in view.estate.servers if _concerns(view, server)]
    findings += _unknown_pools(view) + _unknown_vms(view) + _of_lost_pools(view)
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
    before = view.outlook.history.recent_vms.get(view.run.schedule.id)
    # a job whose last VMs are all still shown has lost nothing with this pool
    return server.enabled and (before is None or any(vm not in view.estate.vm_by_id for vm in before))


def _disconnected(view: View, server: Server) -> Finding:
    told = server.error
    text = f": {told.get('code') or told.get('message') or told}" if isinstance(told, dict) else ""
    nothing_left = not view.run.selection.ids
    itself = pool_told(server, view.estate.pool_facts) if view.knows(PartName.POOL_FACTS) else None
    who = f" {_who_lost_whom(itself)}" if itself is not None else ""
    return Finding(
        code=POOL_DISCONNECTED.id,
        check="connectivity",
        level=Level.BLOCK if nothing_left else Level.WARN,
        certainty=Certainty.CERTAIN if nothing_left else Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.SERVER, server.id, server.name),
        summary=f"XO's connection to {server.name} is {server.status or 'unknown'}{text}; the VMs of its pool are not shown, "
        f"this run takes {plural(len(view.run.selection.ids), 'VM')} without them.{who}",
        facts=(
            view.fact("status", server.status, "", PartName.SERVERS),
            view.fact("enabled", server.enabled, "", PartName.SERVERS),
            *((view.fact("pool_answers", itself.answered, "", PartName.POOL_FACTS),) if itself is not None else ()),
        ),
        remedy=f"Reconnect {server.name} in XO (Settings > Servers).",
        clears=back_by([server]),
    )


def _who_lost_whom(told: PoolFacts) -> str:
    if told.answered:
        return "The pool itself answers guard: it is XO that lost contact."
    if told.refused:
        return "The pool answers guard too, but does not let it sign in: it is XO that lost contact."
    return f"Whether the pool itself is there guard cannot tell: {told.error}."


def _unknown_pools(view: View) -> list[Finding]:
    """Pools that the pattern asks for and no server of XO has: with one not connected, that one is told instead."""
    if view.servers_away:
        return []
    wanted = [pool for pool in dict.fromkeys(named_pools(view.run.job.vms)) if pool not in view.estate.pool_by_id]
    return [
        Finding(
            code=POOL_DISCONNECTED.id,
            check="connectivity",
            level=Level.WARN,
            certainty=Certainty.CERTAIN,
            harm=Harm.NONE,
            scope=Scope(ScopeKind.POOL, pool, pool),
            summary=f"Job {view.run.job.name} takes VMs of pool {pool}, but all servers are connected and XO knows no such "
            "pool.",
            facts=(view.fact("known", False, "", PartName.POOLS),),
            remedy=f"Add the server of that pool in XO (Settings > Servers), or take the pool out of job "
            f"{view.run.job.name}.",
            clears=Clears(ClearedBy.PERSON),
        )
        for pool in wanted
    ]


def _unknown_vms(view: View) -> list[Finding]:
    unknown = view.run.selection.unknown
    if not unknown:
        return []
    lost = view.servers_away
    shown = some_of(unknown)
    why = (
        f"XO is not connected to {', '.join(server.name for server in lost)}"
        if lost
        else "all pools are connected, so it was deleted"
    )
    return [
        Finding(
            code=VM_UNKNOWN.id,
            check="connectivity",
            level=Level.BLOCK,
            certainty=Certainty.CERTAIN,
            harm=Harm.NONE,
            scope=Scope(ScopeKind.VM, unknown[0], unknown[0]),
            holds=unknown,
            summary=f"{plural(len(unknown), 'listed VM')} not shown by XO ({shown}): {why}.",
            facts=(view.fact("not_shown", len(unknown), "VMs", PartName.VMS),),
            remedy="Reconnect the pool." if lost else f"Take the deleted VM out of job {view.run.job.name}.",
            clears=back_by(lost),
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
        name = view.pool_name(pool_id)
        findings.append(
            Finding(
                code=POOL_DISCONNECTED.id,
                check="connectivity",
                level=Level.BLOCK,
                certainty=Certainty.CERTAIN,
                harm=Harm.NONE,
                scope=Scope(ScopeKind.POOL, pool_id, name),
                holds=tuple(vms),
                summary=f"No server connects XO to pool {name} now; what it shows of {plural(len(vms), 'VM')} there is old.",
                facts=(view.fact("vms", len(vms), "VMs", PartName.VMS),),
                remedy=f"Reconnect the server of {name} in XO (Settings > Servers).",
                clears=back_by(view.servers_away),
            )
        )
    return findings


@dataclass(frozen=True)
class _Unusable:
    """Why an SR cannot be used for a VM, and what makes it usable again."""

    why: str
    fact: Fact
    remedy: str
    by: ClearedBy = ClearedBy.PERSON


def _detached(view: View, vm: Vm) -> Finding | None:
    for _, vdi in view.outlook.disks(vm.id):
        sr = view.estate.sr_by_id.get(vdi.sr or "")
        found = _unusable(view, vm, sr) if sr is not None else None
        if sr is not None and found is not None:
            return Finding(
                code=SR_DETACHED.id,
                check="connectivity",
                level=Level.BLOCK,
                certainty=Certainty.CERTAIN,
                harm=Harm.NONE,
                scope=Scope(ScopeKind.SR, sr.id, sr.name_label),
                holds=(vm.id,),
                summary=f"{vm.name}: disk {vdi.name_label or vdi.id} is on {sr.name_label}, which {found.why}.",
                facts=(found.fact,),
                remedy=found.remedy,
                clears=Clears(found.by),
            )
    return None


def _unusable(view: View, vm: Vm, sr: Sr) -> _Unusable | None:
    if sr.in_maintenance_mode is True:
        fact = view.fact("in_maintenance_mode", True, "", PartName.SRS)
        return _Unusable("is in maintenance mode", fact, f"End the maintenance mode of {sr.name_label} in XO.")
    hosts, pbds = view.estate.host_by_id, view.estate.pbds_of_sr.get(sr.id, ())
    attached = [pbd.host or "" for pbd in pbds if pbd.attached is True]
    runs = vm.power_state == "Running"
    if serves(view.estate, vm, sr):
        return None
    only = hosts.get(pbds[0].host or "") if sr.shared is False and len(pbds) == 1 else None
    if only is not None and not is_live(only):
        fact = view.fact("live_hosts", 0, "hosts", PartName.HOSTS)
        why = f"is local to host {only.name_label}, which is down or disabled"
        return _Unusable(why, fact, f"Start host {only.name_label}, or enable it.", ClearedBy.TIME)
    if attached and not runs:
        fact = view.fact("live_hosts", 0, "hosts", PartName.HOSTS)
        return _Unusable("is attached to no live host", fact, f"Start a host that {sr.name_label} is connected to.")
    return _Unusable(
        "is not attached to the host the VM runs on" if attached else "is attached to no host",
        view.fact("attached", False, "", PartName.PBDS),
        f"Connect {sr.name_label} in XO (SR > Hosts), or end its maintenance mode.",
    )


CHECK = Check(
    name="connectivity",
    title="Pool connectivity",
    codes=(POOL_DISCONNECTED, VM_UNKNOWN, SR_DETACHED),
    needs={
        part: timedelta(minutes=10)
        for part in (
            PartName.SERVERS,
            PartName.POOLS,
            PartName.HOSTS,
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
