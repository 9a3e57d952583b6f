"""What the words of a scope, such as ``sr:NFS``, name in XO. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from guard.estate.estate import Estate, PartName
from guard.estate.xo_records import Schedule
from guard.mechanics.due import sequence_members
from guard.mechanics.fallback import is_fallback
from guard.mechanics.outlook import repository_ids
from guard.policy.scopes import parse_scope

_NEAR = 3
_PART = {
    "schedule": PartName.SCHEDULES,
    "job": PartName.JOBS,
    "pool": PartName.POOLS,
    "sr": PartName.SRS,
    "repository": PartName.REPOSITORIES,
    "vm": PartName.VMS,
}


def names_nothing(scope: str, estate: Estate) -> bool:
    """Whether nothing in XO has the name or id of a scope; False where XO did not tell all of that kind."""
    kind, name = parse_scope(scope)
    if kind == "all":
        return False
    part = estate.parts.get(_PART[kind])
    if part is None or not part.ok or not part.complete:
        return False
    return all(name not in pair for pair in _known(kind, estate))


def near_names(scope: str, estate: Estate) -> tuple[str, ...]:
    """Names of the scope's kind in XO that a person may have meant, the nearest first: those that hold its name, then
    those that are spelt much like it.
    """
    kind, name = parse_scope(scope)
    names = tuple(dict.fromkeys(shown for _, shown in _known(kind, estate)))
    holding = (one for one in names if name.casefold() in one.casefold())
    return tuple(dict.fromkeys((*holding, *difflib.get_close_matches(name, names, n=_NEAR))))[:_NEAR]


def schedules_of_job(wanted: str, estate: Estate) -> tuple[Schedule, ...]:
    """The schedules of the jobs of that id or name, call jobs included."""
    jobs = {id_ for id_, name in _known("job", estate) if wanted in (id_, name)}
    return tuple(one for one in estate.schedules if one.job_id in jobs)


def schedules_meant(scope: str, estate: Estate) -> tuple[Schedule, ...]:
    """The schedules whose runs a scope may name, sequences with the members that it names included, fallbacks left out.

    For a VM, a pool or an SR that is every schedule: which VMs a job takes need not be known here.
    """
    kind, name = parse_scope(scope)
    calls = estate.call_job_by_id
    repositories = {one.id for one in estate.repositories if name in (one.id, one.name)}

    def is_named(one: Schedule) -> bool:
        job = estate.job_by_id.get(one.job_id or "")
        if kind == "schedule":
            return name in (one.id, one.name)
        if kind == "job":
            return job is not None and name in (job.id, job.name)
        if kind == "repository":
            return job is not None and not repositories.isdisjoint(repository_ids(job))
        return True

    named = {one.id for one in estate.schedules if is_named(one)}
    found = []
    for one in estate.schedules:
        call = calls.get(one.job_id or "")
        if call is None:
            if one.id in named:
                found.append(one)
        elif not is_fallback(call):
            members = sequence_members(call)
            if members and (one.id in named or not named.isdisjoint(members)):
                found.append(one)
    return tuple(found)


def _known(kind: str, estate: Estate) -> Iterator[tuple[str, str]]:
    """(id, name) of everything of a kind that XO shows; of ``all`` there is nothing."""
    things: dict[str, Iterable[tuple[str, str]]] = {
        "schedule": ((one.id, one.name) for one in estate.schedules),
        "job": (*((one.id, one.name) for one in estate.jobs), *((one.id, one.name) for one in estate.call_jobs)),
        "pool": ((one.id, one.name_label) for one in estate.pools),
        "sr": ((one.id, one.name_label) for one in estate.srs),
        "repository": ((one.id, one.name) for one in estate.repositories),
        "vm": ((one.id, one.name) for one in estate.vms),
    }
    return iter(things.get(kind, ()))
