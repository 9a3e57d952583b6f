"""What the backups on a repository tell of the next run (failure-modes.md 3.6 and 4.1).

Retention counts the backups of one VM, schedule and mode, oldest first. A delta needs, on each repository, the backup that was
made from the snapshot it builds on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from guard.estate.xo_records import Archive, Job
from guard.mechanics.settings import Settings


def refused_deletions(
    archives: Sequence[Archive], job: Job, schedule_id: str, settings: Settings
) -> tuple[Archive, ...]:
    """The backups that retention has to delete or merge in the next run, and that the storage protects.

    ``archives``: of one VM on one repository, oldest first. Long-term retention keeps more than can be told: then none.
    """
    if settings.long_term_retention is not None or settings.export_retention < 1:
        return ()
    own = [
        one
        for one in archives
        if one.job_id == job.id and one.schedule_id == schedule_id and one.mode == (job.mode or "")
    ]
    beyond = own[: max(0, len(own) - (settings.export_retention - 1))]
    return tuple(one for one in beyond if one.is_immutable is True)


def lacks_base(archives: Sequence[Archive], job: Job, bases: Collection[str]) -> bool:
    """Whether no backup of this job is there that was made from one of these snapshot VDIs: the disk is then sent whole."""
    return not any(
        one.job_id == job.id and any(disk.uuid in bases for disk in one.disks)
        for one in archives
        if one.mode == "delta"
    )
