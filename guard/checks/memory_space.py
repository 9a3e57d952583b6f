"""Room for the memory of snapshots that hold it (xapi-storage.md 1.6; failure-modes.md 4.3)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import MemorySpaceOptions
from guard.checks.sr_figures import SR_NO_SPACE, free_bytes, harm_of, provisioning_of
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Sr
from guard.finding import Certainty, ClearedBy, Clears, Finding, Level, Scope, ScopeKind
from guard.mechanics.copy_space import memory_need, summed
from guard.mechanics.snapshot_space import Need
from guard.units import format_bytes


def evaluate(view: View, options: MemorySpaceOptions) -> list[Finding]:
    """One finding per running VM whose memory does not fit on its suspend SR, each looked at alone.

    Images of earlier runs are deleted meanwhile, so no sum is made. Where XO shows no suspend SR (the host's own counts
    then) or no figures of it, nothing is said.
    """
    del options
    findings = []
    for vm_id in view.vms:
        if not view.takes_memory(vm_id) or not view.takes_snapshot(vm_id) or view.is_offline(vm_id):
            continue
        sr, need = _suspend_sr(view, vm_id), None
        vm = view.estate.vm_by_id[vm_id]
        memory = vm.memory.static_max if vm.memory else None
        if vm.power_state == "Running" and sr is not None and memory is not None:
            need = memory_need(sr_type=sr.sr_type, provisioning=provisioning_of(sr), static_max=memory)
        free = free_bytes(sr)
        if sr is not None and need is not None and free is not None and memory is not None:
            whole = summed([need])
            if (whole.lower if whole.expected is None else whole.expected) > free:
                findings.append(_finding(view, vm_id, sr, free, memory, whole))
    return findings


def _suspend_sr(view: View, vm_id: str) -> Sr | None:
    """The VM's own, else that of its pool (xapi helpers.ml:1154-1178)."""
    vm = view.estate.vm_by_id[vm_id]
    pool = view.estate.pool_by_id.get(vm.pool or "")
    chosen = vm.suspend_sr or (pool.suspend_sr if pool is not None else "") or ""
    return view.estate.sr_by_id.get(chosen)


def _finding(view: View, vm_id: str, sr: Sr, free: int, memory: int, need: Need) -> Finding:
    name = view.vm_name(vm_id)
    needed = need.lower if need.expected is None else need.expected
    return Finding(
        code=SR_NO_SPACE.id,
        check="memory_space",
        # the memory of a VM may grow to its static maximum; how much of it is written is not told
        level=Level.BLOCK if need.lower > free else Level.WARN,
        certainty=Certainty.CERTAIN if need.lower > free else Certainty.TREND,
        harm=harm_of(sr),
        scope=Scope(ScopeKind.SR, sr.id, sr.name_label),
        holds=(vm_id,),
        summary=f"{sr.name_label}: {format_bytes(free)} free, a snapshot of {name} with its memory of {format_bytes(memory)} "
        f"needs {format_bytes(needed)} there.",
        facts=(
            view.fact("free", free, "bytes", PartName.SRS),
            view.fact("memory", memory, "bytes", PartName.VMS),
            view.fact("need_at_least", need.lower, "bytes", PartName.VMS),
            view.fact("need_expected", need.expected, "bytes", PartName.VMS),
        ),
        remedy=f"Free space on {sr.name_label}, give {name} another suspend SR, or back it up without its memory.",
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="memory_space",
    title="Room for memory",
    codes=(SR_NO_SPACE,),
    needs={
        part: timedelta(minutes=10)
        for part in (PartName.SRS, PartName.POOLS, PartName.VMS, PartName.VBDS, PartName.VDIS)
    },
    options=MemorySpaceOptions,
    evaluate=evaluate,
)
