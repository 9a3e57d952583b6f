"""Room on the target SRs of a replication (failure-modes.md 3.3, 4.4, 8.2)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import TargetSpaceOptions
from guard.checks.sr_figures import SR_NO_SPACE, free_bytes, harm_of, provisioning_of
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Sr, Vdi
from guard.finding import Certainty, ClearedBy, Clears, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.copy_space import first_replica, new_disk, next_replica, summed
from guard.mechanics.outlook import repository_ids, target_sr_ids
from guard.mechanics.retention import newest_bases
from guard.mechanics.settings import effective
from guard.mechanics.snapshot_space import Need
from guard.units import format_bytes, plural, some_of


@dataclass(frozen=True)
class _Copy:
    """One VM's copy on one SR, bytes. ``freed``: what XO deletes of its older copies there; ``first``: before it copies."""

    need: Need
    freed: int = 0
    first: bool = False

    @property
    def known(self) -> int:
        return self.need.lower if self.need.expected is None else self.need.expected


def evaluate(view: View, options: TargetSpaceOptions) -> list[Finding]:
    """Per target SR: copies that cannot fit, the sum that does not, or figures that cannot be had.

    A distributed replication sends each VM to one of several SRs, whichever has room: nothing is said of those.
    """
    del options
    job, settings = view.run.job, view.run.settings
    targets = target_sr_ids(job)
    if settings.distribute_replications and len(targets) > 1:
        return []
    stored = bool(repository_ids(job)) and bool(settings.export_retention or settings.long_term_retention)
    findings: list[Finding] = []
    for sr_id in targets:
        sr = view.estate.sr_by_id.get(sr_id)
        if sr is not None and view.vms and effective(job, view.run.schedule.id, "", sr_id).copy_retention:
            findings += _on(view, sr, sole=len(targets) == 1 and not stored)
    return findings


def _on(view: View, sr: Sr, *, sole: bool) -> list[Finding]:
    copies = {vm: _copy(view, sr, vm) for vm in view.vms}
    unknown = [vm for vm, copy in copies.items() if copy is None]
    free = free_bytes(sr)
    if free is None or unknown:
        what = "its free space" if free is None else "what a copy needs there"
        return [_unknown(view, sr, tuple(unknown or copies), what, sole=sole)]
    return _judged(view, sr, free, {vm: copy for vm, copy in copies.items() if copy is not None}, sole=sole)


def _copy(view: View, sr: Sr, vm_id: str) -> _Copy | None:
    """None where a disk has no size, or the SR's driver no known rule."""
    drives = view.outlook.drives(vm_id)
    disks = [vdi for _, vdi in view.outlook.disks(vm_id)]
    if any(vdi is None for _, vdi in drives):
        return None
    sent = view.outlook.bytes_of(view.run, vm_id, sr.id)
    whole = sum(vdi.size for vdi in disks if isinstance(vdi.size, int)) or 1
    compressed = view.run.job.mode == "full" and bool(view.run.job.compression)
    data = None if sent.high is None or compressed else sent.high
    needs = []
    for vdi in disks:
        share = None if data is None or not isinstance(vdi.size, int) else round(data * vdi.size / whole)
        need = _disk(view, sr, vm_id, vdi, share)
        if need is None:
            return None
        needs.append(need)
    freed, first = _freed(view, sr, vm_id)
    return _Copy(summed(needs), freed, first)


def _disk(view: View, sr: Sr, vm_id: str, vdi: Vdi, data: int | None) -> Need | None:
    if not isinstance(vdi.size, int):
        return None
    way: Callable[..., Need | None] = new_disk
    job, sure = view.run.job, True
    if job.mode != "full":
        bases = newest_bases(job, vm_id, view.estate.snapshots_of_vdi.get(vdi.id, ()))
        there = not bases.isdisjoint(view.estate.copied_to.get(sr.id, frozenset()))
        way = next_replica if there else first_replica
        # a base that was sent there before, and of which XO shows no copy, may be one that XO still finds
        sure = there or not bases or not view.outlook.history.transfers_to(job.id, vm_id, [sr.id])
    need = way(sr_type=sr.sr_type, provisioning=provisioning_of(sr), size=vdi.size, data=data)
    if need is None or sure:
        return need
    return Need(lower=0, expected=need.expected, upper=need.upper, transient=need.transient)


def _freed(view: View, sr: Sr, vm_id: str) -> tuple[int, bool]:
    """What a full replication deletes of the VM's older copies on an SR, and whether it does so first.

    An incremental one merges its old snapshots, which gives nothing back during the run; its deleteFirst does not count.
    """
    job, schedule = view.run.job, view.run.schedule.id
    if job.mode != "full":
        return 0, False
    settings = effective(job, schedule, vm_id, sr.id)
    old = view.estate.replicas.get((job.id, schedule, vm_id, sr.id), ())
    gone = old[: max(0, len(old) - settings.copy_retention + 1)]
    disks = [vdi for vm in gone for _, vdi in view.outlook.drives(vm) if vdi is not None and vdi.sr == sr.id]
    return sum(vdi.usage for vdi in disks if isinstance(vdi.usage, int)), settings.delete_first


def _judged(view: View, sr: Sr, free: int, copies: Mapping[str, _Copy], *, sole: bool) -> list[Finding]:
    findings: list[Finding] = []
    given_back = sum(copy.freed for copy in copies.values())
    never = [vm for vm, copy in copies.items() if copy.need.lower > free + given_back]
    if never:
        findings.append(_finding(view, sr, free, never, [copies[vm] for vm in never], certain=True, sole=sole))
    rest = {vm: copy for vm, copy in copies.items() if vm not in never}
    needs = list(rest.values())
    concurrency = view.run.settings.concurrency
    if _peak(needs, concurrency) > free:
        largest = sorted(rest, key=lambda one: (-rest[one].known, one))

        def fits_without(count: int) -> bool:
            return _peak([rest[vm] for vm in largest[count:]], concurrency) <= free

        held = largest[: bisect_left(range(len(largest)), x=True, key=fits_without)]
        certain = sum(copy.need.lower for copy in needs) > free + given_back
        findings.append(_finding(view, sr, free, held, needs, certain=certain, sole=sole))
    elif any(copy.need.expected is None for copy in needs) and sum(copy.need.upper for copy in needs) > free:
        guessed = tuple(vm for vm, copy in rest.items() if copy.need.expected is None)
        most = format_bytes(sum(copy.need.upper for copy in needs))
        what = f"how many bytes this run sends there (at most {most} needed, {format_bytes(free)} free)"
        findings.append(_unknown(view, sr, guessed, what, sole=sole))
    return findings


def _peak(copies: Sequence[_Copy], concurrency: int) -> int:
    """Bytes in use at most: what stays of each copy, and the old copies of those at work, which go only afterwards."""
    later = sorted((min(copy.known, copy.freed) for copy in copies if not copy.first), reverse=True)
    return sum(max(0, copy.known - copy.freed) for copy in copies) + sum(later[: concurrency or None])


def _finding(
    view: View, sr: Sr, free: int, held: list[str], copies: list[_Copy], *, certain: bool, sole: bool
) -> Finding:
    expected = sum(copy.known for copy in copies)
    harm = harm_of(sr)
    return Finding(
        code=SR_NO_SPACE.id,
        check="target_space",
        level=Level.BLOCK if certain and sole else Level.WARN,
        certainty=Certainty.CERTAIN if certain else Certainty.LIKELY,
        harm=harm,
        scope=Scope(ScopeKind.SR, sr.id, sr.name_label),
        holds=tuple(held),
        summary=f"{sr.name_label}, a target of job {view.run.job.name}: {format_bytes(free)} free, the copies of "
        f"{plural(len(copies), 'VM')} need {format_bytes(expected)}; {plural(len(held), 'VM')} "
        f"({some_of(map(view.vm_name, held))}) would miss that copy.",
        facts=(
            view.fact("free", free, "bytes", PartName.SRS),
            view.fact("need_at_least", sum(copy.need.lower for copy in copies), "bytes", PartName.VDIS),
            view.fact("need_expected", expected, "bytes", PartName.LOGS),
            view.fact("need_at_most", sum(copy.need.upper for copy in copies), "bytes", PartName.VDIS),
            view.fact("freed_by_retention", sum(copy.freed for copy in copies), "bytes", PartName.VDIS),
        ),
        remedy=f"Free space on {sr.name_label}, lower the copy retention there, or send some of the VMs to another SR.",
        clears=Clears(ClearedBy.PERSON),
    )


def _unknown(view: View, sr: Sr, vms: tuple[str, ...], what: str, *, sole: bool) -> Finding:
    return Finding(
        code=SR_NO_SPACE.id,
        check="target_space",
        level=Level.UNKNOWN if sole else Level.WARN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.SR, sr.id, sr.name_label),
        holds=vms,
        summary=f"{sr.name_label}, a target of job {view.run.job.name}: {what} cannot be told for {plural(len(vms), 'VM')}.",
        facts=(view.fact("vms", len(vms), "VMs", PartName.SRS),),
        remedy="Nothing to do if the SR has ample room; finished runs of this schedule will tell.",
        clears=Clears(ClearedBy.TIME),
    )


CHECK = Check(
    name="target_space",
    title="Room on target SRs",
    codes=(SR_NO_SPACE,),
    needs={
        part: timedelta(minutes=10)
        for part in (PartName.SRS, PartName.VMS, PartName.VBDS, PartName.VDIS, PartName.VDI_SNAPSHOTS)
    },
    options=TargetSpaceOptions,
    evaluate=evaluate,
)
