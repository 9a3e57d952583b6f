"""Devices of the host that a VM was given: USB for any snapshot, PCI and GPU for one with memory (failure-modes.md 3.10)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import PassthroughOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Vm
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.units import plural

USB_ATTACHED = Code(
    id="USB_ATTACHED",
    title="A USB device is passed through to the VM",
    why="XAPI takes no snapshot of a running VM that has a USB device of the host (VM_HAS_VUSBS). Waiting does not help.",
    do="Detach the device from the VM (VM > Advanced in XO) and start the backup again, or let the job take its snapshot "
    "with the VM shut down (offline snapshot): XO then detaches the device and attaches it again.",
    page_section="Error: SR_OPERATION_NOT_SUPPORTED",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)
PASSTHROUGH_ATTACHED = Code(
    id="PASSTHROUGH_ATTACHED",
    title="A PCI device or a GPU is passed through to the VM",
    why="The memory of a VM with a PCI device or a virtual GPU cannot be saved, so a backup with RAM is refused "
    "(VM_HAS_PCI_ATTACHED, VM_HAS_VGPU).",
    do="Turn off the backup of memory for this VM: take the tag xo-memory-backup off, or the checkpoint option out of the "
    "job. Otherwise detach the device, or back the VM up offline.",
    page_section="Error: SR_OPERATION_NOT_SUPPORTED",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)


def evaluate(view: View, options: PassthroughOptions) -> list[Finding]:
    """One finding per VM that runs at its snapshot. One that is shut down for it has its USB devices taken off by XO."""
    del options
    findings = []
    usb = Counter(vusb.vm for vusb in view.estate.vusbs if vusb.vm)
    for vm_id in view.vms:
        vm = view.estate.vm_by_id[vm_id]
        if vm.power_state == "Halted" or view.is_offline(vm_id) or not view.takes_snapshot(vm_id):
            continue
        if vm_id in usb:
            findings.append(_usb(view, vm, usb[vm_id]))
        elif view.takes_memory(vm_id) and (vm.attached_pcis or vm.vgpus):
            findings.append(_device(view, vm))
    return findings


def _usb(view: View, vm: Vm, count: int) -> Finding:
    return Finding(
        code=USB_ATTACHED.id,
        check="passthrough",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm.id, vm.name),
        holds=(vm.id,),
        summary=f"{vm.name}: {plural(count, 'USB device')} passed through; the host takes no snapshot of it while it runs.",
        facts=(view.fact("usb_devices", count, "devices", PartName.VUSBS),),
        remedy=f"Detach the USB device from {vm.name} (VM > Advanced in XO), or let the job take its snapshot offline.",
        clears=Clears(ClearedBy.PERSON),
    )


def _device(view: View, vm: Vm) -> Finding:
    count = len(vm.attached_pcis or ()) + len(vm.vgpus or ())
    return Finding(
        code=PASSTHROUGH_ATTACHED.id,
        check="passthrough",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm.id, vm.name),
        holds=(vm.id,),
        summary=f"{vm.name}: {plural(count, 'PCI or GPU device')} passed through; its memory cannot be saved, and the backup "
        "is one with memory.",
        facts=(view.fact("devices", count, "devices", PartName.VMS),),
        remedy=f"Turn off the backup of memory for {vm.name}: take the tag xo-memory-backup off, or the option out of the job.",
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="passthrough",
    title="Devices passed through",
    codes=(
        USB_ATTACHED,
        PASSTHROUGH_ATTACHED,
    ),
    needs={part: timedelta(minutes=10) for part in (PartName.VUSBS, PartName.VMS, PartName.VBDS, PartName.VDIS)},
    options=PassthroughOptions,
    evaluate=evaluate,
)
