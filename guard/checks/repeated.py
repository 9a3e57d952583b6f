"""Failures that came again and again, for the checks that only the past can warn: whose they are, when, and as facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.finding import Fact, Scope, ScopeKind
from guard.mechanics.past import PastFailure, Recent
from guard.mechanics.zones import zone_or_utc
from guard.units import format_time, plural, some_of

ENOUGH_VMS = 2
"""From so many VMs on, what they have in common is suspected rather than each of them."""


@dataclass(frozen=True)
class Repeated:
    """``holds``: ids of the VMs of this run among them. ``failures``: of all VMs of the scope, one of each run and VM.

    ``of_runs``: among so many runs; of several VMs, of the one with most.
    """

    scope: Scope
    holds: tuple[str, ...]
    failures: tuple[PastFailure, ...]
    of_runs: int

    @property
    def vms(self) -> int:
        """How many VMs failed, those of other runs included."""
        return len({one.vm for one in self.failures})

    @property
    def last(self) -> PastFailure:
        """The newest."""
        return max(self.failures, key=lambda one: one.start)


def of_srs_and_vms(view: View, code: str, times: int, runs: int) -> list[Repeated]:
    """By SR where several VMs on it failed and this run has one of them, else by VM where it failed ``times`` times."""
    repeats = view.outlook.repeats(code, runs)
    mine = [vm for vm in view.vms if vm in repeats.by_vm]
    found: list[Repeated] = []
    told: set[str] = set()
    for sr, vms in sorted(repeats.by_sr.items()):
        holds = tuple(vm for vm in mine if vm in vms and vm not in told)
        if holds and len(vms) >= ENOUGH_VMS:
            record = view.estate.sr_by_id.get(sr)
            scope = Scope(ScopeKind.SR, sr, record.name_label if record is not None else sr)
            found.append(gathered(scope, holds, [repeats.by_vm[vm] for vm in vms]))
            told.update(holds)
    often = [vm for vm in mine if vm not in told and len(repeats.by_vm[vm].failures) >= times]
    return [*found, *(of_vm(view, vm, repeats.by_vm[vm]) for vm in often)]


def of_vm(view: View, vm_id: str, recent: Recent) -> Repeated:
    return Repeated(Scope(ScopeKind.VM, vm_id, view.vm_name(vm_id)), (vm_id,), recent.failures, recent.runs)


def gathered(scope: Scope, holds: tuple[str, ...], several: Sequence[Recent]) -> Repeated:
    """The failures of several VMs as one."""
    failures = tuple(failure for one in several for failure in one.failures)
    return Repeated(scope, holds, failures, max(one.runs for one in several))


def who_and_when(view: View, one: Repeated, happened: str) -> str:
    """``"vm: the transfer broke off in 2 of its last 5 runs, last on Tue 24 Nov 02:00 CET (other side closed)"``."""
    scope, last = one.scope, one.last
    at = format_time(_start(last), zone_or_utc(view.run.due.zone))
    runs = f"last {one.of_runs} runs" if one.of_runs > 1 else "last run"
    if scope.kind is ScopeKind.VM:
        some = f"{len(one.failures)} of " if one.of_runs > 1 else ""
        told = f"{scope.name}: {happened} in {some}its {runs}"
    else:
        names = some_of(view.vm_name(vm) for vm in dict.fromkeys(failure.vm for failure in one.failures))
        where = f"{'of' if scope.kind is ScopeKind.SCHEDULE else 'on'} {scope.name} ({names})"
        times = plural(len(one.failures), "time")
        told = f"{happened} {times} in the {runs} of {plural(one.vms, 'VM')} {where}"
        told = f"{told[0].upper()}{told[1:]}"
    return f"{told}, last on {at} ({last.text})"


def _start(failure: PastFailure) -> datetime:
    return datetime.fromtimestamp(failure.start / 1000, UTC)


def figures(view: View, one: Repeated, times: int, runs: int) -> tuple[Fact, ...]:
    """How many failures, of how many VMs, in how many runs, the newest, and from when on they count."""
    return (
        view.fact("failures", len(one.failures), "failures", PartName.LOGS),
        view.fact("vms", one.vms, "VMs", PartName.LOGS),
        view.fact("failed_runs", len({failure.run for failure in one.failures}), "runs", PartName.LOGS),
        view.fact("last_at", _start(one.last).isoformat(timespec="seconds"), "", PartName.LOGS),
        policy_fact("times", times, "failures"),
        policy_fact("runs", runs, "runs"),
    )
