"""What past runs tell: durations, sizes, selections (failure-modes.md 9.3).

Samples come from backup logs. A run that failed at job level attempted no VM, one whose VMs were all skipped moved
nothing, and one that took clearly fewer VMs than the largest (a person's partial run, or guard's own) was not whole:
none of them is a sample of how long the schedule takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from guard.estate.xo_records import BackupLog, LogTask

KEPT_SAMPLES = 10  # of sizes, the newest; older transfers say little about tonight's
KEPT_DURATIONS = 30


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Median and P90 by nearest rank over ``samples`` values; None where there is no sample."""

    p50: float | None = None
    p90: float | None = None
    samples: int = 0


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """One successful transfer of one VM to one target. ``start`` in ms epoch, sizes in bytes."""

    schedule: str
    start: int
    size: int
    seconds: float
    full: bool


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A run that goes on: of which schedule, since when (ms epoch)."""

    schedule: str
    since: int


@dataclass(frozen=True)
class History:
    """``seconds``: run durations by schedule id. ``transfers``: by (job id, VM id, target id), oldest first.

    ``run_bytes``: bytes of each whole run by (schedule id, target id). ``last_vms``: the VMs of the newest whole run of a
    schedule that named them. ``running``: by run id.
    """

    seconds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    transfers: Mapping[tuple[str, str, str], tuple[Transfer, ...]] = field(default_factory=dict)
    run_bytes: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    last_vms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    running: Mapping[str, Running] = field(default_factory=dict)


def quantiles(values: Sequence[float]) -> Quantiles:
    """Nearest-rank median and P90."""
    if not values:
        return Quantiles()
    ordered = sorted(values)
    count = len(ordered)
    return Quantiles(p50=ordered[-(-count * 50 // 100) - 1], p90=ordered[-(-count * 90 // 100) - 1], samples=count)


def read_history(logs: Iterable[BackupLog]) -> History:
    """Fold logs of any order into samples, oldest first."""
    seconds: dict[str, list[float]] = {}
    transfers: dict[tuple[str, str, str], list[Transfer]] = {}
    run_bytes: dict[tuple[str, str], list[int]] = {}
    last_vms: dict[str, tuple[str, ...]] = {}
    running: dict[str, Running] = {}
    ordered = sorted((one for one in logs if one.began is not None), key=lambda one: one.start or 0)
    named = {log.id: _named_vms(log) for log in ordered}
    whole_from = _whole_from(ordered, named)
    for log in ordered:
        schedule = log.schedule_id or ""
        if log.status == "pending" and log.start:
            running[log.id] = Running(schedule=schedule, since=log.start)
        sent: dict[str, int] = {}
        for vm, target, transfer in _transfers(log):
            transfers.setdefault((log.job_id or "", vm, target), []).append(transfer)
            sent[target] = sent.get(target, 0) + transfer.size
        vms = named[log.id]
        partial = bool(vms) and len(vms) < whole_from.get(schedule, 0)
        if partial:
            continue
        if vms:
            last_vms[schedule] = vms
        for target, size in sent.items():
            run_bytes.setdefault((schedule, target), []).append(size)
        if log.start and log.end and (log.status == "success" or sent):
            seconds.setdefault(schedule, []).append((log.end - log.start) / 1000)
    return History(
        seconds={key: tuple(values[-KEPT_DURATIONS:]) for key, values in seconds.items()},
        transfers={key: tuple(values) for key, values in transfers.items()},
        run_bytes={key: tuple(values[-KEPT_SAMPLES:]) for key, values in run_bytes.items()},
        last_vms=last_vms,
        running=running,
    )


def sizes(samples: Sequence[Transfer], *, full: bool, schedule: str) -> tuple[int, ...]:
    """Bytes of the newest transfers of one kind: of this schedule, else of its job; those that moved nothing left out."""
    kind = [one for one in samples if one.full is full and one.size > 0]
    own = [one for one in kind if one.schedule == schedule]
    return tuple(one.size for one in own or kind)[-KEPT_SAMPLES:]


def _whole_from(logs: Iterable[BackupLog], named: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """Schedule id -> from how many VMs a run counts as whole: half of its largest."""
    found: dict[str, float] = {}
    for log in logs:
        schedule = log.schedule_id or ""
        found[schedule] = max(found.get(schedule, 0), len(named[log.id]) / 2)
    return found


def _named_vms(log: BackupLog) -> tuple[str, ...]:
    for info in log.infos or ():
        data = info.get("data") if isinstance(info, dict) and info.get("message") == "vms" else None
        if isinstance(data, dict) and isinstance(data.get("vms"), list):
            return tuple(vm for vm in data["vms"] if isinstance(vm, str))
    return tuple(vm for vm in map(_vm_of, log.tasks or ()) if vm)


def _vm_of(task: LogTask) -> str:
    data = task.data
    return str(data.get("id", "")) if isinstance(data, dict) and data.get("type") == "VM" else ""


def _transfers(log: BackupLog) -> Iterable[tuple[str, str, Transfer]]:
    """(VM id, target id, transfer) of each successful transfer of a run."""
    schedule = log.schedule_id or ""
    for vm_task in log.tasks or ():
        vm = _vm_of(vm_task)
        for export in vm_task.tasks if vm else ():
            if export.message != "export" or not isinstance(export.data, dict):
                continue
            for child in export.tasks:
                size = child.result.get("size") if isinstance(child.result, dict) else None
                if child.message == "transfer" and child.status == "success" and type(size) is int and child.start:
                    yield (
                        vm,
                        str(export.data.get("id", "")),
                        Transfer(
                            schedule=schedule,
                            start=child.start,
                            size=size,
                            seconds=((child.end or child.start) - child.start) / 1000,
                            full=export.data.get("isFull") is True,
                        ),
                    )
