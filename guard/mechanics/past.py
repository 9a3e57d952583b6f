"""What past runs tell of failures: which VMs fail again and again, and of what (failure-modes.md 3.12 to 3.15).

Why a run failed is told by guard.outcomes, a layer above the checks; what it tells of the past comes in here as data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from guard.estate.xo_records import BackupLog, LogTask
from guard.mechanics.history import vm_of

GOOD_RUNS = 3  # so many good runs in a row end what was before them
HEALTH_CHECK = "health check"
"""The place of what failed while XO restored a backup to try it (guard.outcomes.failures)."""
_SUSPECTED = "XVA might be broken"  # XO's whole message
_TOLD = frozenset({"success", "failure"})  # a VM that was skipped or interrupted shows neither way


class PastFailure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One failure of a past run. ``start`` of the run in ms epoch; ``vm`` and ``target`` are ids, '' where it has none.

    ``place``: what XO was at, as guard.outcomes names it. ``text``: XO's own words. ``made_good``: a retry in the same run
    did better.
    """

    run: str
    start: int
    schedule: str
    job: str
    vm: str
    code: str
    place: str
    target: str
    text: str
    made_good: bool = False


class Recent(msgspec.Struct, frozen=True):
    """The failures of one code among a VM's last ``runs`` runs: newest first, one of each run."""

    failures: tuple[PastFailure, ...]
    runs: int


@dataclass(frozen=True)
class Repeats:
    """The failures of one code that still count, by VM id.

    ``by_host`` and ``by_sr``: ids of the VMs among them, by the host they are read from now, and by the SR of their disks, or
    of the replica that failed.
    """

    by_vm: Mapping[str, Recent] = field(default_factory=dict)
    by_host: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_sr: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def still_counting(failures: Iterable[PastFailure], logs: Iterable[BackupLog], runs: int) -> dict[str, Recent]:
    """VM id -> its failures in its last ``runs`` runs, where there are any; none after three good runs in a row.

    A run is good when the VM ended well and without such a failure, so one that only a retry made good is not. A log
    without its tasks tells nothing of a VM, and is no run of it.
    """
    failed: dict[str, dict[str, PastFailure]] = {}
    for one in failures:
        if one.vm:
            failed.setdefault(one.vm, {})[one.run] = one
    counting = {}
    for vm, shown in _runs_of(logs, failed).items():
        own = failed[vm]
        newest = [(run, status) for run, status in reversed(shown.items()) if status in _TOLD or run in own]
        good = [status == "success" and run not in own for run, status in newest[:GOOD_RUNS]]
        recent = tuple(own[run] for run, _ in newest[:runs] if run in own)
        if recent and not (len(good) == GOOD_RUNS and all(good)):
            counting[vm] = Recent(recent, len(newest[:runs]))
    return counting


def _runs_of(logs: Iterable[BackupLog], vms: Collection[str]) -> dict[str, dict[str, str]]:
    """VM id -> run -> how the VM ended in it, oldest first."""
    found: dict[str, dict[str, str]] = {}
    if not vms:
        return found
    for log in sorted((one for one in logs if one.began is not None), key=lambda one: one.start or 0):
        for task in log.tasks or ():
            vm = vm_of(task)
            if vm in vms:
                found.setdefault(vm, {})[log.id] = task.status
    return found


def suspected_archives(logs: Iterable[BackupLog]) -> dict[tuple[str, str], tuple[str, ...]]:
    """(job id, VM id) -> the file names of full backups (XVA) that XO took for broken when it last cleaned up there.

    It looks at the end of every file that is not compressed, warns, and keeps it (backup-archive VmFullBackupArchive.mjs).
    """
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for log in sorted((one for one in logs if one.began is not None), key=lambda one: one.start or 0, reverse=True):
        for task in log.tasks or ():
            key = log.job_id or "", vm_of(task)
            cleaned = list(_cleaned(task.tasks)) if key[1] and key not in found else []
            if cleaned:
                found[key] = tuple(sorted({name for one in cleaned for name in _broken(one)}))
    return {key: names for key, names in found.items() if names}


def _cleaned(tasks: Iterable[LogTask]) -> Iterator[LogTask]:
    for task in tasks:
        if task.message == "clean-vm" and task.status == "success":
            yield task
        yield from _cleaned(task.tasks)


def _broken(cleaned: LogTask) -> Iterator[str]:
    for warning in cleaned.warnings or ():
        if isinstance(warning, dict) and warning.get("message") == _SUSPECTED:
            data = warning.get("data")
            path = data.get("path") if isinstance(data, dict) else None
            yield path.rpartition("/")[2] if isinstance(path, str) else ""


def grouped(vms: Mapping[str, Collection[str]]) -> dict[str, tuple[str, ...]]:
    """VM id -> what it is on, turned round: each of these -> its VMs."""
    found: dict[str, list[str]] = {}
    for vm, where in vms.items():
        for one in where:
            found.setdefault(one, []).append(vm)
    return {one: tuple(on_it) for one, on_it in found.items()}
