"""Which VMs a job takes, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable

from guard.estate.estate import Estate
from guard.estate.xo_records import Job
from guard.mechanics.selection import Selector, left_out_because
from guard.units import plural
from guard.views.text import wrap


def match_text(estate: Estate, job: Job) -> str:
    """Taken VMs first, then every other VM with the first rule that left it out."""
    selection = Selector(estate).select(job)
    taken = dict.fromkeys(selection.ids)  # an id may be listed twice
    lines = wrap(f"Job {job.name} takes {plural(len(taken), 'VM')}:", "  ", first="")
    entries = [f"{estate.vm_by_id[vm].name}  ({vm})" for vm in taken]
    entries += [f"{vm}: listed, but XO does not show it" for vm in dict.fromkeys(selection.unknown)]
    if selection.error:
        entries.append(f"none: {selection.error}")
    lines += _listed(entries)
    others = [vm for vm in estate.vms if vm.id not in taken]
    if others and not selection.error:
        lines.append(f"It leaves out {plural(len(others), 'VM')}:")
        lines += _listed(
            f"{vm.name}: {left_out_because(job, vm, estate.vm_properties.get(vm.id, {}))}" for vm in others
        )
    return "\n".join(lines) + "\n"


def _listed(entries: Iterable[str]) -> list[str]:
    return [line for entry in entries for line in wrap(entry, "      ", first="  ")]
