"""The policy in force, with the place each value comes from."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from guard.policy.accept_schema import AcceptRule
from guard.policy.pools_schema import PoolSection
from guard.policy.resolve import decided_by, effective, windows_for
from guard.policy.sample import descriptions, show, written
from guard.policy.schema import LimitRule, Policy, WindowRule
from guard.views.text import clean


def policy_text(policy: Policy, *, file: str, lines: Mapping[str, int]) -> str:
    """Every value and every entry of an array of tables.

    ``lines``: key path -> line in the file (policy.lines).
    """
    rows = [
        _row(path, value, _place(path, file, lines) if origin == "policy" else origin)
        for path, value, origin in show(policy)
    ]
    for number, rule in enumerate(policy.schedules, start=1):
        entry = f"schedule[{number}]"
        match = {"id": rule.id, "name": rule.name, "job": rule.job, "tag": rule.tag}
        told = ", ".join(f"{key} = {written(value)}" for key, value in match.items() if value is not None)
        rows.append(f"{entry} matches {told}  # {_place(entry, file, lines)}")
        changes = dict(rule.changes)
        changes |= {f"checks.{name}.{key}": value for name, keys in rule.checks.items() for key, value in keys.items()}
        rows += [
            _row(f"{entry}.{key}", written(value), _place(f"{entry}.{key}", file, lines))
            for key, value in changes.items()
        ]
    for number, window in enumerate(policy.windows, start=1):
        rows += _entry(f"window[{number}]", window, file, lines)
    for number, limit in enumerate(policy.limits, start=1):
        rows += _entry(f"limit[{number}]", limit, file, lines)
    for number, pool in enumerate(policy.pools, start=1):
        rows += _entry(f"pool[{number}]", pool, file, lines)
    for number, accept in enumerate(policy.accepts, start=1):
        rows += _entry(f"accept[{number}]", accept, file, lines)
    return "".join(f"{clean(row)}\n" for row in rows)


def schedule_policy_text(
    policy: Policy, schedule: str, job: str, *, file: str, lines: Mapping[str, int], tags: Collection[str] = ()
) -> str:
    """What is in force for a schedule of that id or name; of two matching entries the later wins, key by key.

    ``tags``: the VM tags that the pattern of its job asks for.
    """
    found = effective(policy, schedule_id=schedule, schedule_name=schedule, job_name=job, tags=tags)
    by = decided_by(policy, schedule_id=schedule, schedule_name=schedule, job_name=job, tags=tags)
    values: dict[str, object] = {f"defaults.{key}": getattr(found, key) for key in policy.defaults.__struct_fields__}
    for name, options in found.checks.items():
        values |= {f"checks.{name}.{key}": getattr(options, key) for key in options.__struct_fields__}
    rows = [] if by else [f"# {_why_defaults(policy, schedule, job, tags)}"]
    for path, value in values.items():
        entry = by.get(path)
        given = path in policy.given
        inner = path.removeprefix("defaults.")
        place = _place(f"{entry}.{inner}", file, lines) if entry else _place(path, file, lines) if given else "default"
        rows.append(_row(path, written(value), f"{entry}, {place}" if entry else place))
    for number, window in windows_for(policy, schedule_name=schedule, job_name=job, tags=tags):
        rows += _entry(f"window[{number}]", window, file, lines)
    for number, limit in enumerate(policy.limits, start=1):
        rows += _entry(f"limit[{number}]", limit, file, lines)
    return "".join(f"{clean(row)}\n" for row in rows)


def _why_defaults(policy: Policy, schedule: str, job: str, tags: Collection[str]) -> str:
    """What is shown is not told from what an entry says; nor is that a schedule of that name exists, which only XO knows."""
    told = f"no [[schedule]] entry that sets anything matches {schedule}; these are the defaults"
    keys = ["--job"] * (not job and any(one.job is not None for one in policy.schedules))
    keys += ["--tag"] * (not tags and any(one.tag is not None for one in policy.schedules))
    return told + (f" (some match by more: give {' and '.join(keys)})" if keys else "")


def _entry(
    entry: str, rule: WindowRule | LimitRule | PoolSection | AcceptRule, file: str, lines: Mapping[str, int]
) -> list[str]:
    """The values of one entry; those it leaves out as defaults."""
    return [
        _row(
            f"{entry}.{key}",
            written(getattr(rule, key)),
            _place(f"{entry}.{key}", file, lines) if f"{entry}.{key}" in lines else "default",
        )
        for key in descriptions(type(rule))
    ]


def _row(path: str, value: str, place: str) -> str:
    shown = value if value != '""' else "(not set)"
    return f"{path} = {shown}  # {place}"


def _place(path: str, file: str, lines: Mapping[str, int]) -> str:
    line = lines.get(path, 0)
    return f"{file}:{line}" if line else file
