"""What past runs tell: durations, sizes, selections (failure-modes.md 9.3).

Samples come from backup logs. A run that failed at job level never attempted a VM and is no sample of a duration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from guard.estate.xo_records import BackupLog, LogTask

KEPT_SAMPLES = 10  # the newest; older transfers say little about tonight's


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Median and P90 by nearest rank over ``samples`` values; None where there is no sample."""

    p50: float | None = None
    p90: float | None = None
    samples: int = 0


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """One successful transfer of one VM to one target. ``start`` in ms epoch, sizes in bytes."""

    start: int
    size: int
    seconds: float
    full: bool


@dataclass(frozen=True)
class History:
    """``seconds``: run durations by schedule id. ``transfers``: by (VM id, target id), oldest first.

    ``last_vms``: the VMs of the newest run of a schedule that named them. ``failed_since_full``: VMs whose newest
    attempt failed after its snapshot, which costs them the delta base (failure-modes.md 8.3).
    """

    seconds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    transfers: Mapping[tuple[str, str], tuple[Transfer, ...]] = field(default_factory=dict)
    last_vms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    base_lost: frozenset[tuple[str, str]] = frozenset()
    running_since: Mapping[str, int] = field(default_factory=dict)


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
    transfers: dict[tuple[str, str], list[Transfer]] = {}
    last_vms: dict[str, tuple[str, ...]] = {}
    base_lost: dict[tuple[str, str], bool] = {}
    running_since: dict[str, int] = {}
    for log in sorted(logs, key=lambda one: one.start or 0):
        schedule = log.schedule_id or ""
        if log.status == "pending" and log.start:
            running_since[log.id] = log.start
        if log.start and log.end and (log.status == "success" or log.result is msgspec.UNSET):
            seconds.setdefault(schedule, []).append((log.end - log.start) / 1000)
        named = _named_vms(log)
        if named:
            last_vms[schedule] = named
        for task in log.tasks or ():
            vm = _vm_of(task)
            if vm:
                base_lost[(log.job_id or "", vm)] = task.status == "failure" and _has_snapshot(task)
                for target, transfer in _transfers(task):
                    transfers.setdefault((vm, target), []).append(transfer)
    return History(
        seconds={key: tuple(values[-KEPT_SAMPLES * 3 :]) for key, values in seconds.items()},
        transfers={key: tuple(values) for key, values in transfers.items()},
        last_vms=last_vms,
        base_lost=frozenset(key for key, lost in base_lost.items() if lost),
        running_since=running_since,
    )


def sizes(samples: Sequence[Transfer], *, full: bool) -> tuple[int, ...]:
    """Bytes of the newest transfers of one kind; empty ones moved nothing new and are left out."""
    return tuple(one.size for one in samples if one.full is full and one.size > 0)[-KEPT_SAMPLES:]


def _named_vms(log: BackupLog) -> tuple[str, ...]:
    for info in log.infos or ():
        data = info.get("data") if isinstance(info, dict) and info.get("message") == "vms" else None
        if isinstance(data, dict) and isinstance(data.get("vms"), list):
            return tuple(data["vms"])
    return tuple(vm for vm in map(_vm_of, log.tasks or ()) if vm)


def _vm_of(task: LogTask) -> str:
    data = task.data
    return str(data.get("id", "")) if isinstance(data, dict) and data.get("type") == "VM" else ""


def _has_snapshot(task: LogTask) -> bool:
    return any(child.message == "snapshot" and child.status == "success" for child in task.tasks)


def _transfers(vm_task: LogTask) -> Iterable[tuple[str, Transfer]]:
    for export in vm_task.tasks:
        if export.message != "export" or not isinstance(export.data, dict):
            continue
        for child in export.tasks:
            size = child.result.get("size") if isinstance(child.result, dict) else None
            if child.message == "transfer" and child.status == "success" and isinstance(size, int) and child.start:
                yield (
                    str(export.data.get("id", "")),
                    Transfer(
                        start=child.start,
                        size=size,
                        seconds=((child.end or child.start) - child.start) / 1000,
                        full=export.data.get("isFull") is True,
                    ),
                )
