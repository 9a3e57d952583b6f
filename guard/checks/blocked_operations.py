"""Operations that somebody blocked on a VM and that its backup needs (failure-modes.md 4.3)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import BlockedOperationsOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind

SNAPSHOT_BLOCKED = Code(
    id="SNAPSHOT_BLOCKED",
    title="An operation that the backup needs is blocked on the VM",
    why="Somebody blocked snapshot, checkpoint or clean shutdown on the VM, or destroy on one of its snapshots "
    "(OPERATION_BLOCKED). XAPI refuses it until it is unblocked.",
    do="Find out why it was blocked, then remove the block: VM > Advanced in XO, or on the host "
    "xe vm-param-remove uuid=<VM> param-name=blocked-operations param-key=snapshot. For a snapshot that may not be deleted, "
    "unblock destroy on the snapshot.",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)


def evaluate(view: View, options: BlockedOperationsOptions) -> list[Finding]:
    """One finding per VM on which the snapshot, the checkpoint, or the shutdown before it is blocked."""
    del options
    findings = []
    for vm_id in view.vms:
        vm = view.estate.vm_by_id[vm_id]
        blocked = vm.blocked_operations or {}
        operation = next((one for one in _needed(view, vm_id) if one in blocked), None)
        if operation is None:
            continue
        reason = blocked[operation]
        findings.append(
            Finding(
                code=SNAPSHOT_BLOCKED.id,
                check="blocked_operations",
                level=Level.BLOCK,
                certainty=Certainty.CERTAIN,
                harm=Harm.NONE,
                scope=Scope(ScopeKind.VM, vm_id, vm.name),
                holds=(vm_id,),
                summary=f"{vm.name}: the operation {operation} is blocked on it" + (f" ({reason})." if reason else "."),
                facts=(
                    view.fact("blocked", operation, "", PartName.VMS),
                    view.fact("reason", reason, "", PartName.VMS),
                ),
                remedy=f"Find out why, then: xe vm-param-remove uuid={vm_id} param-name=blocked-operations "
                f"param-key={operation}",
                clears=Clears(ClearedBy.PERSON),
            )
        )
    return findings


def _needed(view: View, vm_id: str) -> list[str]:
    """What XO asks of XAPI for this VM, in order."""
    runs = view.estate.vm_by_id[vm_id].power_state == "Running"
    needed = ["clean_shutdown"] if runs and view.is_offline(vm_id) else []
    if view.takes_snapshot(vm_id):
        needed.append("checkpoint" if runs and view.takes_memory(vm_id) and not needed else "snapshot")
    return needed


CHECK = Check(
    name="blocked_operations",
    title="Blocked operations",
    codes=(SNAPSHOT_BLOCKED,),
    needs={part: timedelta(minutes=10) for part in (PartName.VMS, PartName.VBDS, PartName.VDIS)},
    options=BlockedOperationsOptions,
    evaluate=evaluate,
)
