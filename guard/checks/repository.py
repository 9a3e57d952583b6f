"""Backup-repository space and reachability (failure-modes.md 3.8, 4.1, 9.2)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import RepositoryOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.estate.xo_records import Repository
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids, target_sr_ids
from guard.units import format_bytes, plural

REPOSITORY_NO_SPACE = Code(
    id="REPOSITORY_NO_SPACE",
    title="A backup repository is too full for the run",
    why="XO checks no free space before it writes: the transfer fails with ENOSPC. A failed transfer also costs the delta "
    "base, so the next attempt is a full and needs even more room.",
    do="Free space on the backup repository (df -h there; xoa check on the XO machine), lower the retention of a job that "
    "writes to it, or send some VMs elsewhere.",
    page_section="ENOSPC: no space left on device",
)
REPOSITORY_UNREACHABLE = Code(
    id="REPOSITORY_UNREACHABLE",
    title="XO could not use a backup repository when it last tried",
    why="XO keeps the error of its last mount or test. A run whose only repository cannot be opened attempts no VM, or "
    "leaves snapshots without a backup.",
    do="In XO, Settings > Backup repositories, press Test. Check the share, the network and the mount options.",
)
REPOSITORY_DISABLED = Code(
    id="REPOSITORY_DISABLED",
    title="A backup repository of the job is disabled or gone",
    why="XO drops a disabled repository silently: with others left the run is a success with a copy missing; with none "
    'left it fails with "couldn\'t instantiate any remote".',
    do="Enable the backup repository in XO, or take it out of the job.",
)

_WITHOUT_DF = ("s3", "azure", "azurite")


def evaluate(view: View, options: RepositoryOptions) -> list[Finding]:
    """Disabled or missing targets, then unreachable ones, then space on those that remain."""
    ids = repository_ids(view.run.job)
    known = view.estate.repository_by_id
    out = [one for one in ids if one not in known or not known[one].enabled]
    broken = [one for one in ids if one not in out and known[one].error]
    usable = [one for one in ids if one not in out and one not in broken]
    others = bool(usable) or bool(target_sr_ids(view.run.job))
    findings = [_disabled(view, one, whole=len(out) == len(ids)) for one in out]
    findings += [_unreachable(view, known[one], others=others) for one in broken]
    for one in usable:
        finding = _space(view, options, known[one], others=len(usable) > 1)
        if finding is not None:
            findings.append(finding)
    return findings


def _disabled(view: View, repository_id: str, *, whole: bool) -> Finding:
    repository = view.estate.repository_by_id.get(repository_id)
    name = repository.name if repository else repository_id
    state = "is disabled" if repository else "does not exist in XO any more"
    effect = (
        "no target is left: XO refuses the whole run" if whole else "XO leaves it out silently and reports a success"
    )
    return Finding(
        code=REPOSITORY_DISABLED.id,
        check="repository",
        level=Level.BLOCK if whole else Level.WARN,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.REPOSITORY, repository_id, name),
        summary=f"Backup repository {name} {state}; {effect}.",
        facts=(view.fact("enabled", False, "", PartName.REPOSITORIES),),
        remedy=f"Enable {name} in XO, or take it out of job {view.run.job.name}.",
        clears=Clears(ClearedBy.PERSON),
    )


def _unreachable(view: View, repository: Repository, *, others: bool) -> Finding:
    told = repository.error
    text = (told.get("message") or told.get("code") or "an error without text") if isinstance(told, dict) else str(told)
    return Finding(
        code=REPOSITORY_UNREACHABLE.id,
        check="repository",
        level=Level.WARN if others else Level.BLOCK,
        certainty=Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.REPOSITORY, repository.id, repository.name),
        summary=f"Backup repository {repository.name}: XO's last attempt to use it failed ({text})"
        + ("; the other targets go on without it." if others else "; it is the only target left."),
        facts=(view.fact("error", str(text), "", PartName.REPOSITORIES),),
        remedy=f"Test {repository.name} in XO (Settings > Backup repositories) and repair the share.",
        clears=Clears(ClearedBy.REMEDY),
    )


def _space(view: View, options: RepositoryOptions, repository: Repository, *, others: bool) -> Finding | None:
    scheme = repository.url.partition("://")[0].partition("+")[0]
    info = view.estate.repository_info.get(repository.id)
    if scheme in _WITHOUT_DF:
        return None
    read = view.estate.parts[PartName.REPOSITORY_INFO]
    if info is None or not isinstance(info.available, int):
        return _unknown(view, repository, "XO gave no free space for it" if read.ok else read.error)
    # XO caches these figures and stamps none of them, so they have no age (xo-api.md 3.4)
    free = Fact(name="available", value=info.available, unit="bytes", source=read.source, observed_at=None)
    forecasts = {vm: view.outlook.bytes_of(view.run, vm, repository.id) for vm in view.vms}
    need = sum(one.high or 0 for one in forecasts.values())
    unknown = sum(1 for one in forecasts.values() if one.high is None)
    with_margin = round(need * (1 + options.margin_percent / 100))
    facts = (
        free,
        view.fact("need_p90", need, "bytes", PartName.LOGS),
        view.fact("vms_without_forecast", unknown, "VMs", PartName.LOGS),
        policy_fact("margin", options.margin_percent, "%"),
    )
    if with_margin > info.available:
        full = sum(1 for one in forecasts.values() if one.full)
        return Finding(
            code=REPOSITORY_NO_SPACE.id,
            check="repository",
            level=Level.BLOCK,
            certainty=Certainty.LIKELY,
            harm=Harm.REPOSITORY,
            scope=Scope(ScopeKind.REPOSITORY, repository.id, repository.name),
            holds=_largest_until_fits(view, repository, info.available, options.margin_percent),
            summary=f"Backup repository {repository.name}: {format_bytes(info.available)} free, this run is expected to "
            f"write up to {format_bytes(with_margin)} ({plural(full, 'full backup')}, "
            f"{len(forecasts) - full} deltas, {options.margin_percent:g} % margin).",
            facts=facts,
            remedy=f"Free {format_bytes(with_margin - info.available)} on {repository.name}, or lower a retention there.",
            clears=Clears(ClearedBy.PERSON),
        )
    if unknown and not others and need == 0:
        return _unknown(view, repository, f"no past run tells what {plural(unknown, 'VM')} will write")
    size = info.size if isinstance(info.size, int) else 0
    if size and 100 * info.available / size < options.warn_free_percent:
        return Finding(
            code=REPOSITORY_NO_SPACE.id,
            check="repository",
            level=Level.WARN,
            certainty=Certainty.TREND,
            harm=Harm.NONE,
            scope=Scope(ScopeKind.REPOSITORY, repository.id, repository.name),
            summary=f"Backup repository {repository.name}: {100 * info.available / size:.0f} % free "
            f"({format_bytes(info.available)}); this run fits with {format_bytes(with_margin)}.",
            facts=(*facts, policy_fact("warn_free", options.warn_free_percent, "%")),
            remedy=f"Plan for more room on {repository.name}.",
            clears=Clears(ClearedBy.PERSON),
        )
    return None


def _largest_until_fits(view: View, repository: Repository, available: int, margin: float) -> tuple[str, ...]:
    """The VMs to hold, largest transfer first, until the rest fits."""
    need = {
        vm: round((view.outlook.bytes_of(view.run, vm, repository.id).high or 0) * (1 + margin / 100))
        for vm in view.vms
    }
    left = sum(need.values())
    held = []
    for vm in sorted(need, key=lambda one: (-need[one], one)):
        if left <= available:
            break
        held.append(vm)
        left -= need[vm]
    return tuple(held)


def _unknown(view: View, repository: Repository, why: str) -> Finding:
    return Finding(
        code=REPOSITORY_NO_SPACE.id,
        check="repository",
        level=Level.UNKNOWN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.REPOSITORY, repository.id, repository.name),
        summary=f"Backup repository {repository.name}: whether the run fits cannot be told; {why}.",
        facts=(Fact(name="available", value=None, unit="bytes", source="remote.getAllInfo", observed_at=None),),
        remedy=f"Ask again in a minute; if it stays so, test {repository.name} in XO.",
        clears=Clears(ClearedBy.TIME),
    )


CHECK = Check(
    name="repository",
    title="Backup-repository space and reachability",
    codes=(REPOSITORY_NO_SPACE, REPOSITORY_UNREACHABLE, REPOSITORY_DISABLED),
    needs={PartName.REPOSITORIES: timedelta(minutes=10)},
    options=RepositoryOptions,
    evaluate=evaluate,
    job_types=frozenset({"backup", "mirrorBackup", "metadataBackup"}),
)
