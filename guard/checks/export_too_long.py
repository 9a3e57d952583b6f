"""Exports that take longer than the 24 hours a host allows one task (failure-modes.md 4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import ExportTooLongOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids, target_sr_ids
from guard.mechanics.throughput import throughput
from guard.units import format_bytes, format_duration

EXPORT_TOO_LONG = Code(
    id="EXPORT_TOO_LONG",
    title="An export runs longer than the 24 h a host allows",
    why="XAPI destroys a task after 24 hours, and the export with it.",
    do="Make the export shorter: split the disks over more VMs or jobs, use delta backups with NBD, raise maxExportRate, "
    "or find out what is slow between host and backup repository.",
    certainty=(Certainty.LIKELY, Certainty.TREND),
    clears=(ClearedBy.PERSON,),
)

LONGEST = timedelta(hours=24)
"""What XAPI allows a task (xapi's pending_task_timeout)."""


@dataclass(frozen=True)
class _Slowest:
    """The export of a VM that takes longest. ``size`` in bytes, ``rate`` in bytes/s, over ``samples`` past transfers."""

    seconds: float
    size: int
    rate: float
    samples: int


def evaluate(view: View, options: ExportTooLongOptions) -> list[Finding]:
    """One finding per VM whose next export is expected to come near the limit, or beyond it."""
    findings = []
    for vm_id in view.vms:
        slowest = _slowest(view, vm_id)
        if slowest is not None and slowest.seconds >= options.warn_after.total_seconds():
            findings.append(_finding(view, options, vm_id, slowest))
    return findings


def _slowest(view: View, vm_id: str) -> _Slowest | None:
    """None where the past does not tell; with NBD, where disks are read block by block, there is no such task."""
    run = view.run
    if run.job.mode == "delta" and view.outlook.settings_of(run, vm_id).prefer_nbd:
        return None
    limit = run.settings.max_export_rate  # of the whole run (xo-api.md 3.1.2)
    found: list[_Slowest] = []
    for target in (*repository_ids(run.job), *target_sr_ids(run.job)):
        told = view.outlook.bytes_of(run, vm_id, target)
        if told.expected is None or told.full is None:
            continue
        past = throughput(view.outlook.history.transfers_to(run.job.id, vm_id, (target,)), full=told.full)
        if past.p50 is None:
            continue
        rate = min(past.p50, limit) if limit > 0 else past.p50
        size = round(told.expected * _largest_share(view, vm_id)) if run.job.mode == "delta" else told.expected
        found.append(_Slowest(size / rate, size, rate, past.samples))
    return max(found, key=lambda one: one.seconds, default=None)


def _largest_share(view: View, vm_id: str) -> float:
    """Which part of a VM its largest disk is, by virtual size: in delta mode each disk is an export of its own."""
    sizes = [vdi.size for _, vdi in view.outlook.disks(vm_id) if isinstance(vdi.size, int)]
    return max(sizes) / sum(sizes) if sum(sizes) else 1.0


def _finding(view: View, options: ExportTooLongOptions, vm_id: str, slowest: _Slowest) -> Finding:
    name = view.vm_name(vm_id)
    beyond = slowest.seconds > LONGEST.total_seconds()
    return Finding(
        code=EXPORT_TOO_LONG.id,
        check="export_too_long",
        level=Level.WARN,
        certainty=Certainty.LIKELY if beyond else Certainty.TREND,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm_id, name),
        holds=(vm_id,),
        summary=f"{name}: one export of about {format_bytes(slowest.size)} takes about {format_duration(slowest.seconds)} at "
        f"{format_bytes(round(slowest.rate))}/s, as fast as the past was; the host ends it after 24 h.",
        facts=(
            view.fact("expected", slowest.size, "bytes", PartName.LOGS),
            view.fact("rate", round(slowest.rate), "bytes/s", PartName.LOGS),
            view.fact("samples", slowest.samples, "transfers", PartName.LOGS),
            view.fact("takes", round(slowest.seconds), "s", PartName.LOGS),
            policy_fact("warn_after", options.warn_after.total_seconds(), "s"),
        ),
        remedy="Use a delta job with NBD (preferNbd), split the VM's disks over more VMs, or find out what is slow between the "
        "host and the target.",
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="export_too_long",
    title="Exports longer than a host allows",
    codes=(EXPORT_TOO_LONG,),
    needs={PartName.LOGS: timedelta(hours=1), PartName.VMS: timedelta(minutes=10)},
    options=ExportTooLongOptions,
    evaluate=evaluate,
)
