"""Backups that retention has to delete while the storage protects them (failure-modes.md 4.1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from guard.checks.check import Check
from guard.checks.options import ImmutableOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Archive, Repository
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.archives import refused_deletions
from guard.mechanics.outlook import repository_ids
from guard.mechanics.past import PastFailure
from guard.mechanics.settings import effective
from guard.units import plural, some_of

REPOSITORY_IMMUTABLE = Code(
    id="REPOSITORY_IMMUTABLE",
    title="Retention must delete a backup that is protected",
    why="The storage keeps files immutable for longer than the job's retention, so deleting or merging the oldest backup is "
    "refused (EPERM). The new backup may be there all the same.",
    do="Raise the retention of the schedule until it covers the protection, or shorten the protection. Without immutable "
    "storage, look at owner and rights of the files on the share.",
    certainty=(Certainty.LIKELY,),
    clears=(ClearedBy.PERSON,),
)


def evaluate(view: View, options: ImmutableOptions) -> list[Finding]:
    """One finding per repository: by its list of backups where that was read, else by what the last runs ended with."""
    del options
    findings = []
    for target in dict.fromkeys(repository_ids(view.run.job)):
        repository = view.estate.repository_by_id.get(target)
        if repository is None or not repository.enabled:
            continue
        if view.knows(PartName.ARCHIVES) and target in view.estate.listed_repositories:
            protected = {vm: refused for vm in view.vms if (refused := _refused(view, vm, target))}
            if protected:
                findings.append(_listed(view, repository, protected))
        else:
            failed = _failed(view, target)
            if failed:
                findings.append(_past(view, repository, failed))
    return findings


def _refused(view: View, vm_id: str, target: str) -> tuple[Archive, ...]:
    run = view.run
    archives = view.estate.archives_of.get((target, vm_id), ())
    return refused_deletions(archives, run.job, run.schedule.id, effective(run.job, run.schedule.id, vm_id, target))


def _failed(view: View, target: str) -> dict[str, PastFailure]:
    """VM id -> how its last run ended, where that was this job's and XO was refused the deletion."""
    last = view.outlook.repeats(REPOSITORY_IMMUTABLE.id, 1).by_vm
    told = {vm: last[vm].failures[0] for vm in view.vms if vm in last}
    return {vm: one for vm, one in told.items() if one.job == view.run.job.id and one.target in (target, "")}


def _listed(view: View, repository: Repository, protected: dict[str, tuple[Archive, ...]]) -> Finding:
    archives = [one for refused in protected.values() for one in refused]
    oldest = min(one.timestamp or 0 for one in archives)
    before = view.run.settings.delete_first
    return _finding(
        view,
        repository,
        tuple(protected),
        f"retention has to delete {plural(len(archives), 'backup')} of {plural(len(protected), 'VM')} that the storage protects "
        f"({some_of(map(view.vm_name, protected))}); "
        + (
            "as the old backup goes first, XO makes no new one."
            if before
            else "XO writes the new backup, fails to delete the old one, and counts these VMs as failed."
        ),
        (
            ("protected", len(archives), "backups", PartName.ARCHIVES),
            ("oldest", datetime.fromtimestamp(oldest / 1000, UTC).isoformat(), "", PartName.ARCHIVES),
            ("retention", view.run.settings.export_retention, "backups", PartName.JOBS),
        ),
    )


def _past(view: View, repository: Repository, failed: dict[str, PastFailure]) -> Finding:
    return _finding(
        view,
        repository,
        tuple(failed),
        f"in the last run of {plural(len(failed), 'VM')} XO was refused to delete an old backup there "
        f"({some_of(map(view.vm_name, failed))}); retention fails again until the storage protects it no longer.",
        (
            ("vms", len(failed), "VMs", PartName.LOGS),
            ("text", next(iter(failed.values())).text, "", PartName.LOGS),
            ("retention", view.run.settings.export_retention, "backups", PartName.JOBS),
        ),
    )


def _finding(
    view: View,
    repository: Repository,
    holds: tuple[str, ...],
    text: str,
    figures: tuple[tuple[str, int | str, str, PartName], ...],
) -> Finding:
    return Finding(
        code=REPOSITORY_IMMUTABLE.id,
        check="immutable",
        level=Level.WARN,
        # the protection of a backup may end before it has to go: until when it lasts is not shown
        certainty=Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.REPOSITORY, repository.id, repository.name),
        holds=holds,
        summary=f"Backup repository {repository.name}: {text}",
        facts=tuple(view.fact(*figure) for figure in figures),
        remedy=f"Raise the retention of {view.run.schedule.name} until it covers the protection on {repository.name}, or shorten "
        "that; without such protection look at owner and rights of the files there.",
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="immutable",
    title="Immutable backups and retention",
    codes=(REPOSITORY_IMMUTABLE,),
    needs={PartName.REPOSITORIES: timedelta(minutes=10), PartName.LOGS: timedelta(hours=1)},
    options=ImmutableOptions,
    evaluate=evaluate,
)
