"""Of a verdict on VMs that are followed up: not before what failed them is gone, nor while their run may go on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from guard.decision.verdict import Action, Held, Verdict
from guard.estate.estate import Estate, PartName
from guard.finding import Certainty, ClearedBy, Clears, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.follow_up_causes import FollowedBy, followed_by
from guard.outcomes.codes import RUN_INTERRUPTED
from guard.units import plural, some_of

AT_BACKUP = "VM migration is blocked during backup"
"""What XO writes into a VM's blocked operations while it backs it up (xo-api.md 3.5)."""


def without_standing_causes(verdict: Verdict, run: DueRun, estate: Estate) -> Verdict:
    """The verdict, with those VMs held of which guard still sees the cause that failed them, if only as a warning.

    After an interrupted run all of them, as long as XO's mark of a backup is on any of its VMs: a worker that XO lost, or a
    proxy, may go on with it. The mark stays where a worker died; the next backup of the VM takes it away.
    """
    follow_up = run.follow_up
    if follow_up is None:
        return verdict
    causes = {one.vm: one.codes for one in follow_up.intent.vms}
    found = list(verdict.findings)
    if any(RUN_INTERRUPTED.id in codes for codes in causes.values()):
        marked = _marked(run, estate)
        found += [_goes_on(marked, tuple(causes), estate)] if marked else []
    held: dict[str, list[str]] = {}
    for finding in found:
        passes = followed_by((finding.code,), transferred=False) is FollowedBy.START
        if finding.level is Level.OK or not passes:
            continue
        for vm in finding.holds:
            if vm in verdict.start_vms and finding.code in causes.get(vm, ()):
                held.setdefault(vm, []).append(finding.code)
    if not held:
        return verdict
    return _held_back(msgspec.structs.replace(verdict, findings=tuple(found)), held, follow_up.intent.vms)


def _marked(run: DueRun, estate: Estate) -> list[str]:
    outcomes = [one.ended.outcome for one in run.attempts if one.ended is not None]
    taken = dict.fromkeys(vm for each in outcomes for vm in (*(one.vm.id for one in each.vms), *each.unattempted))
    return [vm for vm in taken if vm in estate.vm_by_id and _is_marked(estate, vm)]


def _is_marked(estate: Estate, vm: str) -> bool:
    return AT_BACKUP in (estate.vm_by_id[vm].blocked_operations or {}).values()


def _goes_on(marked: Sequence[str], holds: tuple[str, ...], estate: Estate) -> Finding:
    name = estate.vm_by_id[marked[0]].name
    return Finding(
        code=RUN_INTERRUPTED.id,
        check="follow_up",
        level=Level.BLOCK,
        certainty=Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, marked[0], name),
        holds=holds,
        summary=f"XO's mark of a backup is still on {plural(len(marked), 'VM')} of the interrupted run "
        f"({some_of(estate.vm_by_id[one].name for one in marked)}): it may go on somewhere.",
        facts=(
            Fact(
                name="blocked_operations",
                value=AT_BACKUP,
                unit="",
                source=estate.parts[PartName.VMS].source,
                observed_at=estate.parts[PartName.VMS].read_at,
            ),
        ),
        remedy="Look at Tasks in XO and on the pool whether an export of it still goes on. When nothing does, unblock migration "
        "on the VM (VM > Advanced).",
        clears=Clears(ClearedBy.TIME),
    )


def _held_back(verdict: Verdict, codes: dict[str, list[str]], vms: Iterable[Held]) -> Verdict:
    names = {one.vm: one.name for one in vms}
    start = tuple(vm for vm in verdict.start_vms if vm not in codes)
    held = tuple(
        Held(vm=vm, name=names[vm], codes=tuple(dict.fromkeys(why)), deadline=verdict.deadline)
        for vm, why in codes.items()
    )
    what = ", ".join(dict.fromkeys(code for why in codes.values() for code in why))
    return msgspec.structs.replace(
        verdict,
        action=Action.START_SOME if start else Action.DEFER,
        sentence=f"What failed {some_of(one.name for one in held)} is still seen: {what}.",
        clears="Clears by itself.",
        start_vms=start,
        held=(*verdict.held, *held),
    )
