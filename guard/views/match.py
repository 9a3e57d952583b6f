"""Which VMs a job takes, and why not the others."""

from __future__ import annotations

from guard.estate.estate import Estate
from guard.estate.xo_records import Job
from guard.mechanics.selection import Selector, left_out_because
from guard.units import plural
from guard.views.text import clean


def match_text(estate: Estate, job: Job) -> str:
    """Taken VMs first, then every other VM with the first rule that left it out."""
    selection = Selector(estate).select(job)
    taken = set(selection.ids)
    lines = [f"Job {job.name} takes {plural(len(taken), 'VM')}:"]
    lines += [f"  {estate.vm_by_id[vm].name}  ({vm})" for vm in selection.ids]
    lines += [f"  {vm}: listed, but XO does not show it" for vm in selection.unknown]
    if selection.error:
        lines.append(f"  none: {selection.error}")
    others = [vm for vm in estate.vms if vm.id not in taken]
    if others and not selection.error:
        lines.append(f"It leaves out {plural(len(others), 'VM')}:")
        lines += [f"  {vm.name}: {left_out_because(job, vm, estate.vm_properties.get(vm.id, {}))}" for vm in others]
    return "\n".join(map(clean, lines)) + "\n"
