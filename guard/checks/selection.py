"""Smart-pattern matches: does the job still take the VMs it should (failure-modes.md 3.9, 6)?"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import SelectionOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.estate.xo_records import Server
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.connection import reconnects
from guard.mechanics.selection import left_out_because, named_pools
from guard.units import plural, some_of

NO_VM_MATCHES = Code(
    id="NO_VM_MATCHES",
    title="A smart job matches no VM",
    why='XO evaluates the job\'s pattern at the start. When nothing matches, it skips the run: "no VMs match this pattern". '
    "A pool that XO lost has no VMs for it.",
    do="Open the job in XO and look at its tags, pools and power state; see with guard match JOB which rule leaves each "
    "VM out. Check Settings > Servers: is the pool connected?",
    page_section="Error: no VMs match this pattern",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)
SELECTION_SHRUNK = Code(
    id="SELECTION_SHRUNK",
    title="A job takes fewer VMs than in its last runs",
    why="XO backs up what matches today and says nothing about what no longer does: a removed tag, a stopped VM or a lost "
    "pool silently drops VMs from the backup.",
    do="Compare with guard match JOB. Put the tag back, reconnect the pool, or take the VM out of the job on purpose.",
    page_section="Error: no VMs match this pattern",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)


def evaluate(view: View, options: SelectionOptions) -> list[Finding]:
    """NO_VM_MATCHES for an empty smart selection, SELECTION_SHRUNK against the schedule's last runs."""
    selection = view.run.selection
    if not selection.ids and not selection.unknown and not view.run.done:
        return [_empty(view)]
    return _shrunk(view, options)


def _away(view: View) -> list[Server]:
    """Servers whose VMs the job may be missing; none when it only asks for pools that XO shows."""
    wanted = named_pools(view.run.job.vms)
    if wanted and all(pool in view.estate.pool_by_id for pool in wanted):
        return []
    return view.servers_away


def _lost_servers(view: View) -> list[Server]:
    """Those of them that nobody disconnected on purpose."""
    return [one for one in _away(view) if one.enabled]


def _empty(view: View) -> Finding:
    selection, lost = view.run.selection, _lost_servers(view)
    reasons = Counter(
        left_out_because(view.run.job, vm, view.estate.vm_properties.get(vm.id, {}))
        for vm in (() if selection.error else view.estate.vms)
    )
    why = "; ".join(f"{plural(count, 'VM')}: {reason}" for reason, count in reasons.most_common(3))
    if selection.error:
        summary = f"Job {view.run.job.name}: {selection.error}."
    elif not selection.smart:
        summary = f"Job {view.run.job.name} lists no VM: XO would report a success without a backup."
    elif lost:
        summary = f"Job {view.run.job.name} matches no VM now, but XO is not connected to {_names(lost)}: its VMs are unknown."
    else:
        summary = f"Job {view.run.job.name} matches none of {plural(len(view.estate.vms), 'VM')}." + (
            why and f" {why}."
        )
    unknown = selection.undecided or (bool(lost) and selection.smart and not selection.error)
    warned = not selection.smart
    return Finding(
        code=NO_VM_MATCHES.id,
        check="selection",
        level=Level.UNKNOWN if unknown else Level.WARN if warned else Level.BLOCK,
        certainty=Certainty.TREND if unknown else Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.JOB, view.run.job.id, view.run.job.name),
        summary=summary,
        facts=(
            view.fact("matching", 0, "VMs", PartName.VMS),
            view.fact("visible", len(view.estate.vms), "VMs", PartName.VMS),
            view.fact("servers_not_connected", len(lost), "servers", PartName.SERVERS),
        ),
        remedy=f"See guard match '{view.run.job.name}'; correct the pattern, or reconnect the pool.",
        clears=Clears(ClearedBy.TIME if unknown and any(map(reconnects, lost)) else ClearedBy.PERSON),
    )


def _shrunk(view: View, options: SelectionOptions) -> list[Finding]:
    before = view.outlook.history.recent_vms.get(view.run.schedule.id, ())
    now = view.run.done.union(view.run.selection.ids)
    gone = [vm for vm in before if vm not in now]
    if not gone or 100 * len(gone) / len(before) <= options.shrunk_percent:
        return []
    reasons = Counter(_why_gone(view, vm) for vm in gone)
    causes = "; ".join(f"{count}: {reason}" for reason, count in reasons.most_common(3))
    names = some_of(map(view.vm_name, gone))
    are = "is" if len(gone) == 1 else "are"
    # what XO shows was left out by the job; what it does not show comes back with its pool
    returns = any(map(reconnects, _lost_servers(view))) and not any(vm in view.estate.vm_by_id for vm in gone)
    return [
        Finding(
            code=SELECTION_SHRUNK.id,
            check="selection",
            level=Level.WARN,
            certainty=Certainty.CERTAIN,
            harm=Harm.NONE,
            scope=Scope(ScopeKind.JOB, view.run.job.id, view.run.job.name),
            summary=f"{len(gone)} of {plural(len(before), 'VM')} of the last runs {are} no longer taken ({names}). {causes}.",
            facts=(
                Fact(
                    name="last_runs",
                    value=len(before),
                    unit="VMs",
                    source=view.estate.parts[PartName.LOGS].source,
                    observed_at=view.estate.parts[PartName.LOGS].read_at,
                ),
                view.fact("still_taken", len(before) - len(gone), "VMs", PartName.VMS),
                policy_fact("shrunk", options.shrunk_percent, "%"),
            ),
            remedy=f"See guard match '{view.run.job.name}' for the rule that leaves each of them out.",
            clears=Clears(ClearedBy.TIME if returns else ClearedBy.PERSON),
        )
    ]


def _why_gone(view: View, vm_id: str) -> str:
    vm = view.estate.vm_by_id.get(vm_id)
    if vm is not None:
        return left_out_because(view.run.job, vm, view.estate.vm_properties.get(vm_id, {})) or "taken again"
    lost = _lost_servers(view)
    if lost:
        return f"XO does not show it; not connected: {_names(lost)}"
    return "XO does not show it any more" + ("" if _away(view) else ": it was deleted")


def _names(servers: list[Server]) -> str:
    return ", ".join(one.name for one in servers)


CHECK = Check(
    name="selection",
    title="Smart-pattern matches",
    codes=(NO_VM_MATCHES, SELECTION_SHRUNK),
    needs={
        PartName.VMS: timedelta(minutes=10),
        PartName.SERVERS: timedelta(minutes=10),
        PartName.LOGS: timedelta(hours=1),
    },
    options=SelectionOptions,
    evaluate=evaluate,
)
