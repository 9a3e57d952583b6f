"""VMs that XO or XAPI refuse as they are: migrating, busy, paused, without disks, or the job's own replicas.

(failure-modes.md 4.3; xapi-storage.md 5.1)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import VmStateOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Vm
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import is_nobak
from guard.mechanics.selection import own_replica

VM_MIGRATING = Code(
    id="VM_MIGRATING",
    title="The VM was being migrated",
    why="XO does not back up a VM that moves to another host or SR, and does not try it again in the same run.",
    do="Nothing, when it was a single migration: run the backup of this VM once it has ended. When a load balancer moves VMs "
    "every night, keep it out of the backup window.",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.TIME,),
)
OWN_REPLICA = Code(
    id="OWN_REPLICA",
    title="The job was told to back up a replica it made itself",
    why="XO refuses a VM that this very job created on its target. It gets there by a list of VMs, or a replica whose "
    "start was never allowed.",
    do="Take the replica out of the job's list. To keep using it as a VM of its own, make a copy and back that up.",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)

VM_BUSY = Code(
    id="VM_BUSY",
    title="Another operation kept the VM or its host busy",
    why="XAPI does one thing at a time with a VM, and queues only so many tasks (OTHER_OPERATION_IN_PROGRESS, "
    "TOO_MANY_PENDING_TASKS). It lets a snapshot wait for up to two hours first, and the run with it.",
    do="Wait for the other operation: see Tasks in XO. When nothing is running there, the task is left over: "
    "xe task-list on the pool master, and restart the toolstack when no other task is at work.",
    certainty=(Certainty.LIKELY, Certainty.TREND),
    clears=(ClearedBy.TIME,),
)
VM_BAD_POWER_STATE = Code(
    id="VM_BAD_POWER_STATE",
    title="The VM is not in the power state that the backup needs",
    why="A paused VM cannot be exported without a snapshot, and an offline backup needs a VM that shuts down when asked: "
    "that takes guest tools that answer.",
    do="Look at the VM's state now: an offline backup may have left it halted. Start, resume or shut it down by hand, "
    "and install or update its guest tools.",
    certainty=(Certainty.CERTAIN, Certainty.LIKELY),
    clears=(ClearedBy.PERSON,),
)
VM_HAS_NO_DISKS = Code(
    id="VM_HAS_NO_DISKS",
    title="The VM has no disk to back up",
    why="Nothing of it is left to copy: it has no disk, or every disk is marked [NOBAK]. Older versions of XO skip such a "
    "VM; today's writes a backup without a disk and reports a success.",
    do="Take the VM out of the job, or take [NOBAK] out of the name of the disk that should be copied.",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)

_MIGRATIONS = frozenset({"migrate_send", "pool_migrate"})
_SOON = timedelta(minutes=30)
"""A migration that goes on now says nothing of a run hours away."""
_TOGETHER = frozenset({"snapshot", "checkpoint"})
"""What XAPI lets run beside a snapshot; a look at another backup's snapshot says nothing of this one."""
_LONG = frozenset({"copy", "export", "import"})
_AT_ONCE = timedelta(minutes=5)
"""Operations that move no whole disks are mostly over within minutes."""


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
        else:
            findings += _hindered(view, vm)
    return findings


def _hindered(view: View, vm: Vm) -> Iterator[Finding]:
    """What stands in the way of a VM that XO itself would take."""
    ahead = view.run.due.at - view.now
    operations = {*(vm.current_operations or {}).values()} - _TOGETHER
    lasting = operations if ahead <= _AT_ONCE else operations & _LONG
    if lasting and ahead <= _SOON:
        yield _busy(view, vm, sorted(lasting), Certainty.LIKELY if ahead <= _AT_ONCE else Certainty.TREND)
    if vm.power_state == "Paused" and not view.takes_snapshot(vm.id):
        yield _paused(view, vm)
    elif vm.power_state == "Running" and vm.pv_drivers_detected is False and view.is_offline(vm.id):
        yield _without_tools(view, vm)
    drives = view.outlook.drives(vm.id)
    if all(vdi is not None and is_nobak(vdi) for _, vdi in drives):
        yield _empty(view, vm, len(drives))


def _replica(view: View, vm: Vm) -> Finding:
    return _finding(
        OWN_REPLICA,
        vm,
        Level.BLOCK,
        f"{vm.name} is a replica that job {view.run.job.name} made itself; XO does not back it up.",
        view.fact("xo:backup:job", view.run.job.id, "", PartName.VMS),
        f"Take {vm.name} out of the list of job {view.run.job.name}.",
        certainty=Certainty.CERTAIN,
    )


def _migrating(view: View, vm: Vm) -> Finding:
    operation = next(one for one in (vm.current_operations or {}).values() if one in _MIGRATIONS)
    return _finding(
        VM_MIGRATING,
        vm,
        Level.BLOCK,
        f"{vm.name} is being migrated now ({operation}); XO would fail it and not try again.",
        view.fact("current_operation", operation, "", PartName.VMS),
        "Nothing: guard takes the VM up once its migration has ended.",
        certainty=Certainty.CERTAIN,
        clears=ClearedBy.TIME,
    )


def _busy(view: View, vm: Vm, operations: list[str], certainty: Certainty) -> Finding:
    """XAPI lets the snapshot wait for it, so the run is late rather than failed: a warning."""
    return _finding(
        VM_BUSY,
        vm,
        Level.WARN,
        f"{vm.name} is busy now ({', '.join(operations)}); XAPI lets its snapshot wait until that has ended.",
        view.fact("current_operations", ", ".join(operations), "", PartName.VMS),
        "Nothing, when it ends soon; else see Tasks in XO.",
        certainty=certainty,
        clears=ClearedBy.TIME,
    )


def _paused(view: View, vm: Vm) -> Finding:
    """XO takes no snapshot of it in full mode, and XAPI exports only VMs that are halted or suspended."""
    return _finding(
        VM_BAD_POWER_STATE,
        vm,
        Level.BLOCK,
        f"{vm.name} is paused; this job would export it without a snapshot, which no host does with a paused VM.",
        view.fact("power_state", "Paused", "", PartName.VMS),
        f"Unpause {vm.name} or shut it down.",
        certainty=Certainty.CERTAIN,
    )


def _without_tools(view: View, vm: Vm) -> Finding:
    """A warning: newer hosts press the power button (ACPI) where there are no tools, and some guests listen to that."""
    return _finding(
        VM_BAD_POWER_STATE,
        vm,
        Level.WARN,
        f"{vm.name} runs without guest tools, and its backup is an offline one: it may not shut down when asked.",
        view.fact("pv_drivers_detected", value=False, unit="", part=PartName.VMS),
        f"Install the guest tools in {vm.name}, or back it up without shutting it down.",
    )


def _empty(view: View, vm: Vm, nobak: int) -> Finding:
    why = (
        f"{'its only disk is' if nobak == 1 else f'all its {nobak} disks are'} marked [NOBAK]"
        if nobak
        else "it has no disk"
    )
    return _finding(
        VM_HAS_NO_DISKS,
        vm,
        Level.WARN,
        f"{vm.name}: {why}, so its backup holds no data.",
        view.fact("nobak_disks", nobak, "VDIs", PartName.VDIS),
        f"Take {vm.name} out of the job, or [NOBAK] out of the name of a disk.",
        certainty=Certainty.CERTAIN,
    )


def _finding(
    code: Code,
    vm: Vm,
    level: Level,
    summary: str,
    fact: Fact,
    remedy: str,
    *,
    certainty: Certainty = Certainty.LIKELY,
    clears: ClearedBy = ClearedBy.PERSON,
) -> Finding:
    return Finding(
        code=code.id,
        check="vm_state",
        level=level,
        certainty=certainty,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm.id, vm.name),
        holds=(vm.id,),
        summary=summary,
        facts=(fact,),
        remedy=remedy,
        clears=Clears(clears),
    )


CHECK = Check(
    name="vm_state",
    title="State of the VMs",
    codes=(
        VM_MIGRATING,
        OWN_REPLICA,
        VM_BUSY,
        VM_BAD_POWER_STATE,
        VM_HAS_NO_DISKS,
    ),
    needs={part: timedelta(minutes=10) for part in (PartName.VMS, PartName.VBDS, PartName.VDIS)},
    options=VmStateOptions,
    evaluate=evaluate,
)
