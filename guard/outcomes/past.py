"""The failures of past runs as data for the checks, which know of no classifier (guard/mechanics/past.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import UNSET

from guard.estate.xo_records import BackupLog, LogTask
from guard.finding import ScopeKind
from guard.mechanics.past import PastFailure
from guard.outcomes.causes import Cause, causes, overcome
from guard.outcomes.failures import name_and_id


def past_failures(logs: Iterable[BackupLog]) -> tuple[PastFailure, ...]:
    """Every failure of runs of which the log tells why, oldest run first; those that a retry made good too.

    A log that has lost its tasks (XO drops them after 31 days), or never had any, tells only an error of the whole job.
    """
    found: list[PastFailure] = []
    for log in sorted((one for one in logs if one.began is not None), key=lambda one: one.start or 0):
        found += _of_log(log)
    return tuple(found)


def _of_log(log: BackupLog) -> Iterator[PastFailure]:
    odd = [task for task in log.tasks or () if not _is_plain(task)]
    if not odd and (log.result is UNSET or log.result is None):
        return
    names = {name_and_id(task) for task in odd}
    # ten thousand VMs that did well are not walked for the three that did not
    short = msgspec.structs.replace(log, tasks=tuple(task for task in log.tasks or () if name_and_id(task) in names))
    standing = causes(short)
    for cause in standing:
        yield _failure(log, cause, made_good=False)
    known = {(cause.scope, cause.code) for cause in standing}
    for cause in overcome(short):
        if (cause.scope, cause.code) not in known:
            yield _failure(log, cause, made_good=True)


def _is_plain(task: LogTask) -> bool:
    """Whether a task went well at the first go; XO shows a failure further inside at its children too."""
    return task.status == "success" and not task.warnings and all(child.status == "success" for child in task.tasks)


def _failure(log: BackupLog, cause: Cause, *, made_good: bool) -> PastFailure:
    return PastFailure(
        run=log.id,
        start=log.start or 0,
        schedule=log.schedule_id or "",
        job=log.job_id or "",
        vm=cause.scope.id if cause.scope.kind is ScopeKind.VM else "",
        code=cause.code,
        place=cause.place.value,
        target=cause.target.id if cause.target is not None else "",
        text=cause.text,
        made_good=made_good,
    )
