"""What a policy says of one schedule: defaults, then every matching [[schedule]], the later wins key by key.

And the windows in which it may start, and the limits, which are for all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase

import msgspec

from guard.checks.check import Options
from guard.policy.accept_schema import AcceptRule
from guard.policy.remedies_schema import RemediesSection
from guard.policy.schema import LimitRule, Policy, ScheduleRule, WindowRule


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """The policy in force for one schedule. ``windows``: those for it, each with its zone; ``limits`` and ``accepts``: all of them.

    ``max_defer`` None: 6 h or half the interval; ``max_backup_age`` None: 3 times the usual one (decision/deadline.py).
    """

    on_unknown: str
    overlap: str
    max_defer: timedelta | None
    max_backup_age: timedelta | None
    gate: str
    claim: str
    on_uncertain: str
    recheck_every: timedelta
    checks: Mapping[str, Options]
    windows: tuple[WindowRule, ...] = ()
    limits: tuple[LimitRule, ...] = ()
    remedies: RemediesSection = RemediesSection()
    accepts: tuple[AcceptRule, ...] = ()


def effective(
    policy: Policy, *, schedule_id: str, schedule_name: str, job_name: str, tags: Collection[str]
) -> Effective:
    """``tags``: the VM tags that the job's smart pattern asks for."""
    defaults, checks = policy.defaults, dict(policy.checks)
    for rule in policy.schedules:
        if asks_for(rule, schedule_id, schedule_name, job_name, tags):
            defaults = msgspec.structs.replace(defaults, **rule.changes)
            for name, changes in rule.checks.items():
                checks[name] = msgspec.structs.replace(checks[name], **changes)
    zone = policy.xo.zone or "utc"
    windows = tuple(
        msgspec.structs.replace(window, zone=window.zone or zone)
        for _, window in windows_for(policy, schedule_name=schedule_name, job_name=job_name, tags=tags)
    )
    return Effective(
        **msgspec.structs.asdict(defaults),
        checks=checks,
        windows=windows,
        limits=policy.limits,
        remedies=policy.remedies,
        accepts=policy.accepts,
    )


def windows_for(
    policy: Policy, *, schedule_name: str, job_name: str, tags: Collection[str]
) -> Iterator[tuple[int, WindowRule]]:
    """(number of its entry, counted from 1; window as written) of each window that is for a schedule."""
    for number, window in enumerate(policy.windows, start=1):
        if is_for(window, schedule_name, job_name, tags):
            yield number, window


def is_for(window: WindowRule, schedule_name: str, job_name: str, tags: Collection[str]) -> bool:
    """Whether a window is for a schedule of these names and of a job with these tags in its pattern."""
    return (
        (window.schedule is None or fnmatchcase(schedule_name, window.schedule))
        and (window.job is None or fnmatchcase(job_name, window.job))
        and (window.tag is None or window.tag in tags)
    )


def decided_by(
    policy: Policy, *, schedule_id: str, schedule_name: str, job_name: str, tags: Collection[str]
) -> Mapping[str, str]:
    """Key path -> the last matching entry that sets it, written ``schedule[2]``; entries count from 1."""
    found: dict[str, str] = {}
    for number, rule in enumerate(policy.schedules, start=1):
        if asks_for(rule, schedule_id, schedule_name, job_name, tags):
            found |= {f"defaults.{key}": f"schedule[{number}]" for key in rule.changes}
            found |= {
                f"checks.{name}.{key}": f"schedule[{number}]" for name, keys in rule.checks.items() for key in keys
            }
    return found


def asks_for(rule: ScheduleRule, schedule_id: str, schedule_name: str, job_name: str, tags: Collection[str]) -> bool:
    """Whether a [[schedule]] matches a schedule."""
    return (
        rule.id in (None, schedule_id)
        and (rule.name is None or fnmatchcase(schedule_name, rule.name))
        and (rule.job is None or fnmatchcase(job_name, rule.job))
        and (rule.tag is None or rule.tag in tags)
    )
