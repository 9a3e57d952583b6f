"""Job settings with which XO itself fails, or succeeds without a backup (failure-modes.md 4.2)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import JobSettingsOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids, target_sr_ids
from guard.mechanics.retention import kept_backups
from guard.mechanics.settings import Settings, settings_key_exists
from guard.units import plural, some_of

SETTINGS_MISSING = Code(
    id="SETTINGS_MISSING",
    title="The job has no settings for this schedule",
    why="XO reads the retention of a schedule from the job's settings. Without an entry the run crashes at its start "
    '("Cannot read properties of undefined"); with all retentions at 0 it succeeds and keeps nothing.',
    do="Open the job in XO, edit the schedule, set a retention and save.",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)

JOB_MISCONFIGURED = Code(
    id="JOB_MISCONFIGURED",
    title="Two settings of the job do not go together",
    why="XO accepts them when the job is saved and refuses them in the run: an offline backup with snapshots to keep, or a "
    "long-term retention without a time zone or with a number that is not positive. Or it ignores one: snapshot data is "
    "purged (CBT) only where disks are read by NBD and no snapshots are kept.",
    do="Edit the job in XO: take one of the two settings out, or give the schedule a time zone and a positive retention.",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)


def evaluate(view: View, options: JobSettingsOptions) -> list[Finding]:
    """A missing entry and settings that do not go together block, retentions of nothing warn."""
    del options
    job, schedule = view.run.job, view.run.schedule
    if not settings_key_exists(job, schedule.id):
        text = f"Job {job.name} has no settings for schedule {schedule.name}: XO crashes when it starts it."
        return [_finding(view, Level.BLOCK, text)]
    clash = _clash(view.run.settings)
    if clash is not None:
        why, figure = clash
        text = f"Job {job.name}, schedule {schedule.name}: {why}; every VM would fail."
        return [_finding(view, Level.BLOCK, text, view.fact(*figure, PartName.JOBS), code=JOB_MISCONFIGURED)]
    idle = _idle(view.run.settings)
    found = []
    if idle is not None:
        text = (
            f"Job {job.name}, schedule {schedule.name}: {idle}, so snapshot data is never deleted after the transfer."
        )
        told = view.fact("cbtDestroySnapshotData", value=True, unit="", part=PartName.JOBS)
        found.append(_finding(view, Level.WARN, text, told, code=JOB_MISCONFIGURED))
    vms = (*view.run.selection.ids, *view.run.selection.unknown)
    lost = _keeping_nothing(view, vms or ("",))
    if not lost:
        return found
    facts = [view.fact("retention", 0, "backups", PartName.JOBS)]
    if len(lost) >= len(vms):
        text = f"Job {job.name} keeps nothing for schedule {schedule.name}: XO would report a success without a backup."
    else:
        names = some_of(map(view.vm_name, lost))
        text = f"Job {job.name} keeps nothing of {len(lost)} of {plural(len(vms), 'VM')} ({names}) for schedule "
        text += f"{schedule.name}: XO would report a success without a backup of them."
        facts.append(view.fact("vms_without_retention", len(lost), "VMs", PartName.JOBS))
    return [*found, _finding(view, Level.WARN, text, *facts)]


def _idle(settings: Settings) -> str | None:
    """Why XO never deletes the data of the snapshots it was told to purge: both conditions are its own (_AbstractXapi.mjs)."""
    if not settings.cbt_destroy_snapshot_data:
        return None
    if settings.snapshot_retention > 0:
        return f"it shall purge snapshot data (CBT) and keep {plural(settings.snapshot_retention, 'snapshot')}"
    return None if settings.prefer_nbd else "it shall purge snapshot data (CBT) but not read disks by NBD"


def _clash(settings: Settings) -> tuple[str, tuple[str, float | str | None, str]] | None:
    """Two settings that XO stores and its backup code refuses, VM by VM: why, and the figure with its name and unit.

    (failure-modes.md 4.2; _getOldEntries.mjs)
    """
    if settings.offline_backup and settings.snapshot_retention > 0:
        text = (
            f"an offline backup takes no snapshots, and {plural(settings.snapshot_retention, 'snapshot')} shall be kept"
        )
        return text, ("snapshotRetention", settings.snapshot_retention, "snapshots")
    for name, entry in (settings.long_term_retention or {}).items():
        count = entry.get("retention") if isinstance(entry, dict) else None
        if not isinstance(count, int) or count <= 0:
            return f"its long-term retention {name} is no positive number", (name, str(count), "")
    if settings.long_term_retention and not settings.timezone:
        return "its long-term retention has no time zone", ("timezone", None, "")
    return None


def _keeping_nothing(view: View, vms: tuple[str, ...]) -> list[str]:
    """The VMs of which no target and no snapshot is kept; those without settings of their own are judged once."""
    run = view.run
    repositories, srs = repository_ids(run.job), target_sr_ids(run.job)
    own = run.job.settings or {}
    kept = {
        vm: kept_backups(run.job, run.schedule.id, vm, repositories, srs)
        for vm in dict.fromkeys(("", *(vm for vm in vms if vm in own)))
    }
    return [vm for vm in vms if kept.get(vm, kept[""]) == 0]


def _finding(view: View, level: Level, summary: str, *facts: Fact, code: Code = SETTINGS_MISSING) -> Finding:
    return Finding(
        code=code.id,
        check="job_settings",
        level=level,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.JOB, view.run.job.id, view.run.job.name),
        summary=summary,
        facts=facts,
        remedy=f"Edit schedule {view.run.schedule.name} of job {view.run.job.name} in XO and "
        + ("set a retention." if code is SETTINGS_MISSING else "correct these settings."),
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="job_settings",
    title="Job settings",
    codes=(SETTINGS_MISSING, JOB_MISCONFIGURED),
    needs={PartName.JOBS: timedelta(minutes=10)},
    options=JobSettingsOptions,
    evaluate=evaluate,
)
