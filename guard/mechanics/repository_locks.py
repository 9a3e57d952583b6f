"""Who holds the folders of VMs on a backup repository: runs, and merges after them (failure-modes.md 3.11, 9.4)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from guard.estate.xo_records import Job, LogTask
from guard.mechanics.history import Transfer, percentile, quantiles, vm_of
from guard.mechanics.outlook import Outlook, repository_ids
from guard.mechanics.repository_space import is_object_store, keeps_blocks
from guard.mechanics.settings import effective

_LOOKED_BACK = timedelta(days=1)
"""A merge that began earlier is over, or stands for another trouble."""
_READ_AND_WRITTEN = 2
"""A merge reads each block of a delta and writes it again."""


def locked_places(outlook: Outlook, job: Job) -> frozenset[str]:
    """Ids of the repositories on which a run of this job locks VM folders: its targets, and a mirror's source.

    XO's lock does nothing on object stores (FS/abstract.js:646), and a repository that is off is not used.
    """
    known = outlook.estate.repository_by_id
    ids = {*repository_ids(job), job.source_remote or ""}
    return frozenset(one for one in ids if one in known and known[one].enabled and not is_object_store(known[one].url))


def let_go(outlook: Outlook, job: Job) -> frozenset[str]:
    """Ids of the VMs that the run going on now has finished with. Those whose transfer it cut stay locked until its end.

    After a failed transfer XO leaves the lock behind, except in full mode.
    """
    log = outlook.pending_logs.get(job.run_id or "")
    tasks = (log.tasks or ()) if log is not None else ()
    return frozenset(vm_of(task) for task in tasks if task.status != "pending" and not _leaks(job, task))


def at_work(outlook: Outlook, job: Job) -> frozenset[str]:
    """Ids of the VMs whose folders the run going on now holds at this moment: XO locks each when it begins with that VM."""
    log = outlook.pending_logs.get(job.run_id or "")
    tasks = (log.tasks or ()) if log is not None else ()
    return frozenset(vm_of(task) for task in tasks if vm_of(task)) - let_go(outlook, job)


def _leaks(job: Job, task: LogTask) -> bool:
    return job.mode != "full" and any(one.message == "export" and one.status == "failure" for one in task.tasks)


def merges_end(outlook: Outlook, repository_id: str) -> Mapping[str, datetime]:
    """VM id -> when the merge after its last delta there is expected to end, as far as that lies ahead of now.

    XO queues a merge when a VM has more backups than retention keeps, and one worker does them one after another; no API
    shows it. Only plain VHD files are copied: blocks are renamed, which takes no time.
    """
    if outlook.merges is None:
        rates = _rates(outlook)
        outlook.merges = {
            target: _one_by_one(outlook, queued, rates[target]) for target, queued in _queued(outlook).items()
        }
    return outlook.merges.get(repository_id, {})


def _rates(outlook: Outlook) -> Mapping[str, float]:
    """Repository id -> bytes per second it takes at least: the P90 of the newest transfers, as hosts may be the slower part."""
    found: dict[str, list[float]] = {}
    for (_, _, target), transfers in outlook.history.transfers.items():
        last = transfers[-1]
        if last.size and last.seconds:
            found.setdefault(target, []).append(last.size / last.seconds)
    return {target: percentile(rates, 90) or 0 for target, rates in found.items()}


def _queued(outlook: Outlook) -> Mapping[str, list[tuple[datetime, str, int]]]:
    """Repository id -> (when its transfer ended, VM id, bytes) of each merge that may still be to do."""
    estate = outlook.estate
    copies = {one.id for one in estate.repositories if not keeps_blocks(one, estate.repository_info.get(one.id))}
    since = (outlook.now - _LOOKED_BACK).timestamp() * 1000
    found: dict[str, list[tuple[datetime, str, int]]] = {}
    for (job_id, vm, target), transfers in outlook.history.transfers.items():
        last, job = transfers[-1], estate.job_by_id.get(job_id)
        if last.start < since or not last.seconds or target not in copies or job is None or job.mode != "delta":
            continue
        size = _merged(job, vm, [one for one in transfers if one.schedule == last.schedule and one.size])
        if size and last.size:
            ended = datetime.fromtimestamp(last.start / 1000 + last.seconds, UTC)
            found.setdefault(target, []).append((ended, vm, size))
    return found


def _one_by_one(outlook: Outlook, queued: list[tuple[datetime, str, int]], rate: float) -> Mapping[str, datetime]:
    found: dict[str, datetime] = {}
    ends = datetime.fromtimestamp(0, UTC)
    for ended, vm, size in sorted(queued):
        ends = max(ends, ended) + timedelta(seconds=_READ_AND_WRITTEN * size / rate)
        if ends > outlook.now:
            found[vm] = ends
    return found


def _merged(job: Job, vm_id: str, own: list[Transfer]) -> int:
    """Bytes of the delta that is merged after the last of these transfers, by the median of them; 0 where none is."""
    if not own:
        return 0
    settings = effective(job, own[-1].schedule, vm_id)
    if settings.long_term_retention is not None or not 0 < settings.export_retention < len(own):
        return 0
    return int(quantiles([one.size for one in own if not one.full]).p50 or 0)
