"""What a policy says of one schedule: defaults, then every matching [[schedule]], the later wins key by key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase

import msgspec

from guard.checks.check import Options
from guard.policy.schema import Policy, ScheduleRule


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """The policy in force for one schedule."""

    on_unknown: str
    overlap: str
    max_defer: timedelta
    checks: Mapping[str, Options]


def effective(
    policy: Policy, *, schedule_id: str, schedule_name: str, job_name: str, tags: Collection[str]
) -> Effective:
    """``tags``: the VM tags that the job's smart pattern asks for."""
    defaults, checks = policy.defaults, dict(policy.checks)
    for rule in policy.schedules:
        if _matches(rule, schedule_id, schedule_name, job_name, tags):
            defaults = msgspec.structs.replace(defaults, **rule.changes)
            for name, changes in rule.checks.items():
                checks[name] = msgspec.structs.replace(checks[name], **changes)
    return Effective(
        on_unknown=defaults.on_unknown, overlap=defaults.overlap, max_defer=defaults.max_defer, checks=checks
    )


def decided_by(
    policy: Policy, *, schedule_id: str, schedule_name: str, job_name: str, tags: Collection[str]
) -> Mapping[str, str]:
    """Key path -> the last matching entry that sets it, written ``schedule[2]``; entries count from 1."""
    found: dict[str, str] = {}
    for number, rule in enumerate(policy.schedules, start=1):
        if _matches(rule, schedule_id, schedule_name, job_name, tags):
            found |= {f"defaults.{key}": f"schedule[{number}]" for key in rule.changes}
            found |= {
                f"checks.{name}.{key}": f"schedule[{number}]" for name, keys in rule.checks.items() for key in keys
            }
    return found


def _matches(rule: ScheduleRule, schedule_id: str, schedule_name: str, job_name: str, tags: Collection[str]) -> bool:
    return (
        rule.id in (None, schedule_id)
        and (rule.name is None or fnmatchcase(schedule_name, rule.name))
        and (rule.job is None or fnmatchcase(job_name, rule.job))
        and (rule.tag is None or rule.tag in tags)
    )
