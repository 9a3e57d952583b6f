"""The last good backup of each VM on each target, from XO's backup logs, and how far back these reach.

A copy is good when all its data arrived. One whose health check failed is not: the data are there, and would not start.
What a mirror copied counts for no VM, as it is no new backup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from guard.estate.estate import Estate, PartName
from guard.estate.xo_records import BackupLog, LogTask
from guard.mechanics.history import vm_of
from guard.mechanics.outlook import Outlook

Good = Mapping[str, Mapping[str, datetime]]
"""VM id -> target id (a repository or SR) -> when the last good backup there began."""

_AHEAD = timedelta(hours=1)  # what XO's clock may be ahead; what begins later than that was written by a wrong clock
_HEALTH_CHECK = "health check"
_ENDED_BADLY = frozenset({"failure", "interrupted"})


def last_good(outlook: Outlook) -> Good:
    """By the transfers of all VM backups in the logs, of jobs that are gone too."""
    mirrors = {job.id for job in outlook.estate.jobs if job.type == "mirrorBackup"}
    unfit = _unfit(outlook.estate.logs)
    found: dict[str, dict[str, datetime]] = {}
    newest: dict[tuple[str, str], int] = {}
    latest = (outlook.now + _AHEAD).timestamp() * 1000
    for (job, vm, target), transfers in outlook.history.transfers.items():
        if job in mirrors:
            continue
        good = (one.start for one in reversed(transfers) if (one.run, vm) not in unfit and one.start <= latest)
        start = next(good, None)
        if start is not None and start > newest.get((vm, target), 0):
            newest[vm, target] = start
            found.setdefault(vm, {})[target] = datetime.fromtimestamp(start / 1000, UTC)
    return found


def reach(estate: Estate, now: datetime) -> timedelta | None:
    """How far back the logs that guard read tell of runs: to the oldest of them, and no further than guard asked.

    None where they could not be read, may be filtered, or there are none.
    """
    began = [one.began for one in estate.logs if one.began is not None]
    if not estate.parts[PartName.LOGS].usable or not began:
        return None
    return max(timedelta(), min(now - min(began), timedelta(days=estate.xo.history_days)))


def _unfit(logs: Iterable[BackupLog]) -> frozenset[tuple[str, str]]:
    """(run, VM id) of backups that failed their health check, in the attempt that counts."""
    return frozenset(
        (log.id, vm_of(task))
        for log in logs
        for task in log.tasks or ()
        if task.status in _ENDED_BADLY and any(_health_checks(task.tasks))
    )


def _health_checks(tasks: Iterable[LogTask]) -> Iterator[bool]:
    for task in tasks:
        if task.message == _HEALTH_CHECK and task.status in _ENDED_BADLY:
            yield True
        yield from _health_checks(task.tasks)
