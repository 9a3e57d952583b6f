"""VMs that XO refuses as they are: migrating, or replicas that the job made itself (failure-modes.md 4.3)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import VmStateOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Vm
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.selection import own_replica

VM_MIGRATING = Code(
    id="VM_MIGRATING",
    title="The VM was being migrated",
    why="XO does not back up a VM that moves to another host or SR, and does not try it again in the same run.",
    do="Nothing, when it was a single migration: run the backup of this VM once it has ended. When a load balancer moves VMs "
    "every night, keep it out of the backup window.",
)
OWN_REPLICA = Code(
    id="OWN_REPLICA",
    title="The job was told to back up a replica it made itself",
    why="XO refuses a VM that this very job created on its target. It gets there by a list of VMs, or a replica whose "
    "start was never allowed.",
    do="Take the replica out of the job's list. To keep using it as a VM of its own, make a copy and back that up.",
)

_MIGRATIONS = frozenset({"migrate_send", "pool_migrate"})
_SOON = timedelta(minutes=30)
"""A migration that goes on now says nothing of a run hours away."""


def evaluate(view: View, options: VmStateOptions) -> list[Finding]:
    """XO throws for both before it does anything with the VM (_AbstractXapi.mjs), and tries neither again."""
    del options
    findings = []
    near = view.run.due.at - view.now <= _SOON
    for vm_id in view.vms:
        vm = view.estate.vm_by_id[vm_id]
        if own_replica(vm, view.run.job.id):
            findings.append(_replica(view, vm))
        elif near and _MIGRATIONS.intersection((vm.current_operations or {}).values()):
            findings.append(_migrating(view, vm))
    return findings


def _replica(view: View, vm: Vm) -> Finding:
    return Finding(
        code=OWN_REPLICA.id,
        check="vm_state",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm.id, vm.name),
        holds=(vm.id,),
        summary=f"{vm.name} is a replica that job {view.run.job.name} made itself; XO does not back it up.",
        facts=(view.fact("xo:backup:job", view.run.job.id, "", PartName.VMS),),
        remedy=f"Take {vm.name} out of the list of job {view.run.job.name}.",
        clears=Clears(ClearedBy.PERSON),
    )


def _migrating(view: View, vm: Vm) -> Finding:
    operation = next(one for one in (vm.current_operations or {}).values() if one in _MIGRATIONS)
    return Finding(
        code=VM_MIGRATING.id,
        check="vm_state",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm.id, vm.name),
        holds=(vm.id,),
        summary=f"{vm.name} is being migrated now ({operation}); XO would fail it and not try again.",
        facts=(view.fact("current_operation", operation, "", PartName.VMS),),
        remedy="Nothing: guard takes the VM up once its migration has ended.",
        clears=Clears(ClearedBy.TIME),
    )


CHECK = Check(
    name="vm_state",
    title="State of the VMs",
    codes=(
        VM_MIGRATING,
        OWN_REPLICA,
    ),
    needs={PartName.VMS: timedelta(minutes=10)},
    options=VmStateOptions,
    evaluate=evaluate,
)
