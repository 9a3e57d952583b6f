"""Backup-repository space and reachability (failure-modes.md 3.8, 4.1, 9.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import RepositoryOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.estate.xo_records import Repository
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids, target_sr_ids
from guard.mechanics.repository_space import (
    Estimate,
    Space,
    estimate,
    is_object_store,
    joined,
    keeps_blocks,
    less_margin,
    together,
)
from guard.mechanics.repository_writings import added_before, mirror_writing, writers_before, writing
from guard.units import format_bytes, plural, some_of

REPOSITORY_NO_SPACE = Code(
    id="REPOSITORY_NO_SPACE",
    title="A backup repository is too full for the run",
    why="XO checks no free space before it writes: the transfer fails with ENOSPC. A failed transfer also costs the delta "
    "base, so the next attempt is a full and needs even more room.",
    do="Free space on the backup repository (df -h there; xoa check on the XO machine), lower the retention of a job that "
    "writes to it, or send some VMs elsewhere.",
    page_section="ENOSPC: no space left on device",
    certainty=(Certainty.LIKELY, Certainty.TREND),
    harm=(Harm.NONE, Harm.REPOSITORY),
    clears=(ClearedBy.PERSON,),
)
REPOSITORY_UNREACHABLE = Code(
    id="REPOSITORY_UNREACHABLE",
    title="XO could not use a backup repository when it last tried",
    why="XO keeps the error of its last mount or test. A run whose only repository cannot be opened attempts no VM, or "
    "leaves snapshots without a backup.",
    do="In XO, Settings > Backup repositories, press Test. Check the share, the network and the mount options.",
    certainty=(Certainty.LIKELY,),
    clears=(ClearedBy.REMEDY,),
)
REPOSITORY_DISABLED = Code(
    id="REPOSITORY_DISABLED",
    title="A backup repository of the job is disabled or gone",
    why="XO drops a disabled repository silently: with others left the run is a success with a copy missing; with none "
    'left it fails with "couldn\'t instantiate any remote".',
    do="Enable the backup repository in XO, or take it out of the job.",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)


@dataclass(frozen=True)
class _Room:
    """One place to write to, or several that share the VMs. ``space`` None: not known, ``why_unknown`` tells why.

    ``systems``: the file systems, as ``Outlook.file_systems`` names them.
    """

    scope: Scope
    space: Space | None
    why_unknown: str = ""
    systems: tuple[str, ...] = ()


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
    is_source = repository.id == view.run.job.source_remote
    left = "it is the source of this mirror" if is_source else "no other target is left"
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
    by_system: dict[str, list[Repository]] = {}
    for one in repositories:
        by_system.setdefault(view.outlook.file_systems[one.id], []).append(one)
    rooms = [_room(view, same) for same in by_system.values()]
    if view.run.settings.distribute_backups and len(rooms) > 1:
        rooms = [_joined(rooms)]
    measured = [room for room in rooms if room is not None]
    concurrency = view.run.settings.concurrency
    known = {room.scope.id: room.space for room in measured if room.space is not None}
    told = {place: estimate(space, concurrency, options.margin_percent) for place, space in known.items()}
    # an object store has no figures and takes what comes; replication to an SR goes on as well
    elsewhere = None in rooms or bool(target_sr_ids(view.run.job)) or len(told) < len(measured)
    nowhere = set() if elsewhere or not told else set.intersection(*(set(one.held) for one in told.values()))
    findings = [_judge(view, options, room, told.get(room.scope.id), nowhere) for room in measured]
    return [finding for finding in findings if finding is not None]


def _room(view: View, same: Sequence[Repository]) -> _Room | None:
    """What is free on the file system of these repositories and what this run writes there; None for an object store."""
    first, outlook, run = same[0], view.outlook, view.run
    if is_object_store(first.url):
        return None
    scope = Scope(ScopeKind.REPOSITORY, first.id, " + ".join(one.name for one in same))
    info = view.estate.repository_info.get(first.id)
    read = view.estate.parts[PartName.REPOSITORY_INFO]
    if info is None or not isinstance(info.available, int):
        return _Room(scope, None, "XO gave no free space for it" if read.ok else read.error)
    # distributed, a VM goes to one of them
    targets = [one.id for one in (same[:1] if run.settings.distribute_backups else same)]
    if run.job.type == "mirrorBackup":
        writings = {"": together([mirror_writing(outlook, run, one) for one in targets])}
    else:
        writings = {vm: together([writing(outlook, run, vm, one) for one in targets]) for vm in view.vms}
    system = outlook.file_systems[first.id]
    space = Space(
        free=info.available,
        size=info.size if isinstance(info.size, int) else 0,
        writings=writings,
        others=added_before(outlook, run, system),
        # one worker merges VM after VM
        merge=0 if keeps_blocks(first, info) else max((one.merge for one in writings.values()), default=0),
    )
    return _Room(scope, space, systems=(system,))


def _joined(rooms: Sequence[_Room | None]) -> _Room | None:
    """Distributed backups: each VM goes whole to one of the repositories, and their free space counts together."""
    measured = [room for room in rooms if room is not None]
    if len(measured) < len(rooms):
        return None
    scope = Scope(ScopeKind.REPOSITORY, measured[0].scope.id, " + ".join(room.scope.name for room in measured))
    unknown = next((room for room in measured if room.space is None), None)
    if unknown is not None:
        return _Room(scope, None, unknown.why_unknown)
    systems = tuple(one for room in measured for one in room.systems)
    return _Room(scope, joined([room.space for room in measured if room.space is not None]), systems=systems)


def _judge(
    view: View, options: RepositoryOptions, room: _Room, told: Estimate | None, nowhere: set[str]
) -> Finding | None:
    scope, space = room.scope, room.space
    if space is None or told is None:
        return _unknown(view, scope, None, f"whether the run fits cannot be told; {room.why_unknown}")
    if told.held:
        return _too_full(view, options, room, space, told, nowhere)
    if not told.fits:
        free = format_bytes(space.free) + (
            f" free, {format_bytes(space.largest)} on the emptiest" if space.largest else " free"
        )
        to = " up" if told.most is None else f" to {format_bytes(told.most)}"
        why = f"{free}, and whether the run fits cannot be told: it may write from {format_bytes(told.need)}{to}; "
        why += "; ".join(_reasons(space, told))
        return _unknown(view, scope, space.free, why)
    if space.size and 100 * space.free / space.size < options.warn_free_percent:
        return _low(view, options, scope, space, told)
    return None


def _reasons(space: Space, told: Estimate) -> list[str]:
    """Why whether it fits cannot be told."""
    reasons = []
    if "" in space.writings:
        reasons.append("no past run of this mirror tells")
    elif told.unsure:
        reasons.append(f"the past does not tell for {plural(told.unsure, 'VM')}")
    if any(one.freed < one.freed_at_most for one in space.writings.values()):
        reasons.append("what retention deletes meanwhile is not known")
    if space.merge:
        reasons.append(f"a merge of older deltas may need {format_bytes(space.merge)} more for a while")
    if space.others:
        reasons.append(f"other runs write {format_bytes(space.others)} before")
    return reasons


def _facts(view: View, options: RepositoryOptions, space: Space, told: Estimate) -> tuple[Fact, ...]:
    # XO caches these figures and does not stamp them, so they have no age (xo-api.md 3.4)
    free = {"available": space.free} | ({} if space.largest is None else {"largest_available": space.largest})
    source = view.estate.parts[PartName.REPOSITORY_INFO].source
    return (
        *(Fact(name=name, value=value, unit="bytes", source=source, observed_at=None) for name, value in free.items()),
        view.fact("need_p90", told.need, "bytes", PartName.LOGS),
        view.fact("vms_without_forecast", told.unsure, "VMs", PartName.LOGS),
        *(
            view.fact(name, value, "bytes", PartName.LOGS)
            for name, value in (("other_runs", space.others), ("merge", space.merge))
            if value
        ),
        policy_fact("margin", options.margin_percent, "%"),
    )


def _writers(view: View, room: _Room) -> list[str]:
    """The names of the jobs whose runs write there before this one."""
    names = (name for system in room.systems for name in writers_before(view.outlook, view.run, system))
    return list(dict.fromkeys(names))


def _too_full(
    view: View, options: RepositoryOptions, room: _Room, space: Space, told: Estimate, nowhere: set[str]
) -> Finding:
    scope = room.scope
    free, where, who, need, others = space.free, "", "this run", told.need, space.others
    if space.largest is not None and need <= less_margin(free, options.margin_percent) - space.others:
        # all of them fit together, the largest on none of the repositories
        first = told.held[0]
        free, where, who = space.largest, " on the emptiest", view.vm_name(first)
        need, others = space.writings[first].least, 0
    with_margin = round(need * (1 + options.margin_percent / 100))
    # the margin is of all that is written
    lacking = round((need + others) * (1 + options.margin_percent / 100)) - free
    kinds = [view.outlook.bytes_of(view.run, vm, scope.id).full for vm in space.writings if vm]
    beside = f"; other runs write {format_bytes(others)} before ({some_of(_writers(view, room))})" if others else ""
    kinds_told = f"{plural(kinds.count(True), 'full backup')}, {plural(kinds.count(False), 'delta')}, " if kinds else ""
    holds = tuple(vm for vm in told.held if vm in nowhere and vm)
    blocks = bool(holds) or "" in nowhere
    return Finding(
        code=REPOSITORY_NO_SPACE.id,
        check="repository",
        level=Level.BLOCK if blocks else Level.WARN,
        certainty=Certainty.LIKELY,
        harm=Harm.REPOSITORY if blocks else Harm.NONE,
        scope=scope,
        holds=holds if blocks else tuple(vm for vm in told.held if vm),
        summary=f"Backup repository {scope.name}: {format_bytes(free)} free{where}, {who} is expected to "
        f"write up to {format_bytes(with_margin)} ({kinds_told}{options.margin_percent:g} % margin){beside}"
        + ("." if blocks else "; the VMs that fail there still have another target."),
        facts=_facts(view, options, space, told),
        remedy=f"Free {format_bytes(lacking)} on {scope.name}, or lower a retention there.",
        clears=Clears(ClearedBy.PERSON),
    )


def _low(view: View, options: RepositoryOptions, scope: Scope, space: Space, told: Estimate) -> Finding:
    percent = 100 * space.free / space.size
    return Finding(
        code=REPOSITORY_NO_SPACE.id,
        check="repository",
        level=Level.WARN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=scope,
        summary=f"Backup repository {scope.name}: {percent:.0f} % free ({format_bytes(space.free)}); this run "
        f"fits with {format_bytes(round(told.need * (1 + options.margin_percent / 100)))}.",
        facts=(*_facts(view, options, space, told), policy_fact("warn_free", options.warn_free_percent, "%")),
        remedy=f"Plan for more room on {scope.name}.",
        clears=Clears(ClearedBy.PERSON),
    )


def _unknown(view: View, scope: Scope, free: int | None, why: str) -> Finding:
    source = view.estate.parts[PartName.REPOSITORY_INFO].source
    return Finding(
        code=REPOSITORY_NO_SPACE.id,
        check="repository",
        level=Level.UNKNOWN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=scope,
        summary=f"Backup repository {scope.name}: {why}.",
        facts=(Fact(name="available", value=free, unit="bytes", source=source, observed_at=None),),
        remedy=f"Ask again in a minute; if it stays so, test {scope.name} in XO."
        if free is None
        else f"Keep an eye on {scope.name}; once the schedule has run, its logs tell.",
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
