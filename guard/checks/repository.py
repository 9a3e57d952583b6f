"""Backup-repository space and reachability (failure-modes.md 3.8, 4.1, 9.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import RepositoryOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.estate.xo_records import Repository
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.history import quantiles
from guard.mechanics.outlook import repository_ids, target_sr_ids
from guard.mechanics.repository_space import Writing, peak, too_many
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


@dataclass(frozen=True)
class _Room:
    """One place to write to, or several that share the VMs, and what this run does there. ``free`` None: not known."""

    scope: Scope
    free: int | None
    size: int
    writings: Mapping[str, Writing]
    why_unknown: str = ""


def evaluate(view: View, options: RepositoryOptions) -> list[Finding]:
    """Disabled or missing repositories, then unreachable ones, then space on the targets that remain."""
    known, job = view.estate.repository_by_id, view.run.job
    targets = repository_ids(job)
    ids = tuple(dict.fromkeys((job.source_remote, *targets))) if job.source_remote else targets
    out = [one for one in ids if one not in known or not known[one].enabled]
    broken = [one for one in ids if one not in out and known[one].error]
    usable = [one for one in targets if one not in out and one not in broken]
    # XO gives up the whole run when no repository is left, its replication to SRs included (backups-ng/index.mjs:251)
    gone = all(one in out for one in targets) and bool(targets)
    findings = [_disabled(view, one, whole=gone or one == job.source_remote) for one in out]
    others = bool(usable) or bool(target_sr_ids(job))
    findings += [_unreachable(view, known[one], others=others and one != job.source_remote) for one in broken]
    if job.type == "metadataBackup":
        return findings  # a pool's metadata is a few MB
    return findings + _space(view, options, [known[one] for one in usable])


def _disabled(view: View, repository_id: str, *, whole: bool) -> Finding:
    repository = view.estate.repository_by_id.get(repository_id)
    name = repository.name if repository else repository_id
    state = "is disabled" if repository else "does not exist in XO any more"
    if repository_id == view.run.job.source_remote:
        effect = "it is the source of this mirror: XO refuses the whole run"
    elif whole:
        effect = "no target is left: XO refuses the whole run"
    elif view.run.job.type == "metadataBackup":
        effect = "the copy to it fails"
    else:
        effect = "XO leaves it out silently and reports a success"
    return Finding(
        code=REPOSITORY_DISABLED.id,
        check="repository",
        level=Level.BLOCK if whole else Level.WARN,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.REPOSITORY, repository_id, name),
        summary=f"Backup repository {name} {state}; {effect}.",
        facts=(view.fact("enabled", False if repository else None, "", PartName.REPOSITORIES),),
        remedy=f"Enable {name} in XO, or take it out of job {view.run.job.name}.",
        clears=Clears(ClearedBy.PERSON),
    )


def _unreachable(view: View, repository: Repository, *, others: bool) -> Finding:
    told = repository.error
    text = (told.get("message") or told.get("code") or "an error without text") if isinstance(told, dict) else str(told)
    left = (
        "it is the source of this mirror" if repository.id == view.run.job.source_remote else "no other target is left"
    )
    return Finding(
        code=REPOSITORY_UNREACHABLE.id,
        check="repository",
        level=Level.WARN if others else Level.BLOCK,
        certainty=Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.REPOSITORY, repository.id, repository.name),
        summary=f"Backup repository {repository.name}: XO's last attempt to use it failed ({text}); "
        + ("the other targets go on without it." if others else f"{left}."),
        facts=(view.fact("error", str(text), "", PartName.REPOSITORIES),),
        remedy=f"Test {repository.name} in XO (Settings > Backup repositories) and repair the share.",
        clears=Clears(ClearedBy.REMEDY),
    )


def _space(view: View, options: RepositoryOptions, repositories: Sequence[Repository]) -> list[Finding]:
    """Space on each target. A VM is held only where it fits on none of them: with one left, XO goes on."""
    rooms = [_room(view, one) for one in repositories]
    distributed = view.run.settings.distribute_backups and len(rooms) > 1
    if distributed:
        rooms = [_joined(rooms)]
    measured = [room for room in rooms if room is not None]
    concurrency = view.run.settings.concurrency
    held = {
        room.scope.id: set(too_many(room.writings, concurrency, _less_margin(room.free, options)))
        for room in measured
        if room.free is not None
    }
    # an object store has no figures and takes what comes; replication to an SR goes on as well
    elsewhere = None in rooms or bool(target_sr_ids(view.run.job)) or len(held) < len(measured)
    nowhere = set() if elsewhere or not held else set.intersection(*held.values())
    return [finding for room in measured if (finding := _judge(view, options, room, nowhere)) is not None]


def _less_margin(free: int, options: RepositoryOptions) -> int:
    """The bytes a run may be expected to write where so many are free."""
    return int(100 * free / (100 + options.margin_percent))


def _room(view: View, repository: Repository) -> _Room | None:
    """What is free on a repository and what this run writes there; None for an object store."""
    if repository.url.partition("://")[0].partition("+")[0] in _WITHOUT_DF:
        return None
    scope = Scope(ScopeKind.REPOSITORY, repository.id, repository.name)
    info = view.estate.repository_info.get(repository.id)
    read = view.estate.parts[PartName.REPOSITORY_INFO]
    if info is None or not isinstance(info.available, int):
        return _Room(scope, None, 0, {}, "XO gave no free space for it" if read.ok else read.error)
    size = info.size if isinstance(info.size, int) else 0
    if view.run.job.type == "mirrorBackup":
        writings = {"": _mirrored(view, repository.id)}
    else:
        writings = {vm: _writing(view, vm, repository.id) for vm in view.vms}
    return _Room(scope, info.available, size, writings)


def _mirrored(view: View, target: str) -> Writing:
    """A mirror copies what is new at its source: its own past runs tell how much that is."""
    high = quantiles(view.outlook.history.run_bytes.get((view.run.schedule.id, target), ())).p90
    return Writing(least=int(high or 0), most=None if high is None else int(high))


def _writing(view: View, vm_id: str, target: str) -> Writing:
    told = view.outlook.bytes_of(view.run, vm_id, target)
    settings = view.outlook.settings_of(view.run, vm_id)
    if told.high is None:
        return Writing(least=0, most=told.most)
    if settings.export_retention < 1:  # nothing is exported, unless a default that no API shows says otherwise
        return Writing(least=0, most=told.high)
    if view.run.job.mode != "full":
        return Writing(least=told.high, most=told.high)
    # retention is full when the VM has been sent that often; how large its oldest archive is, the newest ones tell
    transfers = view.outlook.history.transfers.get((view.run.job.id, vm_id, target), ())
    past = [one.size for one in transfers if one.schedule == view.run.schedule.id and one.size]
    sure = len(past) >= settings.export_retention and settings.long_term_retention is None
    freed, at_most = (min(past) if sure else 0), max((*past, told.high))
    if settings.delete_first:
        return Writing(least=max(0, told.high - at_most), most=told.high - min(told.high, freed))
    return Writing(least=told.high, most=told.high, freed=freed, freed_at_most=at_most)


def _joined(rooms: Sequence[_Room | None]) -> _Room | None:
    """Distributed backups: each VM goes to one of the repositories, so their free space counts together."""
    measured = [room for room in rooms if room is not None]
    if len(measured) < len(rooms):
        return None
    scope = Scope(ScopeKind.REPOSITORY, measured[0].scope.id, " + ".join(room.scope.name for room in measured))
    unknown = next((room for room in measured if room.free is None), None)
    if unknown is not None:
        return _Room(scope, None, 0, {}, unknown.why_unknown)
    free, size = sum(room.free or 0 for room in measured), sum(room.size for room in measured)
    return _Room(scope, free, size, measured[0].writings)


def _judge(view: View, options: RepositoryOptions, room: _Room, nowhere: set[str]) -> Finding | None:
    if room.free is None:
        return _unknown(view, room, f"whether the run fits cannot be told; {room.why_unknown}")
    concurrency, available = view.run.settings.concurrency, _less_margin(room.free, options)
    writings = tuple(room.writings.values())
    need = peak(writings, concurrency, hopeful=True) or 0
    at_most = peak(writings, concurrency, hopeful=False)
    if need > available:
        return _too_full(view, options, room, need, nowhere)
    if at_most is None or at_most > available:
        bounds = f"from {format_bytes(need)}" + (f" to {format_bytes(at_most)}" if at_most is not None else " up")
        lacking = sum(1 for one in writings if one.most is None or one.least < one.most)
        who = (
            "no past run of this mirror tells"
            if "" in room.writings
            else f"the past does not tell for {plural(lacking, 'VM')}"
        )
        return _unknown(
            view,
            room,
            f"{format_bytes(room.free)} free, and whether the run fits cannot be told: it may write {bounds}; {who}",
        )
    if room.size and 100 * room.free / room.size < options.warn_free_percent:
        return _low(view, options, room, need)
    return None


def _facts(view: View, options: RepositoryOptions, room: _Room, need: int | None) -> tuple[Fact, ...]:
    source = view.estate.parts[PartName.REPOSITORY_INFO].source
    lacking = sum(1 for one in room.writings.values() if one.most is None or one.least < one.most)
    return (
        # XO caches this figure and does not stamp it, so it has no age (xo-api.md 3.4)
        Fact(name="available", value=room.free, unit="bytes", source=source, observed_at=None),
        view.fact("need_p90", need, "bytes", PartName.LOGS),
        view.fact("vms_without_forecast", lacking, "VMs", PartName.LOGS),
        policy_fact("margin", options.margin_percent, "%"),
    )


def _too_full(view: View, options: RepositoryOptions, room: _Room, need: int, nowhere: set[str]) -> Finding:
    with_margin = round(need * (1 + options.margin_percent / 100))
    kinds = [view.outlook.bytes_of(view.run, vm, room.scope.id).full for vm in room.writings if vm]
    told = f"{plural(kinds.count(True), 'full backup')}, {plural(kinds.count(False), 'delta')}, " if kinds else ""
    mine = too_many(room.writings, view.run.settings.concurrency, _less_margin(room.free or 0, options))
    holds = tuple(vm for vm in mine if vm in nowhere and vm)
    whole = "" in nowhere
    blocks = bool(holds) or whole
    return Finding(
        code=REPOSITORY_NO_SPACE.id,
        check="repository",
        level=Level.BLOCK if blocks else Level.WARN,
        certainty=Certainty.LIKELY,
        harm=Harm.REPOSITORY if blocks else Harm.NONE,
        scope=room.scope,
        holds=holds if blocks else tuple(vm for vm in mine if vm),
        summary=f"Backup repository {room.scope.name}: {format_bytes(room.free or 0)} free, this run is expected to "
        f"write up to {format_bytes(with_margin)} ({told}{options.margin_percent:g} % margin)"
        + ("." if blocks else "; the VMs that fail there still have another target."),
        facts=_facts(view, options, room, need),
        remedy=f"Free {format_bytes(with_margin - (room.free or 0))} on {room.scope.name}, or lower a retention there.",
        clears=Clears(ClearedBy.PERSON),
    )


def _low(view: View, options: RepositoryOptions, room: _Room, need: int) -> Finding:
    free = room.free or 0
    return Finding(
        code=REPOSITORY_NO_SPACE.id,
        check="repository",
        level=Level.WARN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=room.scope,
        summary=f"Backup repository {room.scope.name}: {100 * free / room.size:.0f} % free ({format_bytes(free)}); this run "
        f"fits with {format_bytes(round(need * (1 + options.margin_percent / 100)))}.",
        facts=(
            *_facts(view, options, room, need),
            policy_fact("warn_free", options.warn_free_percent, "%"),
        ),
        remedy=f"Plan for more room on {room.scope.name}.",
        clears=Clears(ClearedBy.PERSON),
    )


def _unknown(view: View, room: _Room, why: str) -> Finding:
    source = view.estate.parts[PartName.REPOSITORY_INFO].source
    return Finding(
        code=REPOSITORY_NO_SPACE.id,
        check="repository",
        level=Level.UNKNOWN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=room.scope,
        summary=f"Backup repository {room.scope.name}: {why}.",
        facts=(Fact(name="available", value=room.free, unit="bytes", source=source, observed_at=None),),
        remedy=f"Ask again in a minute; if it stays so, test {room.scope.name} in XO."
        if room.free is None
        else f"Keep an eye on {room.scope.name}; once the schedule has run, its logs tell.",
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
