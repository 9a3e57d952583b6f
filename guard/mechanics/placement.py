"""Whether storage can be reached where a VM's snapshot needs it (failure-modes.md 4.3; xapi-storage.md 5.2)."""

from __future__ import annotations

from guard.estate.estate import Estate
from guard.estate.xo_records import Sr, Vdi, Vm
from guard.mechanics.connection import is_live
from guard.mechanics.outlook import Outlook


def serves(estate: Estate, vm: Vm, sr: Sr) -> bool:
    """Whether the disks of a VM can be used on an SR: on the VM's own host while it runs, else on any live host."""
    hosts = estate.hosts_of_sr.get(sr.id, frozenset())
    if vm.power_state == "Running":
        return vm.container in hosts
    return any(is_live(estate.host_by_id.get(host)) for host in hosts)


def cut_off_disk(outlook: Outlook, vm_id: str) -> Vdi | None:
    """The first disk of a backup whose SR cannot be used for its VM; None where all can, as far as XO shows them."""
    vm, srs = outlook.estate.vm_by_id[vm_id], outlook.estate.sr_by_id
    for _, vdi in outlook.disks(vm_id):
        sr = srs.get(vdi.sr or "")
        if sr is not None and (sr.in_maintenance_mode is True or not serves(outlook.estate, vm, sr)):
            return vdi
    return None
