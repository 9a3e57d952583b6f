"""From findings to a verdict: what is held, until when, and why, in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo

from guard.decision.verdict import Action, Held, Verdict
from guard.finding import ClearedBy, Finding, Harm, Level, ScopeKind
from guard.units import format_time, plural

COVERED_BY_ANOTHER_RUN = frozenset({"JOB_RUNNING", "RUN_OVERLAP"})


def stands_in_the_way(finding: Finding, on_unknown: str) -> bool:
    """Whether a finding holds anything: a block does, an unknown only where the policy says so."""
    return finding.level is Level.BLOCK or (finding.level is Level.UNKNOWN and on_unknown != "start")


def new_holds(findings: Sequence[Finding], held: Mapping[str, object], on_unknown: str) -> tuple[Finding, ...]:
    """The findings whose VMs to hold next.

    Those about single VMs come first, all at once; then one about a shared thing (SR, repository) at a time, because
    each VM held gives its share back to the rest.
    """
    fresh = [one for one in findings if stands_in_the_way(one, on_unknown) and any(vm not in held for vm in one.holds)]
    single = tuple(one for one in fresh if one.scope.kind in (ScopeKind.VM, ScopeKind.VDI))
    return single or tuple(fresh[:1])


def hopeless(finding: Finding, deadline: datetime, on_unknown: str) -> bool:
    """Whether waiting is of no use and starting would do harm: then the VMs are refused, not deferred."""
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
    due: datetime,
    max_defer: timedelta,
    on_unknown: str,
    overlap: str,
    zone: tzinfo,
) -> Verdict:
    """The verdict of one due run. ``vms``: all VMs in question; ``held``: VM id -> the findings that hold it."""
    deadline = due + max_defer
    whole = [one for one in findings if not one.holds and stands_in_the_way(one, on_unknown)]
    if whole:
        held = {vm: (*held.get(vm, ()), *whole) for vm in vms}
    start = tuple(vm for vm in vms if vm not in held)
    records = tuple(
        Held(
            vm=vm,
            name=names.get(vm, vm),
            codes=tuple(dict.fromkeys(one.code for one in reasons)),
            deadline=None if any(hopeless(one, deadline, on_unknown) for one in reasons) else deadline,
        )
        for vm, reasons in held.items()
    )
    blocking = whole or list({id(one): one for reasons in held.values() for one in reasons}.values())
    action = _action(whole, start, records, blocking, deadline, on_unknown, overlap)
    return Verdict(
        action=action,
        sentence=_sentence(action, whole, blocking, start, records, findings, vms),
        clears=_clears(action, blocking, [one for one in records if one.deadline is None], deadline, zone),
        start_vms=() if action not in (Action.START, Action.START_SOME) else start,
        held=records,
        findings=tuple(findings),
        unknown=any(one.level is Level.UNKNOWN for one in findings),
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
) -> str:
    if action is Action.START:
        told = sum(1 for one in findings if one.level is Level.WARN)
        unsure = sum(1 for one in findings if one.level is Level.UNKNOWN)
        notes = [plural(told, "warning")] * bool(told) + [plural(unsure, "unknown")] * bool(unsure)
        return f"{plural(len(vms), 'VM')}, nothing stands in the way" + (f"; {', '.join(notes)}." if notes else ".")
    if whole:
        return whole[0].summary
    codes = ", ".join(dict.fromkeys(one.code for one in blocking))
    who = ", ".join(one.name for one in held[:3]) + (f" and {len(held) - 3} more" if len(held) > 3 else "")
    if action is Action.START_SOME:
        return f"{len(held)} of {plural(len(held) + len(start), 'VM')} held ({who}): {codes}."
    return f"No VM is left to start; held are {who}: {codes}."


def _clears(
    action: Action, blocking: Sequence[Finding], refused: Sequence[Held], deadline: datetime, zone: tzinfo
) -> str:
    if action is Action.START or not blocking:
        return ""
    if action is Action.SKIP:
        return "The other run covers this due time; nothing is lost."
    first = blocking[0]
    eta = f", expected {format_time(first.clears.eta, zone)}" if first.clears.eta is not None else ""
    how = {
        ClearedBy.TIME: f"Clears by itself{eta}",
        ClearedBy.REMEDY: f"Clears with the remedy{eta}",
        ClearedBy.PERSON: "Clears when a person acts",
    }[first.clears.by]
    if action is Action.REFUSE:
        return f"{how}; starting it as it is would do harm ({first.harm.value})."
    if refused:
        return (
            f"{how}; {plural(len(refused), 'VM')} will not be started before, that would do harm ({first.harm.value})."
        )
    return f"{how}; the wait ends at {format_time(deadline, zone)}."
