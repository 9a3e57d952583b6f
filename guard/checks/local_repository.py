"""The disk of XO's own machine, and backup repositories that lie on it or seem to (failure-modes.md 3.8)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import LocalRepositoryOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.estate.local_disks import LocalDisk
from guard.estate.xo_records import Repository, RepositoryInfo
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids
from guard.units import GIB, KIB, MIB, format_bytes

_PAGE = "ENOSPC: no space left on device"
XO_DISK_LOW = Code(
    id="XO_DISK_LOW",
    title="The disk of XO's own machine is nearly full",
    why="XO keeps its database, logs and temporary files there. On a full disk it records nothing any more, and jobs and logins "
    "fail in odd ways.",
    do="On the XO machine: df -h, journalctl --disk-usage, du -xh -d2 /var | sort -h. Look for a backup repository of the type "
    "local (file://) on that disk, and for a share that is not mounted, so that backups fill the folder below it.",
    page_section=_PAGE,
    certainty=(Certainty.LIKELY, Certainty.TREND),
    clears=(ClearedBy.PERSON,),
)
REPOSITORY_ON_XO_DISK = Code(
    id="REPOSITORY_ON_XO_DISK",
    title="A local backup repository lies on XO's own disk, or its share is not mounted",
    why="XO does not mount a local repository (file://): it takes the folder as it finds it and makes it where there is none. "
    "When a person's mount is missing, backups go to XO's own disk, fill it, and are fulls as the older ones are not there.",
    do="On the XO machine: findmnt --target <path of the repository>. Mount the share (and put it into /etc/fstab), then look for "
    "backups that were written below the mount point meanwhile. Better: a repository of type NFS or SMB, which XO mounts itself.",
    page_section=_PAGE,
    certainty=(Certainty.LIKELY, Certainty.TREND),
    clears=(ClearedBy.PERSON,),
)

_FULL = 256 * MIB
"""With less than this XO's own writing fails within the hours of a run."""
_FEW = 10
"""Backups are compressed on some repositories; what holds so many times less than it was sent has lost them."""


def evaluate(view: View, options: LocalRepositoryOptions) -> list[Finding]:
    """XO's own disks, told once, at the run that comes first; then this run's local repositories."""
    findings = []
    read = view.estate.parts.get(PartName.LOCAL_DISKS)
    disks = (
        {disk.device: disk for disk in reversed(view.estate.local_disks)} if view.knows(PartName.LOCAL_DISKS) else {}
    )
    if all(first.due == view.run.due for first in view.outlook.runs[:1]):
        if read is not None and not read.ok:
            findings.append(_unknown(view, read.error))
        findings += [_low(view, options, disk) for disk in disks.values() if _is_low(options, disk)]
    job = view.run.job
    for one in dict.fromkeys((*repository_ids(job), job.source_remote or "")):
        repository, info = view.estate.repository_by_id.get(one), view.estate.repository_info.get(one)
        if repository is not None and info is not None and repository.enabled and repository.url.startswith("file:"):
            findings += _trap(view, repository, info, list(disks.values()))
    return findings


def _is_low(options: LocalRepositoryOptions, disk: LocalDisk) -> bool:
    return disk.available < _FULL or 100 * disk.available < options.warn_free_percent * disk.size


def _low(view: View, options: LocalRepositoryOptions, disk: LocalDisk) -> Finding:
    full = disk.available < _FULL
    return Finding(
        code=XO_DISK_LOW.id,
        check="local_repository",
        # never a block: what XO backs up does not pass through this disk, and a run that waits leaves it as full as it is
        level=Level.WARN,
        certainty=Certainty.LIKELY if full else Certainty.TREND,
        harm=Harm.NONE,
        scope=_xo(view),
        summary=f"The disk of XO's own machine with {disk.path} has {format_bytes(disk.available)} free of "
        f"{format_bytes(disk.size)}; " + ("XO can hardly write any more." if full else "it fills up."),
        facts=(
            view.fact("available", disk.available, "bytes", PartName.LOCAL_DISKS),
            view.fact("size", disk.size, "bytes", PartName.LOCAL_DISKS),
            policy_fact("warn_free", options.warn_free_percent, "%"),
        ),
        remedy="Look at the journal and /var/log on the XO machine, and for a local repository (file://) or a share that is not "
        f"mounted below {disk.path}.",
        clears=Clears(ClearedBy.PERSON),
    )


def _unknown(view: View, why: str) -> Finding:
    return Finding(
        code=XO_DISK_LOW.id,
        check="local_repository",
        level=Level.UNKNOWN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=_xo(view),
        summary=f"How full XO's own disk is cannot be told: {why}",
        remedy="Correct the policy.",
        clears=Clears(ClearedBy.PERSON),
    )


def _xo(view: View) -> Scope:
    return Scope(ScopeKind.XO, view.estate.xo.url, view.estate.xo.url)


def _trap(view: View, repository: Repository, info: RepositoryInfo, disks: list[LocalDisk]) -> list[Finding]:
    """Nothing where neither the figures are those of XO's disk nor backups are missing."""
    where = None if repository.proxy else next((disk for disk in disks if _is_same(info, disk)), None)
    sent = view.outlook.last_sent.get(repository.id, 0)
    lost = isinstance(info.used, int) and _FEW * info.used < sent
    if where is None and not lost:
        return []
    used = info.used if isinstance(info.used, int) else None
    gone = f"it holds {format_bytes(used or 0)}, and the newest backups alone were {format_bytes(sent)}" if lost else ""
    if where is None:
        text = f"{gone}. Its share may not be mounted."
    else:
        text = f"its size and free space are those of XO's own disk with {where.path}" + (
            f"; {gone}. Its share is probably not mounted." if lost else "."
        )
    figures = {"size": info.size, "used": info.used, "available": info.available}
    source = view.estate.parts[PartName.REPOSITORY_INFO].source
    return [
        Finding(
            code=REPOSITORY_ON_XO_DISK.id,
            check="local_repository",
            level=Level.WARN,
            certainty=Certainty.LIKELY if where is not None else Certainty.TREND,
            harm=Harm.NONE,
            scope=Scope(ScopeKind.REPOSITORY, repository.id, repository.name),
            summary=f"Local backup repository {repository.name}: {text}",
            facts=(
                # XO caches these figures and does not stamp them, so they have no age (xo-api.md 3.4)
                *(
                    Fact(name=name, value=value, unit="bytes", source=source, observed_at=None)
                    for name, value in figures.items()
                    if isinstance(value, int)
                ),
                view.fact("newest_backups", sent, "bytes", PartName.LOGS),
            ),
            remedy=f"On the XO machine look with findmnt what is mounted at the path of {repository.name}; mount its share there.",
            clears=Clears(ClearedBy.PERSON),
        )
    ]


def _is_same(info: RepositoryInfo, disk: LocalDisk) -> bool:
    """By the size, which ``df`` tells in KiB, and about the same free space: the two were not read at the same moment."""
    if not isinstance(info.size, int) or not isinstance(info.available, int):
        return False
    near = max(disk.size // 100, GIB)
    return abs(info.size - disk.size) < KIB and abs(info.available - disk.available) <= near


CHECK = Check(
    name="local_repository",
    title="XO's own disk and local repositories",
    codes=(XO_DISK_LOW, REPOSITORY_ON_XO_DISK),
    needs={PartName.REPOSITORIES: timedelta(minutes=10)},
    options=LocalRepositoryOptions,
    evaluate=evaluate,
    job_types=frozenset({"backup", "mirrorBackup", "metadataBackup"}),
)
