"""Entries of the policy that do nothing because nothing in XO is what they ask for: a misspelt name guards no schedule."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from guard.estate.estate import Estate, PartName
from guard.estate.xo_records import Job, Schedule
from guard.mechanics.selection import named_tags
from guard.policy.resolve import asks_for, is_for
from guard.policy.schema import LimitRule, Policy, ScheduleRule, WindowRule

_THINGS = {"repository": PartName.REPOSITORIES, "sr": PartName.SRS, "pool": PartName.POOLS}


def idle_schedules(policy: Policy, estate: Estate) -> tuple[str, ...]:
    """One sentence for each [[schedule]] and [[window]] that is for none of XO's schedules, on or off.

    None where XO did not tell all of its schedules and jobs.
    """
    if not all(_is_whole(estate, part) for part in (PartName.SCHEDULES, PartName.JOBS, PartName.CALL_JOBS)):
        return ()
    known = [_known(estate, schedule) for schedule in estate.schedules]
    told = [
        f"schedule[{number}] of the policy ({_shown(rule)}) does nothing: XO shows no schedule that it matches"
        for number, rule in enumerate(policy.schedules, start=1)
        if not any(asks_for(rule, *one) for one in known)
    ]
    told += [
        f"window[{number}] of the policy ({_shown(window)}) does nothing: XO shows no schedule that it is for"
        for number, window in enumerate(policy.windows, start=1)
        if _shown(window) and not any(is_for(window, name, job, tags) for _, name, job, tags in known)
    ]
    return tuple(f"{one}." for one in told)


def idle_limits(policy: Policy, estate: Estate) -> tuple[str, ...]:
    """One sentence for each [[limit]] on things of a name that none has; none where XO did not tell all of that kind."""
    return tuple(
        f'limit[{number}] of the policy (name = "{limit.name}") does nothing: XO shows no {_word(limit)} of that name.'
        for number, limit in enumerate(policy.limits, start=1)
        if limit.per in _THINGS
        and _is_whole(estate, _THINGS[limit.per])
        and not any(fnmatchcase(name, limit.name) for name in _names(limit, estate))
    )


def _is_whole(estate: Estate, name: PartName) -> bool:
    part = estate.parts.get(name)
    return part is not None and part.usable


def _known(estate: Estate, schedule: Schedule) -> tuple[str, str, str, frozenset[str]]:
    """Its id and name, the name of its job, and the VM tags that the job's pattern asks for."""
    job = estate.job_by_id.get(schedule.job_id or "") or estate.call_job_by_id.get(schedule.job_id or "")
    tags = named_tags(job.vms) if isinstance(job, Job) else frozenset[str]()
    return schedule.id, schedule.name, job.name if job is not None else "", tags


def _shown(rule: ScheduleRule | WindowRule) -> str:
    """What it matches by, as written."""
    keys = ("id", "name", "job", "tag") if isinstance(rule, ScheduleRule) else ("schedule", "job", "tag")
    given = ((key, getattr(rule, key)) for key in keys)
    return ", ".join(f'{key} = "{value}"' for key, value in given if value is not None)


def _word(limit: LimitRule) -> str:
    return {"repository": "backup repository", "sr": "SR"}.get(limit.per, limit.per)


def _names(limit: LimitRule, estate: Estate) -> Iterator[str]:
    match limit.per:
        case "repository":
            yield from (one.name for one in estate.repositories)
        case "sr":
            yield from (one.name_label for one in estate.srs)
        case _:
            yield from (one.name_label for one in estate.pools)
