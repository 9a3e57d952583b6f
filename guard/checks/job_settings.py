"""Job settings with which XO itself fails, or succeeds without a backup (failure-modes.md 4.2)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import JobSettingsOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import ExpectedRun, repository_ids, target_sr_ids
from guard.mechanics.settings import settings_key_exists

SETTINGS_MISSING = Code(
    id="SETTINGS_MISSING",
    title="The job has no settings for this schedule",
    why="XO reads the retention of a schedule from the job's settings. Without an entry the run crashes at its start "
    '("Cannot read properties of undefined"); with all retentions at 0 it succeeds and keeps nothing.',
    do="Open the job in XO, edit the schedule, set a retention and save.",
)


def evaluate(view: View, options: JobSettingsOptions) -> list[Finding]:
    """A missing entry blocks, retentions of nothing warn."""
    del options
    run = view.run
    if not settings_key_exists(run.job, run.schedule.id):
        text = f"Job {run.job.name} has no settings for schedule {run.schedule.name}: XO crashes when it starts it."
        return [_finding(view, Level.BLOCK, text, 0)]
    kept = _kept(run)
    if kept == 0:
        text = f"Job {run.job.name} keeps nothing for schedule {run.schedule.name}: XO would report a success without a backup."
        return [_finding(view, Level.WARN, text, kept)]
    return []


def _kept(run: ExpectedRun) -> int:
    """What the run leaves behind: each retention counts only where the job has such a target (VmsXapi.mjs:85)."""
    settings, kept = run.settings, run.settings.snapshot_retention
    if repository_ids(run.job):
        kept += settings.export_retention + len(settings.long_term_retention or {})
    if target_sr_ids(run.job):
        kept += settings.copy_retention
    return kept


def _finding(view: View, level: Level, summary: str, kept: int) -> Finding:
    return Finding(
        code=SETTINGS_MISSING.id,
        check="job_settings",
        level=level,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.JOB, view.run.job.id, view.run.job.name),
        summary=summary,
        facts=(view.fact("retention", kept, "backups", PartName.JOBS),),
        remedy=f"Edit schedule {view.run.schedule.name} of job {view.run.job.name} in XO and set a retention.",
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="job_settings",
    title="Job settings",
    codes=(SETTINGS_MISSING,),
    needs={PartName.JOBS: timedelta(minutes=10)},
    options=JobSettingsOptions,
    evaluate=evaluate,
)
