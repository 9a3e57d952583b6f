"""What each run writes to each backup repository, and what the runs before it leave there (failure-modes.md 3.8, 9.2)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate

from guard.estate.xo_records import Job
from guard.mechanics.due import DueTime
from guard.mechanics.history import vm_of
from guard.mechanics.outlook import ExpectedRun, Outlook, repository_ids
from guard.mechanics.repository_space import Added, Load, Writing, is_object_store, writing_of, writing_of_mirror

_SAMPLES = 5
"""So many past runs tell that a due run meets one of its own job: XO then refuses it, and it writes nothing."""


def writing(outlook: Outlook, run: ExpectedRun, vm_id: str, target: str) -> Writing:
    """What one VM writes to a repository in a run; with ``distributeBackups``, to whichever of the job's it goes."""
    spread = run.settings.distribute_backups
    key = (run.schedule.id, vm_id, "" if spread else target)
    if key not in outlook.writings:
        # distributed, a VM's last copies may lie on any of the job's repositories
        targets = repository_ids(run.job) if spread else (target,)
        past = outlook.history.transfers_to(run.job.id, vm_id, targets)
        outlook.writings[key] = writing_of(
            outlook.bytes_of(run, vm_id, *targets),
            outlook.settings_of(run, vm_id),
            [one for one in past if one.schedule == run.schedule.id and one.size],
            full_mode=run.job.mode == "full",
            spread=len(targets) > 1,
        )
    return outlook.writings[key]


def mirror_writing(outlook: Outlook, run: ExpectedRun, target: str) -> Writing:
    """What a mirror copies to a repository in a run."""
    return writing_of_mirror(outlook.history.run_bytes.get((run.schedule.id, target), ()))


def added_before(outlook: Outlook, run: ExpectedRun, system: str) -> int:
    """Bytes known to be added to a file system before a run is due, and meanwhile by runs that began earlier.

    Those are the runs that go on now and those due earlier; of two in the same minute the first in the plan's order counts
    for the other, never both ways. What is due already and waits counts for none: when it starts cannot be told.
    """
    load, count = _load(outlook, run, system)
    return load.until[count] + sum(size for _, size in _at_work(outlook, run, system))


def writers_before(outlook: Outlook, run: ExpectedRun, system: str) -> tuple[str, ...]:
    """The names of the jobs whose runs ``added_before`` counts."""
    load, count = _load(outlook, run, system)
    return tuple(dict.fromkeys((*load.names[:count], *(name for name, size in _at_work(outlook, run, system) if size))))


def _load(outlook: Outlook, run: ExpectedRun, system: str) -> tuple[Load, int]:
    """What the runs ahead leave there, and how many of them come before this one."""
    if outlook.loads is None:
        outlook.loads = _loads(outlook)
    load = outlook.loads.get(system, Load())
    return load, bisect_left(load.keys, _key(run))


def _loads(outlook: Outlook) -> Mapping[str, Load]:
    found: dict[str, list[tuple[tuple[datetime, str, str], Added]]] = {}
    for run in outlook.runs:
        if _writes(outlook, run):
            for system, told in _of_run(outlook, run).items():
                if told.after:
                    found.setdefault(system, []).append((_key(run), told))
    return {
        system: Load(
            keys=tuple(key for key, _ in entries),
            names=tuple(told.name for _, told in entries),
            until=tuple(accumulate((told.after for _, told in entries), initial=0)),
        )
        for system, entries in found.items()
    }


def _key(run: ExpectedRun) -> tuple[datetime, str, str]:
    """The order of a plan."""
    return run.due.at, run.schedule.name, run.schedule.id


def _writes(outlook: Outlook, run: ExpectedRun) -> bool:
    """Whether a due run is still to come and XO will not refuse it."""
    return run.due.at > outlook.now and not outlook.meets(run, _SAMPLES)[0]


def _at_work(outlook: Outlook, run: ExpectedRun, system: str) -> Iterator[tuple[str, int]]:
    """(job name, bytes) of what is still on its way when a run is due, beyond what stays: its merges come later."""
    for other in outlook.around(run.due.at, run.due.at):
        if _key(other) < _key(run) and (other.ends or other.due.at) > run.due.at and _writes(outlook, other):
            told = _of_run(outlook, other).get(system)
            if told is not None:
                yield told.name, told.during - told.after
    for job_id, now in outlook.running.items():
        told = _of_running(outlook, outlook.estate.job_by_id[job_id]).get(system)
        if told is not None:
            yield told.name, told.during if now.ends is None or now.ends > run.due.at else told.after


def _of_run(outlook: Outlook, run: ExpectedRun) -> Mapping[str, Added]:
    """File system -> what a run is known to add to it, all its VMs together."""
    if run.schedule.id not in outlook.added:
        outlook.added[run.schedule.id] = _sum(outlook, run, run.selection.ids)
    return outlook.added[run.schedule.id]


def _of_running(outlook: Outlook, job: Job) -> Mapping[str, Added]:
    """The same of the VMs that a run which goes on now has still to begin: XO shows no bytes of a transfer at work."""
    key = f"running {job.run_id}"
    if key not in outlook.added:
        outlook.added[key] = _sum_of_running(outlook, job)
    return outlook.added[key]


def _sum_of_running(outlook: Outlook, job: Job) -> Mapping[str, Added]:
    log = outlook.pending_logs.get(job.run_id or "")
    due = DueTime(schedule_id=outlook.running[job.id].schedule, job_id=job.id, at=outlook.now, starts=())
    run = outlook.expect(due)
    if log is None or not log.tasks or run is None or job.type != "backup":
        return {}
    begun = {vm_of(task) for task in log.tasks}
    return _sum(outlook, run, [vm for vm in run.selection.ids if vm not in begun])


def _sum(outlook: Outlook, run: ExpectedRun, vm_ids: Sequence[str]) -> Mapping[str, Added]:
    if run.settings.distribute_backups or run.job.type not in ("backup", "mirrorBackup"):
        return {}  # to which of them a VM goes is XO's choice of the moment; a pool's metadata is a few MB
    found: dict[str, Added] = {}
    for target in repository_ids(run.job):
        repository = outlook.estate.repository_by_id.get(target)
        if repository is None or not repository.enabled or repository.error or is_object_store(repository.url):
            continue
        if run.job.type == "mirrorBackup":
            each = [mirror_writing(outlook, run, target)]
        else:
            each = [writing(outlook, run, vm, target) for vm in vm_ids]
        system = outlook.file_systems[target]
        already = found.get(system, Added(0, 0, run.job.name))
        during, after = sum(one.least for one in each), sum(one.stays for one in each)
        found[system] = Added(already.during + during, already.after + after, run.job.name)
    return found
