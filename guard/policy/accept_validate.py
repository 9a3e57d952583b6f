"""What an [[accept]] entry must be: a known code, a scope that can be read, an end and a reason."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from guard.policy.accept_schema import AcceptRule
from guard.policy.codes import EVERY_CODE
from guard.policy.scopes import parse_scope
from guard.policy.tiers_schema import TOLD_BY_CHANNELS

_Report = Callable[[str, object, str], None]
_KEYS = ("code", "scope", "until", "reason")
_DATE = "expected a date without quotes, such as 2027-03-31 or 2027-03-31T06:00:00+02:00"
_DAY = timedelta(days=1)


def read_accept(entry: object, path: str, zone: tzinfo, report: _Report) -> AcceptRule:
    """``zone``: of an end that has none. Calls ``report(key path, value, what is wrong and what would be right)`` for every
    problem.
    """
    if not isinstance(entry, dict):
        report(path, entry, "expected a table, written [[accept]]")
        return AcceptRule()
    for key in entry:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            told = f", did you mean {near[0]}?" if near else ""
            report(f"{path}.{key}", entry[key], f"unknown key{told}; expected one of {', '.join(_KEYS)}")
    ends = _ends(entry.get("until", ""), f"{path}.until", zone, report)
    until = entry.get("until")
    return AcceptRule(
        code=_code(entry.get("code", ""), f"{path}.code", report),
        scope=_scope(entry.get("scope", "all"), f"{path}.scope", report),
        until=until.isoformat() if isinstance(until, date) else "",
        reason=_reason(entry.get("reason", ""), f"{path}.reason", report),
        ends=ends,
    )


def _code(value: object, path: str, report: _Report) -> str:
    right = "expected one that `guard explain` lists, such as CHAIN_UNHEALTHY"
    if not isinstance(value, str):
        report(path, value, f"no code of guard's; {right}")
        return ""
    if value in TOLD_BY_CHANNELS:
        report(path, value, "is told by the channels among themselves; expected another code")
    elif value not in EVERY_CODE:
        near = difflib.get_close_matches(value.upper(), EVERY_CODE, n=1)
        report(path, value, f"no code of guard's{f', did you mean {near[0]}?' if near else ';'} {right}")
    return value


def _scope(value: object, path: str, report: _Report) -> str:
    if not isinstance(value, str):
        report(path, value, 'expected a text, such as "vm:web-01"')
        return "all"
    try:
        kind, name = parse_scope(value)
    except ValueError as error:
        report(path, value, str(error))
        return "all"
    return f"{kind}:{name}" if name else kind


def _ends(value: object, path: str, zone: tzinfo, report: _Report) -> datetime:
    """The instant: of a day, its end."""
    try:
        if isinstance(value, datetime):
            return (value if value.tzinfo is not None else value.replace(tzinfo=zone)).astimezone(UTC)
        if isinstance(value, date):
            return datetime.combine(value + _DAY, time(), zone).astimezone(UTC)
    except OverflowError:
        report(path, str(value), "is further than guard can count; expected a date within some years")
        return AcceptRule().ends
    report(path, value, f"is required; {_DATE}")
    return AcceptRule().ends


def _reason(value: object, path: str, report: _Report) -> str:
    if not isinstance(value, str) or not value.strip():
        report(path, value, "is required; expected why it is accepted, for those who read it later")
        return ""
    return value.strip()
