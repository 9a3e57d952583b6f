"""Overlapping runs: of the same job (XO refuses the second), and of other jobs on the same VM or repository."""

from __future__ import annotations

from datetime import datetime, timedelta

from guard.checks.check import Check
from guard.checks.options import OverlapOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import ExpectedRun, repository_ids
from guard.units import format_duration, plural

JOB_RUNNING = Code(
    id="JOB_RUNNING",
    title="The job is still running",
    why='XO runs a job once at a time. A second start fails at once: "the job is already running". No time limit ends a run: '
    "XO ignores the job's timeout setting.",
    do="Wait for the run to end. When it makes no progress for hours, only a restart of xo-server (or of the proxy) ends it.",
    page_section="Error: the job is already running",
)
RUN_OVERLAP = Code(
    id="RUN_OVERLAP",
    title="Two runs collide",
    why="By past durations another run still goes on at this due time. The same job: XO refuses the start. Another job on the "
    'same VM and repository: "Lock file is already being held".',
    do="Move one of the schedules, or leave more time between them.",
    page_section="Error: the job is already running",
)


def evaluate(view: View, options: OverlapOptions) -> list[Finding]:
    """The run going on now, then the one expected to go on, then other jobs that share VMs."""
    own = _running_now(view, options) or _predicted(view, options)
    return [own] if own is not None else _shared(view, options)


def _running_now(view: View, options: OverlapOptions) -> Finding | None:
    job, due = view.run.job, view.run.due.at
    if job.id not in view.outlook.running:
        return None
    since, seconds = view.outlook.running[job.id], view.run.seconds
    known = since is not None and seconds.p90 is not None and seconds.samples >= options.min_samples
    end = since + timedelta(seconds=seconds.p90) if known and since is not None and seconds.p90 is not None else None
    if end is not None and end < view.now:
        end = None  # it already takes longer than usual: the past does not tell when it ends
    if end is not None and end <= due:
        return None
    text = f" since {format_duration((view.now - since).total_seconds())}" if since is not None else ""
    ends = f"; by its past it ends about {_clock(end)}" if end is not None else "; when it ends cannot be told"
    return _finding(
        view, JOB_RUNNING, f"Job {job.name} is running{text}{ends}.", end, Certainty.LIKELY, Level.BLOCK, options
    )


def _clock(moment: datetime) -> str:
    return moment.strftime("%a %H:%M UTC")


def _predicted(view: View, options: OverlapOptions) -> Finding | None:
    mine = view.run
    for other in view.outlook.runs:
        if other is mine:
            break  # sorted by due time: what comes later cannot stand in the way
        if other.job.id != mine.job.id:
            continue
        if other.due.at == mine.due.at:
            text = (
                f"Schedule {other.schedule.name} starts the same job at the same minute; XO refuses the second start."
            )
            return _finding(view, RUN_OVERLAP, text, None, Certainty.CERTAIN, Level.BLOCK, options)
        if other.seconds.samples >= options.min_samples and other.ends is not None and other.ends > mine.due.at:
            text = (
                f"The run of {other.schedule.name} due {_clock(other.due.at)} takes up to "
                f"{format_duration(other.seconds.p90 or 0)} (P90 of {plural(other.seconds.samples, 'run')}) and would still go on."
            )
            return _finding(view, RUN_OVERLAP, text, other.ends, Certainty.LIKELY, Level.BLOCK, options)
    return None


def _shared(view: View, options: OverlapOptions) -> list[Finding]:
    mine, vms, targets = view.run, set(view.vms), set(repository_ids(view.run.job))
    end = mine.ends or mine.due.at
    for other in view.outlook.runs:
        if other.due.at > end:
            break
        if other.job.id == mine.job.id or other.seconds.samples < options.min_samples or _over(other) <= mine.due.at:
            continue
        both = vms.intersection(other.selection.ids)
        if both and targets.intersection(repository_ids(other.job)):
            text = (
                f"Job {other.job.name}, due {_clock(other.due.at)}, backs up {plural(len(both), 'VM')} of this run to the same "
                "repository at the same time; the second to come finds the lock held."
            )
            return [_finding(view, RUN_OVERLAP, text, other.ends, Certainty.LIKELY, Level.WARN, options)]
    return []


def _over(other: ExpectedRun) -> datetime:
    return other.ends or other.due.at


def _finding(
    view: View,
    code: Code,
    summary: str,
    eta: datetime | None,
    certainty: Certainty,
    level: Level,
    options: OverlapOptions,
) -> Finding:
    seconds = view.run.seconds
    return Finding(
        code=code.id,
        check="overlap",
        level=level,
        certainty=certainty,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.JOB, view.run.job.id, view.run.job.name),
        summary=summary,
        facts=(
            view.fact("duration_p50", seconds.p50, "s", PartName.LOGS),
            view.fact("duration_p90", seconds.p90, "s", PartName.LOGS),
            view.fact("samples", seconds.samples, "runs", PartName.LOGS),
            policy_fact("min_samples", options.min_samples, "runs"),
        ),
        remedy='Leave more time between the schedules, or let the policy run it later (overlap = "one_later").',
        clears=Clears(ClearedBy.TIME, eta),
    )


CHECK = Check(
    name="overlap",
    title="Overlapping runs",
    codes=(JOB_RUNNING, RUN_OVERLAP),
    needs={PartName.JOBS: timedelta(minutes=10), PartName.LOGS: timedelta(hours=1)},
    options=OverlapOptions,
    evaluate=evaluate,
    job_types=frozenset({"backup", "mirrorBackup", "metadataBackup"}),
)
