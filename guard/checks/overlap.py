"""Overlapping runs: of the same job (XO refuses the second), and of other jobs on the same VM or repository."""

from __future__ import annotations

from datetime import datetime, timedelta

from guard.checks.check import Check
from guard.checks.options import OverlapOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.history import Quantiles, quantiles
from guard.mechanics.outlook import ExpectedRun, repository_ids
from guard.mechanics.repository_space import is_object_store
from guard.units import format_duration, plural, some_of

JOB_RUNNING = Code(
    id="JOB_RUNNING",
    title="The job is still running",
    why='XO runs a job once at a time. A second start fails at once: "the job is already running". No time limit ends a run: '
    "XO ignores the job's timeout setting.",
    do="Wait for the run to end. When it makes no progress for hours, only a restart of xo-server (or of the proxy) ends it.",
    page_section="Error: the job is already running",
    certainty=(Certainty.LIKELY,),
    clears=(ClearedBy.TIME,),
)
JOB_STUCK = Code(
    id="JOB_STUCK",
    title="A run makes no progress",
    why="It lasts far longer than ever before, and its log shows no step any more: for half an hour when guard watches it, for "
    "a day when a further run is due. XO has no time limit and cannot cancel it, and until it ends every further run of "
    "the job fails.",
    do="Look at Tasks in XO and at the storage of the VM it is at. XO's log shows nothing while one large transfer goes on: "
    "when its progress or the network still moves, leave it. When nothing moves, restart xo-server (or the proxy) at "
    "a time without other runs; the run is then marked as interrupted.",
    page_section="Error: the job is already running",
    certainty=(Certainty.LIKELY,),
    clears=(ClearedBy.PERSON,),
)
RUN_OVERLAP = Code(
    id="RUN_OVERLAP",
    title="Two runs collide",
    why="By past durations another run still goes on at this due time. The same job: XO refuses the start. Another job on the "
    'same VM and repository: "Lock file is already being held".',
    do="Move one of the schedules, or leave more time between them.",
    page_section="Error: the job is already running",
    certainty=(Certainty.CERTAIN, Certainty.LIKELY, Certainty.TREND),
    clears=(ClearedBy.TIME,),
)


_SOON = timedelta(hours=1)
"""A run whose end cannot be told stands in the way of what is due this soon; further ahead it is unknown."""


def evaluate(view: View, options: OverlapOptions) -> list[Finding]:
    """The run going on now, then the one expected to go on, then other jobs that share VMs or repositories."""
    stuck = _stuck(view, options)
    if stuck is not None:
        return [stuck]
    own = _running_now(view, options) or _predicted(view, options)
    return [own] if own is not None else _shared(view, options)


def _stuck(view: View, options: OverlapOptions) -> Finding | None:
    """A run that will not end by itself stands in the way of every later one."""
    job = view.run.job
    now = view.outlook.running.get(job.id)
    if now is None or now.since is None or now.moved is None or not now.is_stuck(view.now):
        return None
    seconds = quantiles(view.outlook.history.seconds.get(now.schedule, ()))
    usually = "" if now.longest is None else f", usually at most {format_duration(now.longest.total_seconds())}"
    lasts, quiet = (format_duration((view.now - at).total_seconds()) for at in (now.since, now.moved))
    return _finding(
        view,
        options,
        code=JOB_STUCK,
        level=Level.BLOCK,
        certainty=Certainty.LIKELY,
        summary=f"Job {job.name} is running since {lasts}{usually}, and its log shows no step for {quiet}: it seems stuck.",
        eta=None,
        remedy="Look at Tasks in XO whether its transfer still moves. When nothing does, restart xo-server (or the proxy): that "
        "ends this run, and all others that go on.",
        seconds=seconds,
        more=(
            view.fact("lasts", round((view.now - now.since).total_seconds()), "s", PartName.LOGS),
            view.fact("quiet_for", round((view.now - now.moved).total_seconds()), "s", PartName.LOGS),
        ),
        by=ClearedBy.PERSON,
    )


def _running_now(view: View, options: OverlapOptions) -> Finding | None:
    job, due = view.run.job, view.run.due.at
    now = view.outlook.running.get(job.id)
    if now is None or view.outlook.came_before(view.run, now.schedule, now.since):
        return None
    end = now.ends_by(options.min_samples)
    meets, other = view.outlook.meets(view.run, options.min_samples)
    if (not meets or other is not None) if end is not None else _is_later_turn(view):
        return None
    since = f" since {format_duration((view.now - now.since).total_seconds())}" if now.since is not None else ""
    soon = end is not None or due - view.now <= _SOON
    ends = f"by its past it ends about {view.clock(end)}" if end is not None else "when it ends cannot be told"
    return _finding(
        view,
        options,
        code=JOB_RUNNING,
        level=Level.BLOCK if soon else Level.UNKNOWN,
        certainty=Certainty.LIKELY if soon else Certainty.TREND,
        summary=f"Job {job.name} is running{since}; {ends}.",
        eta=end,
        remedy="Wait for it to end; if it makes no progress for hours, only a restart of xo-server (or the proxy) ends it.",
        seconds=quantiles(view.outlook.history.seconds.get(now.schedule, ())),
    )


def _is_later_turn(view: View) -> bool:
    """Without a known end, a run that goes on now is held against the job's next due run only."""
    return any(view.now < one.due.at < view.run.due.at for one in view.outlook.of_job(view.run.job.id))


def _predicted(view: View, options: OverlapOptions) -> Finding | None:
    meets, other = view.outlook.meets(view.run, options.min_samples)
    if not meets or other is None:
        return None
    same = other.due.at == view.run.due.at
    if same:
        text = f"Schedule {other.schedule.name} starts the same job at the same minute; XO refuses the second start."
    else:
        text = (
            f"The run of {other.schedule.name} due {view.clock(other.due.at)} takes up to "
            f"{format_duration(other.seconds.p90 or 0)} (P90 of {plural(other.seconds.samples, 'run')}) and would still go on."
        )
    return _finding(
        view,
        options,
        code=RUN_OVERLAP,
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN if same else Certainty.LIKELY,
        summary=text,
        eta=None if same else other.ends,
        remedy='Leave more time between the schedules, or let the policy run it later (overlap = "one_later").',
    )


def _shared(view: View, options: OverlapOptions) -> list[Finding]:
    """Other jobs at work at the same time: on the same VMs and repository, on the same VMs, on a mirror's repositories."""
    mine = view.run
    vms, targets = set(view.vms), _touched(mine)
    locked = {one for one in targets if not _has_no_locks(view, one)}
    beside: list[str] = []
    end = mine.ends if mine.ends is not None and mine.seconds.samples >= options.min_samples else mine.due.at
    for other in view.outlook.around(mine.due.at, end):
        if other.due.at > mine.due.at and other.due.at >= end:
            break
        if other.job.id == mine.job.id or other.seconds.samples < options.min_samples or _over(other) <= mine.due.at:
            continue
        if mine.due.via and (mine.due.via, mine.due.sequence_at) == (other.due.via, other.due.sequence_at):
            continue
        both, theirs = vms.intersection(other.selection.ids), _touched(other)
        share, mirrors = bool(locked & theirs), "mirrorBackup" in (mine.job.type, other.job.type)
        mirror = share and mirrors
        if both or mirror:
            return [_collision(view, options, other, len(both), share=share, mirror=mirror)]
        if not mirrors and targets & theirs and other.job.name not in beside:
            beside.append(other.job.name)
    return [_beside(view, options, beside)] if beside else []


def _touched(run: ExpectedRun) -> set[str]:
    """The repositories in which a run works on VM folders: its targets, and a mirror's source (failure-modes.md 3.11)."""
    source = {run.job.source_remote} if run.job.source_remote else set()
    return {*repository_ids(run.job), *source}


def _has_no_locks(view: View, repository_id: str) -> bool:
    """XO's lock does nothing on object stores (FS/abstract.js:646): two runs never meet there."""
    repository = view.estate.repository_by_id.get(repository_id)
    return repository is not None and is_object_store(repository.url)


def _collision(
    view: View, options: OverlapOptions, other: ExpectedRun, both: int, *, share: bool, mirror: bool
) -> Finding:
    when = f"Job {other.job.name}, due {view.clock(other.due.at)},"
    if mirror:
        text = (
            f"{when} works on the same repository at the same time; a mirror locks each VM's folder at its source too."
        )
    elif share:
        text = (
            f"{when} backs up {plural(both, 'VM')} of this run to the same repository at the same time; the second to come "
            "finds the lock held."
        )
    else:
        text = (
            f"{when} backs up {plural(both, 'VM')} of this run at the same time; both snapshot them, and the second may find "
            "their chains unhealthy."
        )
    return _finding(
        view,
        options,
        code=RUN_OVERLAP,
        level=Level.WARN,
        certainty=Certainty.LIKELY if share else Certainty.TREND,
        summary=text,
        eta=other.ends,
        remedy="Leave more time between the two jobs' schedules.",
    )


def _beside(view: View, options: OverlapOptions, names: list[str]) -> Finding:
    shown = some_of(names)
    return _finding(
        view,
        options,
        code=RUN_OVERLAP,
        level=Level.OK,
        certainty=Certainty.LIKELY,
        summary=f"Shares a repository at that time with {plural(len(names), 'other job')} ({shown}); no VM is in both.",
        eta=None,
        remedy="Nothing to do, unless the repository is too slow for both.",
    )


def _over(other: ExpectedRun) -> datetime:
    return other.ends or other.due.at


def _finding(
    view: View,
    options: OverlapOptions,
    *,
    code: Code,
    level: Level,
    certainty: Certainty,
    summary: str,
    eta: datetime | None,
    remedy: str,
    seconds: Quantiles | None = None,
    more: tuple[Fact, ...] = (),
    by: ClearedBy = ClearedBy.TIME,
) -> Finding:
    seconds = view.run.seconds if seconds is None else seconds
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
            *more,
        ),
        remedy=remedy,
        clears=Clears(by, eta),
    )


CHECK = Check(
    name="overlap",
    title="Overlapping runs",
    codes=(JOB_RUNNING, JOB_STUCK, RUN_OVERLAP),
    needs={PartName.JOBS: timedelta(minutes=10), PartName.LOGS: timedelta(hours=1)},
    options=OverlapOptions,
    evaluate=evaluate,
    job_types=frozenset({"backup", "mirrorBackup", "metadataBackup"}),
)
