"""SR headroom: do the snapshots of this run fit, beside those of other runs (failure-modes.md 3.3)?"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import timedelta

import msgspec

from guard.checks.check import Check
from guard.checks.fewer_at_once import FITS, at_once, concurrency_that_fits
from guard.checks.options import SrSpaceOptions
from guard.checks.sr_figures import SR_NO_SPACE, free_bytes, harm_of, provisioning_of
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.estate.xo_records import Sr
from guard.finding import Certainty, ClearedBy, Clears, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import ExpectedRun, Outlook, is_nobak, repository_ids, target_sr_ids
from guard.mechanics.snapshot_space import LVM_TYPES, Need, Total, disk_need, total
from guard.units import format_bytes, plural


def evaluate(view: View, options: SrSpaceOptions) -> list[Finding]:
    """Per SR: VMs that cannot fit, the sum that does not, or figures that cannot be had; then the page's own rules."""
    findings: list[Finding] = []
    mine = set(view.vms)
    for sr_id, all_vms in sorted(_needs(view.outlook, view.run).items()):
        by_vm = {vm: needs for vm, needs in all_vms.items() if vm in mine}
        if not by_vm:
            continue
        sr = view.estate.sr_by_id.get(sr_id)
        free = free_bytes(sr)
        if sr is None or free is None:
            what = "its free space" if sr_id else "what the snapshot of a disk needs that XO does not show"
            findings.append(_unknown(view, sr_id, sr.name_label if sr else sr_id or "SR", tuple(by_vm), what))
            continue
        findings += _space(view, options, sr, free, by_vm)
        findings += _page_rules(view, options, sr, free, tuple(by_vm))
    return findings


def _needs(outlook: Outlook, run: ExpectedRun) -> Mapping[str, Mapping[str, list[Need | None]]]:
    """SR id -> VM id -> the needs of that VM's disks there, for all the VMs a run takes."""
    if run.schedule.id not in outlook.snapshot_needs:  # asked again by every run that overlaps this one
        found: dict[str, dict[str, list[Need | None]]] = {}
        for vm_id in run.selection.ids:
            for sr_id, need in _needs_of(outlook, run, vm_id):
                found.setdefault(sr_id, {}).setdefault(vm_id, []).append(need)
        outlook.snapshot_needs[run.schedule.id] = found
    return outlook.snapshot_needs[run.schedule.id]


def _needs_of(outlook: Outlook, run: ExpectedRun, vm_id: str) -> tuple[tuple[str, Need | None], ...]:
    vm = outlook.estate.vm_by_id.get(vm_id)
    if vm is None or not outlook.takes_snapshot(run, vm):
        return ()
    drives = [(vbd, vdi) for vbd, vdi in outlook.drives(vm_id) if vdi is None or not is_nobak(vdi)]
    whole = sum(vdi.size for _, vdi in drives if vdi is not None and isinstance(vdi.size, int)) or 1
    sent = _written(outlook, run, vm_id)
    found: list[tuple[str, Need | None]] = []
    for vbd, vdi in drives:
        sr = outlook.estate.sr_by_id.get(vdi.sr or "") if vdi is not None else None
        need = None
        if vdi is not None and sr is not None and isinstance(vdi.size, int):
            # shared among the VM's disks by size: the logs tell bytes per VM only
            need = disk_need(
                sr_type=sr.sr_type,
                size=vdi.size,
                usage=vdi.usage if isinstance(vdi.usage, int) else None,
                image_format=vdi.image_format or "vhd",
                provisioning=provisioning_of(sr),
                attached=vbd.attached is True,
                written=None if sent is None else min(vdi.size, round(sent * vdi.size / whole)),
                cbt=vdi.cbt_enabled is True,
            )
        found.append((vdi.sr or "" if vdi is not None else "", need))
    return tuple(found)


def _written(outlook: Outlook, run: ExpectedRun, vm_id: str) -> int | None:
    """Bytes in the VM's leaves since their last snapshot, by what past transfers sent; None where none tells.

    A compressed full says nothing of the disk; neither does the volume's size on a thick SR.
    """
    for target in (*repository_ids(run.job), *target_sr_ids(run.job)):
        told = outlook.bytes_of(run, vm_id, target)
        if told.samples and not (told.full and run.job.mode == "full" and run.job.compression):
            return told.high
    return None


def _others(view: View, sr_id: str) -> tuple[int, list[str]]:
    """Bytes the snapshots of other runs hold on this SR at the same time, at least, and the names of their jobs.

    A job keeps one snapshot of a VM, however often it runs meanwhile (failure-modes.md 8.2).
    """
    start, end = view.run.due.at, view.run.ends or view.run.due.at + timedelta(hours=1)
    mine = set(view.vms)
    by_job: dict[tuple[str, str], list[Need]] = {}
    names: dict[str, str] = {}
    for other in view.outlook.around(start, end):
        if other.job.id == view.run.job.id or (other.ends or other.due.at) < start:
            continue
        by_vm = _needs(view.outlook, other).get(sr_id, {})
        for vm, needs in by_vm.items():
            if vm in mine:
                continue
            by_job[other.job.id, vm] = [need for need in needs if need is not None]
            names[other.job.id] = other.job.name
    whole = total(need for needs in by_job.values() for need in needs)
    return (whole.known, list(names.values())) if names else (0, [])


def _space(
    view: View, options: SrSpaceOptions, sr: Sr, free: int, by_vm: dict[str, list[Need | None]]
) -> list[Finding]:
    unknown = tuple(vm for vm, needs in by_vm.items() if None in needs)
    known = {vm: [need for need in needs if need is not None] for vm, needs in by_vm.items() if None not in needs}
    findings = (
        [_unknown(view, sr.id, sr.name_label, unknown, f"what a snapshot needs on a {sr.sr_type} SR")]
        if unknown
        else []
    )
    alone = {vm: total(needs) for vm, needs in known.items()}
    certain = tuple(vm for vm, need in alone.items() if need.lower > free)
    if certain:
        need = total(need for vm in certain for need in known[vm])
        who = view.vm_name(certain[0]) if len(certain) == 1 else plural(len(certain), "VM")
        sure = _sure(need for vm in certain for need in known[vm])
        findings.append(_finding(view, sr, free, certain, need, sure, who=who))
        known = {vm: needs for vm, needs in known.items() if vm not in certain}
    if not known:
        return findings
    whole = total(need for needs in known.values() for need in needs)
    others, names = _others(view, sr.id)
    left = free - others
    if whole.upper <= left:
        return findings
    if whole.known > left:
        too_many = _drop_until_fits(alone, known, left)
        every = (need for needs in known.values() for need in needs)
        sure = _sure(every) if whole.lower > free else Certainty.LIKELY
        told = _finding(view, sr, free, too_many, whole, sure, others=others, names=names)
        # what cannot be told, and other runs that take and give back there at that time, leave nothing to count on
        fits = None if unknown or names else concurrency_that_fits(view, options, sr, known, left)
        findings.append(told if fits is None else _with_fewer(view, told, fits))
    elif whole.expected is None:
        guess = [vm for vm in known if alone[vm].expected is None]
        findings.append(
            _unknown(
                view,
                sr.id,
                sr.name_label,
                tuple(guess),
                f"how much was written since the last snapshot (between {format_bytes(whole.known)} and "
                f"{format_bytes(whole.upper)} needed, {format_bytes(left)} free)",
            )
        )
    return findings


def _sure(needs: Iterable[Need]) -> Certainty:
    """How sure it is that SM refuses what is below the lower bound."""
    return Certainty.CERTAIN if all(need.proven for need in needs) else Certainty.LIKELY


def _drop_until_fits(alone: dict[str, Total], known: dict[str, list[Need]], left: int) -> tuple[str, ...]:
    """The VMs to hold, largest need first, until the rest fits."""
    largest_first = sorted(known, key=lambda one: (-alone[one].known, one))

    def fits_without(count: int) -> bool:
        held = set(largest_first[:count])
        return total(need for vm, needs in known.items() if vm not in held for need in needs).known <= left

    return tuple(largest_first[: bisect_left(range(len(largest_first)), x=True, key=fits_without)])


def _finding(
    view: View,
    sr: Sr,
    free: int,
    held: tuple[str, ...],
    need: Total,
    certainty: Certainty,
    *,
    who: str = "this run",
    others: int = 0,
    names: Iterable[str] = (),
) -> Finding:
    beside = (
        f"; {format_bytes(others)} go to other runs at that time ({', '.join(sorted(set(names))[:3])})"
        if others
        else ""
    )
    return Finding(
        code=SR_NO_SPACE.id,
        check="sr_space",
        level=Level.BLOCK,
        certainty=certainty,
        harm=harm_of(sr),
        scope=Scope(ScopeKind.SR, sr.id, sr.name_label),
        holds=held,
        summary=f"{sr.name_label}: {format_bytes(free)} free, the snapshots of {who} need {format_bytes(need.known)} "
        f"(at most {format_bytes(need.upper)}){beside}; {plural(len(held), 'VM')} held.",
        facts=(
            view.fact("free", free, "bytes", PartName.SRS),
            view.fact("need_at_least", need.lower, "bytes", PartName.VDIS),
            view.fact("need_expected", need.expected, "bytes", PartName.LOGS),
            view.fact("need_at_most", need.upper, "bytes", PartName.VDIS),
            view.fact("other_runs", others, "bytes", PartName.VDIS),
        ),
        remedy=f"Free at least {format_bytes(max(0, need.known + others - free))} on {sr.name_label}, or rescan it so that "
        "pending coalesces give space back.",
        clears=Clears(ClearedBy.TIME if others else ClearedBy.PERSON),
    )


def _with_fewer(view: View, finding: Finding, fits: int) -> Finding:
    """The same, with how many VMs at once would fit: [remedies] lower_concurrency may make use of it (guard/decision)."""
    usual = at_once(view.run)
    advice = f" With a concurrency of {fits} in place of {usual} they fit." if fits < usual else ""
    return msgspec.structs.replace(
        finding,
        facts=(*finding.facts, view.fact(FITS, fits, "VMs at once", PartName.LOGS)),
        remedy=f"{finding.remedy}{advice}",
    )


def _unknown(view: View, sr_id: str, name: str, vms: tuple[str, ...], what: str) -> Finding:
    return Finding(
        code=SR_NO_SPACE.id,
        check="sr_space",
        level=Level.UNKNOWN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.SR, sr_id, name),
        holds=vms,
        summary=f"{name}: {what} cannot be told for {plural(len(vms), 'VM')}.",
        facts=(view.fact("vms", len(vms), "VMs", PartName.SRS),),
        remedy="Nothing to do if the SR has ample room; finished runs of this schedule will tell.",
        clears=Clears(ClearedBy.TIME),
    )


def _page_rules(view: View, options: SrSpaceOptions, sr: Sr, free: int, vms: tuple[str, ...]) -> list[Finding]:
    size = sr.size if isinstance(sr.size, int) else 0
    share = 100 * free / size if size else 0.0
    thick = sr.sr_type in LVM_TYPES
    rules = []
    if share < options.warn_free_percent:
        rules.append((f"less than {options.warn_free_percent:g} % free", "warn_free", options.warn_free_percent))
    if thick and 100 - share > options.warn_thick_used_percent:
        rules.append(
            (
                f"a thick SR more than {options.warn_thick_used_percent:g} % used",
                "warn_used",
                options.warn_thick_used_percent,
            )
        )
    if not rules:
        return []
    return [
        Finding(
            code=SR_NO_SPACE.id,
            check="sr_space",
            level=Level.WARN,
            certainty=Certainty.TREND,
            harm=Harm.NONE,
            scope=Scope(ScopeKind.SR, sr.id, sr.name_label),
            holds=vms,
            summary=f"{sr.name_label}: {share:.0f} % free ({format_bytes(free)} of {format_bytes(size)}); the "
            f"troubleshooting page warns of {' and of '.join(text for text, _, _ in rules)}.",
            facts=(
                view.fact("free", free, "bytes", PartName.SRS),
                view.fact("free_share", round(share, 1), "%", PartName.SRS),
                *(policy_fact(name, value, "%") for _, name, value in rules),
            ),
            remedy="Free space or spread the load before a coalesce or a first full snapshot runs out of room.",
            clears=Clears(ClearedBy.PERSON),
        )
    ]


CHECK = Check(
    name="sr_space",
    title="SR headroom",
    codes=(SR_NO_SPACE,),
    needs={part: timedelta(minutes=10) for part in (PartName.SRS, PartName.VMS, PartName.VBDS, PartName.VDIS)},
    options=SrSpaceOptions,
    evaluate=evaluate,
)
