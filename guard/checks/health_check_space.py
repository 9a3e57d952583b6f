"""Room on the SR of the health checks: XO restores each VM there as a whole (failure-modes.md 4.4)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import HealthCheckSpaceOptions
from guard.checks.sr_figures import SR_NO_SPACE, free_bytes, harm_of, provisioning_of
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Sr
from guard.finding import Certainty, ClearedBy, Clears, Finding, Level, Scope, ScopeKind
from guard.mechanics.copy_space import new_disk, summed
from guard.mechanics.outlook import repository_ids, target_sr_ids
from guard.mechanics.snapshot_space import Need
from guard.units import format_bytes, plural, some_of

_OPTED_OUT = "xo:no-health-check"


def evaluate(view: View, options: HealthCheckSpaceOptions) -> list[Finding]:
    """VMs whose restored copy does not fit alone, else those that do not fit side by side; never more than a warning.

    The backup itself is written by then. A replica on that very SR is cloned there, which takes next to nothing; an unknown
    size, driver or free space is not told.
    """
    del options
    sr = view.estate.sr_by_id.get(view.run.settings.health_check_sr or "")
    free = free_bytes(sr)
    job = view.run.job
    restored = repository_ids(job) or [one for one in target_sr_ids(job) if sr is not None and one != sr.id]
    if sr is None or free is None or not restored:
        return []
    needs = {vm: need for vm in view.vms if _is_checked(view, vm) and (need := _need(view, sr, vm)) is not None}
    alone = {vm: need for vm, need in needs.items() if _known(need) > free}
    if alone:
        sure = all(need.lower > free for need in alone.values())
        largest = max(alone.values(), key=_known)
        return [_finding(view, sr, free, tuple(alone), largest, 1, Certainty.CERTAIN if sure else Certainty.LIKELY)]
    at_once = sorted(needs, key=lambda vm: (-_known(needs[vm]), vm))[: view.run.settings.concurrency or None]
    together = summed(needs[vm] for vm in at_once)
    if _known(together) > free:
        return [_finding(view, sr, free, tuple(at_once), together, len(at_once), Certainty.TREND)]
    return []


def _known(need: Need) -> int:
    return need.lower if need.expected is None else need.expected


def _is_checked(view: View, vm_id: str) -> bool:
    """Every VM but those with the tag; where the schedule names tags, only those that have one of them."""
    tags = view.estate.vm_by_id[vm_id].tags or ()
    wanted = view.outlook.settings_of(view.run, vm_id).health_check_vms_with_tags
    opted_out = any(tag.startswith(_OPTED_OUT) for tag in tags)
    return not opted_out and (not wanted or not set(wanted).isdisjoint(tags))


def _need(view: View, sr: Sr, vm_id: str) -> Need | None:
    """Whole disks, empty as far as guard knows: how full they are only counts on a thin SR, and there nothing tells."""
    found = []
    for _, vdi in view.outlook.disks(vm_id):
        need = (
            new_disk(
                sr_type=sr.sr_type, provisioning=provisioning_of(sr), size=vdi.size, data=_held(view, vm_id, vdi.size)
            )
            if isinstance(vdi.size, int)
            else None
        )
        if need is None:
            return None
        found.append(need)
    return summed(found)


def _held(view: View, vm_id: str, size: int) -> int | None:
    """Bytes of a disk by its share in what the VM's disks hold at most; None where a disk's size is not known."""
    run, job = view.run, view.run.job
    most = view.outlook.bytes_of(run, vm_id, *(repository_ids(job) or target_sr_ids(job))).most
    whole = sum(vdi.size for _, vdi in view.outlook.disks(vm_id) if isinstance(vdi.size, int)) or 1
    return None if most is None else round(most * size / whole)


def _finding(
    view: View, sr: Sr, free: int, vms: tuple[str, ...], need: Need, at_once: int, certainty: Certainty
) -> Finding:
    who = some_of(map(view.vm_name, vms))
    copies = "the largest" if at_once == 1 else f"{at_once} at once"
    return Finding(
        code=SR_NO_SPACE.id,
        check="health_check_space",
        level=Level.WARN,
        certainty=certainty,
        harm=harm_of(sr),
        scope=Scope(ScopeKind.SR, sr.id, sr.name_label),
        holds=vms,
        summary=f"{sr.name_label}, where schedule {view.run.schedule.name} checks its backups: {format_bytes(free)} free, the "
        f"restored disks of {plural(len(vms), 'VM')} ({who}) need {format_bytes(_known(need))} ({copies}); XO would count "
        "the VM as failed although its backup is there.",
        facts=(
            view.fact("free", free, "bytes", PartName.SRS),
            view.fact("need_at_least", need.lower, "bytes", PartName.VDIS),
            view.fact("need_expected", need.expected, "bytes", PartName.VDIS),
        ),
        remedy=f"Free space on {sr.name_label}, choose another SR for the health check, or give large VMs the tag {_OPTED_OUT}.",
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="health_check_space",
    title="Room for health checks",
    codes=(SR_NO_SPACE,),
    needs={part: timedelta(minutes=10) for part in (PartName.SRS, PartName.VMS, PartName.VBDS, PartName.VDIS)},
    options=HealthCheckSpaceOptions,
    evaluate=evaluate,
)
