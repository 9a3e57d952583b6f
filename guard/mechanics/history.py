"""What past runs tell: durations, sizes, selections (failure-modes.md 9.3).

Samples come from backup logs. A run that failed at job level attempted no VM, one whose VMs were all skipped moved
nothing, and one that took clearly fewer VMs than the largest (a person's partial run, or guard's own) was not whole:
none of them is a sample of how long the schedule takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from guard.estate.xo_records import BackupLog, LogTask, moment

KEPT_SAMPLES = 10  # of sizes, the newest; older transfers say little about tonight's
KEPT_DURATIONS = 30
RECENT_RUNS = 3  # one smaller run must not make a loss the new normal
_TOO_LARGE = 2**63  # bytes
_TOO_LATE = 4_102_444_800_000  # ms: the year 2100
_CHAIN_SKIP = "unhealthy VDI chain"  # XO's whole message (failure-modes.md 3.1 f)


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Median and P90 by nearest rank over ``samples`` values; None where there is no sample."""

    p50: float | None = None
    p90: float | None = None
    samples: int = 0


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """One successful transfer of one VM to one target. ``start`` in ms epoch, sizes in bytes. ``run``: the log's id.

    ``mode``: of the job at that time, '' where the log does not tell.
    """

    schedule: str
    start: int
    size: int
    seconds: float
    full: bool
    run: str = ""
    mode: str = ""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A run that goes on: of which schedule, since when (ms epoch), and when a task of it last began or ended."""

    schedule: str
    since: int
    moved: int


@dataclass(frozen=True)
class History:
    """``seconds``: run durations by schedule id. ``transfers``: by (job id, VM id, target id), oldest first.

    ``run_bytes``: bytes of each whole run by (schedule id, target id). ``recent_vms``: all VMs of the last three whole runs
    of a schedule that named any, those of the newest first. ``chain_skips``: in how many of its newest runs in a row a VM
    was skipped for its chain, by (job id, VM id). ``running``: by run id.
    """

    seconds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    transfers: Mapping[tuple[str, str, str], tuple[Transfer, ...]] = field(default_factory=dict)
    run_bytes: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    recent_vms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    chain_skips: Mapping[tuple[str, str], int] = field(default_factory=dict)
    running: Mapping[str, Running] = field(default_factory=dict)

    def transfers_to(self, job_id: str, vm_id: str, targets: Sequence[str]) -> Sequence[Transfer]:
        """A VM's transfers to one target, or to whichever of several it was sent each time; oldest first."""
        found = [self.transfers.get((job_id, vm_id, target), ()) for target in targets]
        return (
            found[0] if len(found) == 1 else sorted((one for part in found for one in part), key=lambda one: one.start)
        )


def good_backups(history: History) -> dict[str, tuple[int, ...]]:
    """VM id -> when its good backups began (ms epoch), oldest first, of all jobs and schedules.

    A backup is one run of one job, however many targets it went to; it is good when one of them has it whole.
    """
    began: dict[str, dict[tuple[str, str], int]] = {}
    for (job, vm, _), transfers in history.transfers.items():
        runs = began.setdefault(vm, {})
        for one in transfers:
            key = (job, one.run)
            runs[key] = min(one.start, runs.get(key, one.start))
    return {vm: tuple(sorted(runs.values())) for vm, runs in began.items()}


def quantiles(values: Sequence[float]) -> Quantiles:
    """Nearest-rank median and P90."""
    ordered = sorted(values)
    return Quantiles(p50=_ranked(ordered, 50), p90=_ranked(ordered, 90), samples=len(ordered))


def percentile(values: Sequence[float], percent: int) -> float | None:
    """By nearest rank; None without values."""
    return _ranked(sorted(values), percent)


def _ranked(ordered: Sequence[float], percent: int) -> float | None:
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


def read_history(logs: Iterable[BackupLog]) -> History:
    """Fold logs of any order into samples, oldest first."""
    seconds: dict[str, list[float]] = {}
    transfers: dict[tuple[str, str, str], list[Transfer]] = {}
    run_bytes: dict[tuple[str, str], list[int]] = {}
    taken: dict[str, list[tuple[str, ...]]] = {}
    skips: dict[tuple[str, str], int] = {}
    running: dict[str, Running] = {}
    ordered = sorted((one for one in logs if one.began is not None), key=lambda one: one.start or 0)
    named = {log.id: _named_vms(log) for log in ordered}
    whole_from = _whole_from(ordered, named)
    for log in ordered:
        schedule = log.schedule_id or ""
        if log.status == "pending" and log.start:
            running[log.id] = Running(
                schedule=schedule, since=log.start, moved=max(_moved(log.tasks or ()), default=log.start)
            )
        sent: dict[str, int] = {}
        for vm, target, transfer in _transfers(log):
            transfers.setdefault((log.job_id or "", vm, target), []).append(transfer)
            sent[target] = sent.get(target, 0) + transfer.size
        for vm, skipped in _chain_checks(log):
            key = (log.job_id or "", vm)
            skips[key] = skips.get(key, 0) + 1 if skipped else 0
        vms = named[log.id]
        partial = bool(vms) and len(vms) < whole_from.get(schedule, 0)
        if partial:
            continue
        if vms:
            taken.setdefault(schedule, []).append(vms)
        for target, size in sent.items():
            run_bytes.setdefault((schedule, target), []).append(size)
        if log.start and log.end and 0 < log.end < _TOO_LATE and (log.status == "success" or sent):
            seconds.setdefault(schedule, []).append((log.end - log.start) / 1000)
    return History(
        seconds={key: tuple(values[-KEPT_DURATIONS:]) for key, values in seconds.items()},
        transfers={key: tuple(values) for key, values in transfers.items()},
        run_bytes={key: tuple(values[-KEPT_SAMPLES:]) for key, values in run_bytes.items()},
        recent_vms={
            key: tuple(dict.fromkeys(vm for vms in reversed(runs[-RECENT_RUNS:]) for vm in vms))
            for key, runs in taken.items()
        },
        chain_skips={key: count for key, count in skips.items() if count},
        running=running,
    )


def sizes(samples: Sequence[Transfer], *, full: bool, schedule: str) -> tuple[int, ...]:
    """Bytes of the newest transfers of one kind: of this schedule, else of its job; those that moved nothing left out."""
    kind = [one for one in samples if one.full is full and one.size > 0]
    own = [one for one in kind if one.schedule == schedule]
    return tuple(one.size for one in own or kind)[-KEPT_SAMPLES:]


def _moved(tasks: Iterable[LogTask]) -> Iterator[int]:
    """When each task of a tree began and ended; times of nonsense are left out."""
    for task in tasks:
        yield from (at for at in (task.start, task.end) if at and moment(at) is not None)
        yield from _moved(task.tasks)


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
    return tuple(vm for vm in map(vm_of, log.tasks or ()) if vm)


def vm_of(task: LogTask) -> str:
    """The id of the VM that a task is about; '' where it is about none."""
    data = task.data
    return str(data.get("id", "")) if isinstance(data, dict) and data.get("type") == "VM" else ""


def _chain_checks(log: BackupLog) -> Iterable[tuple[str, bool]]:
    """(VM id, whether XO skipped it for its chain) of each VM that came as far as its snapshot."""
    for task in log.tasks or ():
        vm = vm_of(task)
        skipped = isinstance(task.result, dict) and task.result.get("message") == _CHAIN_SKIP
        if vm and (skipped or any(child.message == "snapshot" and child.status != "pending" for child in task.tasks)):
            yield vm, skipped


def _is_possible(transfer: LogTask, size: int) -> bool:
    """Whether its times are in a calendar and its bytes on a disk: XO's logs hold whatever was written into them."""
    return 0 <= size < _TOO_LARGE and all(not at or 0 < at < _TOO_LATE for at in (transfer.start, transfer.end))


def _transfers(log: BackupLog) -> Iterable[tuple[str, str, Transfer]]:
    """(VM id, target id, transfer) of each successful transfer of a run."""
    schedule = log.schedule_id or ""
    mode = log.data.get("mode") if isinstance(log.data, dict) else None
    for vm_task in log.tasks or ():
        vm = vm_of(vm_task)
        for export in vm_task.tasks if vm else ():
            if export.message != "export" or not isinstance(export.data, dict):
                continue
            for child in export.tasks:
                size = child.result.get("size") if isinstance(child.result, dict) else None
                if child.message != "transfer" or child.status != "success":
                    continue
                if type(size) is int and child.start and _is_possible(child, size):
                    yield (
                        vm,
                        str(export.data.get("id", "")),
                        Transfer(
                            schedule=schedule,
                            start=child.start,
                            size=size,
                            seconds=((child.end or child.start) - child.start) / 1000,
                            full=export.data.get("isFull") is True,
                            run=log.id,
                            mode=mode if isinstance(mode, str) else "",
                        ),
                    )
