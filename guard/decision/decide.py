"""From findings to a verdict: what is held, until when, and why, in one sentence. Pure.

A run without settings of its job (SETTINGS_MISSING) is refused at once with that as its reason: XO itself would crash at the
start, and time does not help. What starting would harm is refused too, where only a person or a time beyond the deadline
clears it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo

from guard.decision.concurrency import Fewer
from guard.decision.verdict import Action, Held, Verdict
from guard.finding import ClearedBy, Finding, Harm, Level, ScopeKind
from guard.units import format_time, plural, some_of

XO_WOULD_CRASH = frozenset({"SETTINGS_MISSING"})
COVERED_BY_ANOTHER_RUN = frozenset({"JOB_RUNNING", "RUN_OVERLAP"})


def stands_in_the_way(finding: Finding, on_unknown: str) -> bool:
    """Whether a finding holds anything: a block does, an unknown only where the policy says so."""
    return finding.level is Level.BLOCK or (finding.level is Level.UNKNOWN and on_unknown != "start")


def holding_whole(findings: Sequence[Finding], on_unknown: str) -> tuple[Finding, ...]:
    """The findings that hold the whole run, that with which XO would crash first."""
    whole = (one for one in findings if not one.holds and stands_in_the_way(one, on_unknown))
    return tuple(sorted(whole, key=lambda one: not crashes(one)))


def crashes(finding: Finding) -> bool:
    """Whether XO itself would crash at the start, so that no time and no deadline makes it worth trying."""
    return finding.code in XO_WOULD_CRASH and finding.level is Level.BLOCK


def worst_harm(findings: Iterable[Finding]) -> Harm:
    """The worst that starting against these findings would do; unknown facts count as none."""
    blocking = (one.harm for one in findings if one.level is Level.BLOCK and one.harm is not Harm.NONE)
    return next(blocking, Harm.NONE)


def new_holds(findings: Sequence[Finding], held: Mapping[str, object], on_unknown: str) -> tuple[Finding, ...]:
    """The findings whose VMs to hold next.

    Those about single VMs come first, all at once; then one about a shared thing (SR, repository) at a time, because
    each VM held gives its share back to the rest.
    """
    fresh = [one for one in findings if stands_in_the_way(one, on_unknown) and any(vm not in held for vm in one.holds)]
    single = tuple(one for one in fresh if one.scope.kind in (ScopeKind.VM, ScopeKind.VDI))
    return single or tuple(fresh[:1])


def hopeless(finding: Finding, deadline: datetime, on_unknown: str) -> bool:
    """Whether waiting is of no use and starting would do harm, or crash: then the VMs are refused, not deferred."""
    if crashes(finding):
        return True
    if finding.level is Level.UNKNOWN:
        return on_unknown == "refuse"
    if finding.harm is Harm.NONE:
        return False
    eta = finding.clears.eta
    return finding.clears.by is ClearedBy.PERSON or (eta is not None and eta > deadline)


def decide(
    *,
    vms: Sequence[str],
    names: Mapping[str, str],
    findings: Sequence[Finding],
    held: Mapping[str, tuple[Finding, ...]],
    deadlines: Mapping[str, datetime],
    deadline: datetime,
    on_unknown: str,
    overlap: str,
    zone: tzinfo,
    fewer: Fewer | None = None,
) -> Verdict:
    """The verdict of one due run. ``vms``: all VMs in question; ``held``: VM id -> the findings that hold it.

    ``deadline``: until when the run may wait as a whole; ``deadlines``: VM id -> its own, where that is another one.
    ``fewer``: how many VMs may be backed up at once, where that was lowered.
    """
    whole = holding_whole(findings, on_unknown)
    if whole:
        held = {vm: (*held.get(vm, ()), *whole) for vm in vms}
    ends = {vm: deadlines.get(vm, deadline) for vm in held}
    start = tuple(vm for vm in vms if vm not in held)
    records = tuple(
        Held(
            vm=vm,
            name=names.get(vm, vm),
            codes=tuple(dict.fromkeys(one.code for one in reasons)),
            deadline=None if any(hopeless(one, ends[vm], on_unknown) for one in reasons) else ends[vm],
            harm=worst_harm(reasons),
        )
        for vm, reasons in held.items()
    )
    blocking = whole or list({id(one): one for reasons in held.values() for one in reasons}.values())
    action = _action(whole, start, records, blocking, deadline, on_unknown, overlap)
    return Verdict(
        action=action,
        sentence=_sentence(
            action, whole, blocking, start, records, findings, vms, fewer.told if fewer is not None else ""
        ),
        clears=_clears(action, blocking, records, deadline, zone),
        start_vms=() if action not in (Action.START, Action.START_SOME) else start,
        held=records,
        findings=tuple(findings),
        unknown=any(one.level is Level.UNKNOWN for one in findings),
        deadline=deadline,
        harm=worst_harm(blocking),
        settings=fewer.settings if fewer is not None else {},
    )


def _action(
    whole: Sequence[Finding],
    start: Sequence[str],
    held: Sequence[Held],
    blocking: Sequence[Finding],
    deadline: datetime,
    on_unknown: str,
    overlap: str,
) -> Action:
    if any(map(crashes, whole)):
        return Action.REFUSE
    if any(one.code in COVERED_BY_ANOTHER_RUN for one in whole) and overlap == "skip":
        return Action.SKIP
    if whole:
        return Action.REFUSE if any(hopeless(one, deadline, on_unknown) for one in blocking) else Action.DEFER
    if not held:
        return Action.START
    if start:
        return Action.START_SOME
    return Action.DEFER if any(one.deadline is not None for one in held) else Action.REFUSE


def _sentence(
    action: Action,
    whole: Sequence[Finding],
    blocking: Sequence[Finding],
    start: Sequence[str],
    held: Sequence[Held],
    findings: Sequence[Finding],
    vms: Sequence[str],
    fewer: str,
) -> str:
    if action is Action.START:
        told = sum(1 for one in findings if one.level is Level.WARN)
        unsure = sum(1 for one in findings if one.level is Level.UNKNOWN)
        notes = [plural(told, "warning")] * bool(told) + [plural(unsure, "unknown")] * bool(unsure)
        does = f" start {fewer}" if fewer else ", nothing stands in the way"
        return f"{plural(len(vms), 'VM')}{does}" + (f"; {', '.join(notes)}." if notes else ".")
    if whole:
        return whole[0].summary
    codes = ", ".join(dict.fromkeys(one.code for one in blocking))
    who = some_of(one.name for one in held)
    if action is Action.START_SOME:
        rest = f" The others start {fewer}." if fewer else ""
        return f"{len(held)} of {plural(len(held) + len(start), 'VM')} held ({who}): {codes}.{rest}"
    return f"No VM is left to start; held are {who}: {codes}."


def _clears(action: Action, blocking: Sequence[Finding], held: Sequence[Held], deadline: datetime, zone: tzinfo) -> str:
    if action is Action.START or not blocking:
        return ""
    if action is Action.SKIP:
        return "The other run covers this due time; nothing is lost."
    first = blocking[0]
    refused = [one for one in held if one.deadline is None]
    eta = f", expected {format_time(first.clears.eta, zone)}" if first.clears.eta is not None else ""
    how = {
        ClearedBy.TIME: f"Clears by itself{eta}",
        ClearedBy.REMEDY: f"Clears with the remedy{eta}",
        ClearedBy.PERSON: "Clears when a person acts",
    }[first.clears.by]
    if crashes(first):
        return f"{how}; XO would crash at the start as it is."
    if action is Action.REFUSE:
        return f"{how}; starting it as it is would do harm ({first.harm.value})."
    if refused:
        return (
            f"{how}; {plural(len(refused), 'VM')} will not be started before, that would do harm ({first.harm.value})."
        )
    ends = sorted({one.deadline for one in held if one.deadline is not None}) or [deadline]
    if len(ends) > 1:
        return f"{how}; the waits end from {format_time(ends[0], zone)} to {format_time(ends[-1], zone)}."
    return f"{how}; the wait ends at {format_time(ends[0], zone)}."
