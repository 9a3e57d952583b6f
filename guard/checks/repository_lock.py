"""VM folders on a backup repository that something else holds: a run that goes on, a merge (failure-modes.md 3.11, 9.4).

Other jobs that are due are told by the check ``overlap``; here it is what runs now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from guard.checks.check import Check
from guard.checks.options import RepositoryLockOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.estate.xo_records import Job
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids, target_sr_ids
from guard.mechanics.repository_locks import at_work, let_go, locked_places, merges_end
from guard.units import plural, some_of

REPOSITORY_LOCKED = Code(
    id="REPOSITORY_LOCKED",
    title="Another process holds the VM's folder on the backup repository",
    why="Another run, a merge of older backups or a mirror works on the same VM there; after a transfer that was cut the "
    "lock stays for about half a minute, or until the worker ends.",
    do="Wait until the other run or the merge has ended, then run it again; never delete the lock. Leave more time between "
    "jobs with the same VMs, and check that the repository keeps up: merges of slow storage run into the next job.",
    page_section="Error: Lock file is already being held",
    certainty=(Certainty.LIKELY, Certainty.TREND),
    clears=(ClearedBy.TIME,),
)

_AT_ONCE = timedelta(minutes=15)
_SOON = timedelta(hours=1)
"""A run whose end cannot be told is held against what is due this soon; further ahead it tells nothing."""


@dataclass(frozen=True)
class _Other:
    """A run of another job that goes on now and may still do so. ``ends`` None: cannot be told. ``places``: shared."""

    job: Job
    since: datetime | None
    ends: datetime | None
    samples: int
    places: tuple[str, ...]


def evaluate(view: View, options: RepositoryLockOptions) -> list[Finding]:
    """Runs of other jobs that go on now, then merges that the last runs left to do."""
    mine = locked_places(view.outlook, view.run.job)
    if not mine:
        return []
    running = [found for other in _others(view, options, mine) if (found := _running(view, options, other)) is not None]
    merging = [found for place in sorted(mine) if (found := _merging(view, place)) is not None]
    return [*running, *merging]


def _others(view: View, options: RepositoryLockOptions, mine: frozenset[str]) -> list[_Other]:
    found = []
    for job_id, now in view.outlook.running.items():
        job, ends = view.estate.job_by_id[job_id], now.ends_by(options.min_samples)
        over = ends <= view.run.due.at if ends is not None else view.run.due.at - view.now > _SOON
        if job_id == view.run.job.id or over or view.outlook.came_before(view.run, now.schedule, now.since):
            continue
        places = tuple(sorted(mine & locked_places(view.outlook, job)))
        if places:
            found.append(_Other(job, now.since, ends, now.samples, places))
    return found


def _running(view: View, options: RepositoryLockOptions, other: _Other) -> Finding | None:
    """A mirror may come to any VM's folder at any time, and what it has still to do is not shown: that is no reason to wait."""
    if "mirrorBackup" in (view.run.job.type, other.job.type):
        holds: tuple[str, ...] = ()
        what = "works on the same repository; a mirror locks each VM's folder at its source too"
    else:
        theirs = set(view.outlook.selection_of(other.job).ids) - let_go(view.outlook, other.job)
        holds = tuple(vm for vm in view.vms if vm in theirs)
        if not holds:
            return None
        what = f"has not finished with {plural(len(holds), 'VM')} of this run on the same repository ({_names(view, holds)})"
    now = (
        at_work(view.outlook, other.job).intersection(holds) if view.run.due.at - view.now <= _AT_ONCE else frozenset()
    )
    alone = set(repository_ids(view.run.job)) <= set(other.places) and not target_sr_ids(view.run.job)
    told = (
        f"by its past it ends about {view.clock(other.ends)}"
        if other.ends is not None
        else "when it ends cannot be told"
    )
    return Finding(
        code=REPOSITORY_LOCKED.id,
        check="repository_lock",
        # what it has not begun with it does not hold yet, and what it holds now it may have let go in a quarter of an hour
        level=Level.BLOCK if now and alone and other.ends is not None else Level.WARN,
        certainty=Certainty.LIKELY if now and other.ends is not None else Certainty.TREND,
        harm=Harm.NONE,
        scope=_scope(view, other.places[0]),
        holds=tuple(vm for vm in holds if vm in now) if now else holds,
        summary=f"Job {other.job.name} is running and {what}; {told}. Who comes second to a VM's folder finds it locked.",
        facts=(
            view.fact("since", other.since.isoformat() if other.since is not None else None, "", PartName.LOGS),
            view.fact("ends", other.ends.isoformat() if other.ends is not None else None, "", PartName.LOGS),
            view.fact("samples", other.samples, "runs", PartName.LOGS),
            policy_fact("min_samples", options.min_samples, "runs"),
        ),
        remedy=f"Wait until {other.job.name} has finished with these VMs. Leave more time between the two jobs' schedules.",
        clears=Clears(ClearedBy.TIME, other.ends),
    )


def _merging(view: View, place: str) -> Finding | None:
    ends = merges_end(view.outlook, place)
    holds = tuple(vm for vm in view.vms if vm in ends and ends[vm] > view.run.due.at)
    if not holds:
        return None
    last, scope = max(ends[vm] for vm in holds), _scope(view, place)
    return Finding(
        code=REPOSITORY_LOCKED.id,
        check="repository_lock",
        level=Level.WARN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=scope,
        holds=holds,
        summary=f"Backup repository {scope.name}: after their last delta older ones are merged, for {plural(len(holds), 'VM')} of "
        f"this run perhaps until {view.clock(last)} ({_names(view, holds)}); their folders are locked meanwhile.",
        facts=(
            view.fact("vms", len(holds), "VMs", PartName.LOGS),
            view.fact("ends", last.isoformat(), "", PartName.LOGS),
        ),
        remedy=f"Leave more time between the runs of these VMs, or find out why {scope.name} is slow.",
        clears=Clears(ClearedBy.TIME, last),
    )


def _scope(view: View, repository_id: str) -> Scope:
    return Scope(ScopeKind.REPOSITORY, repository_id, view.estate.repository_by_id[repository_id].name)


def _names(view: View, vms: Sequence[str]) -> str:
    return some_of(map(view.vm_name, vms))


CHECK = Check(
    name="repository_lock",
    title="Locks on backup repositories",
    codes=(REPOSITORY_LOCKED,),
    needs={
        PartName.JOBS: timedelta(minutes=10),
        PartName.LOGS: timedelta(hours=1),
        PartName.REPOSITORIES: timedelta(minutes=10),
    },
    options=RepositoryLockOptions,
    evaluate=evaluate,
    job_types=frozenset({"backup", "mirrorBackup"}),
)
