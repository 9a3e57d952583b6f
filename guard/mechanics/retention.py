"""What a run keeps, and which snapshots it deletes before it takes its own (failure-modes.md 8.1; _AbstractXapi.mjs).

Per schedule of the job the newest ``snapshotRetention`` stay; in delta mode the newest of the whole job stays as well,
because it is the base of the next delta.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from guard.estate.xo_records import Job, Vdi
from guard.mechanics.settings import Settings, effective


def removed_first(
    job: Job, vm_id: str, snapshots: Iterable[Vdi], settings_of: Callable[[str], Settings]
) -> frozenset[str]:
    """Ids of the snapshot VDIs that go before the new snapshot.

    ``snapshots`` are the snapshot VDIs of the VM's disks; ``settings_of`` gives the settings of a schedule id for this VM.
    """
    generations: dict[tuple[str, str], list[str]] = {}
    for snapshot in snapshots:
        marks = snapshot.other_config or {}
        if marks.get("xo:backup:job") == job.id and marks.get("xo:backup:vm") == vm_id:
            key = (marks.get("xo:backup:datetime", ""), marks.get("xo:backup:schedule", ""))
            generations.setdefault(key, []).append(snapshot.id)
    newest_first = sorted(generations, reverse=True)
    kept: set[tuple[str, str]] = set()
    if newest_first and job.mode != "full":
        kept.add(newest_first[0])
    for schedule in {schedule for _, schedule in newest_first}:
        own = [key for key in newest_first if key[1] == schedule]
        kept.update(own[: settings_of(schedule).snapshot_retention])
    return frozenset(vdi for key, vdis in generations.items() if key not in kept for vdi in vdis)


def has_base(job: Job, vm_id: str, snapshots: Iterable[Vdi]) -> tuple[bool, int]:
    """Whether a disk keeps an exported snapshot of this job as delta base, and that base's delta chain length."""
    newest = ("", 0)
    found = False
    for snapshot in _candidates(job, vm_id, snapshots):
        marks = snapshot.other_config or {}
        found = True
        length = marks.get("xo:backup:deltaChainLength", "0")
        newest = max(newest, (marks.get("xo:backup:datetime", ""), int(length) if length.isdecimal() else 0))
    return found, newest[1]


def newest_bases(job: Job, vm_id: str, snapshots: Iterable[Vdi]) -> frozenset[str]:
    """Ids of the snapshots that XO builds the next delta of a disk on: the newest of those it may; none without any."""
    by_time: dict[str, set[str]] = {}
    for snapshot in _candidates(job, vm_id, snapshots):
        by_time.setdefault((snapshot.other_config or {}).get("xo:backup:datetime", ""), set()).add(snapshot.id)
    return frozenset(by_time[max(by_time)]) if by_time else frozenset()


def _candidates(job: Job, vm_id: str, snapshots: Iterable[Vdi]) -> Iterator[Vdi]:
    """VMR/IncrementalXapi.mjs: they carry the job, the VM and the exported mark, and are no copies."""
    for snapshot in snapshots:
        marks = snapshot.other_config or {}
        if (
            marks.get("xo:backup:job") == job.id
            and marks.get("xo:backup:vm") == vm_id
            and "xo:backup:exported" in marks
            and "xo:copy_of" not in marks
        ):
            yield snapshot


def kept_backups(job: Job, schedule_id: str, vm_id: str, repositories: Sequence[str], srs: Sequence[str]) -> int:
    """How many backups of one VM a run may leave behind: its own snapshots, and what each target's own settings keep.

    A retention counts only where the job has such a target (VmsXapi.mjs:85, _AbstractXapi.mjs:108-170).
    """
    kept = effective(job, schedule_id, vm_id).snapshot_retention
    for repository in repositories:
        settings = effective(job, schedule_id, vm_id, repository)
        kept += settings.export_retention + len(settings.long_term_retention or {})
    return kept + sum(effective(job, schedule_id, vm_id, sr).copy_retention for sr in srs)
