"""Turns parsed TOML into a policy, collecting every problem instead of stopping at the first."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import PurePosixPath
from typing import Any, TypeVar, get_type_hints
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import msgspec

from guard.mechanics.zones import resolve, zone_or_utc
from guard.policy.accept_validate import read_accept
from guard.policy.coverage_schema import CoverageSection
from guard.policy.coverage_validate import check_coverage
from guard.policy.metrics_schema import MetricsSection
from guard.policy.metrics_validate import check_metrics
from guard.policy.notify_schema import AppriseSection, HealthchecksSection, MailSection, NotifySection, WebhookSection
from guard.policy.notify_validate import check_notify
from guard.policy.pools_schema import PoolSection
from guard.policy.pools_validate import check_pools
from guard.policy.remedies_schema import RemediesSection
from guard.policy.remedies_validate import check_remedies
from guard.policy.schema import CHECK_OPTIONS, Defaults, LimitRule, Policy, ScheduleRule, WindowRule, XoSection
from guard.policy.tiers_validate import read_tiers
from guard.policy.words import in_plain_words
from guard.units import format_duration, parse_duration

Report = Callable[[str, object, str], None]
_ADDRESS = "expected the address of XO, such as https://xo.example.org"
_S = TypeVar("_S", bound=msgspec.Struct)
_MATCH_KEYS = ("id", "name", "job", "tag")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.:-]{0,252}[A-Za-z0-9_])?")
_SECTIONS = (
    *("xo", "defaults", "notify", "remedies", "metrics", "coverage", "checks", "schedule", "window", "limit", "pool"),
    "accept",
)
_VERSION = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}", re.ASCII)
_MOST_ENTRIES, _MOST_WINDOWS = 1000, 100  # every run is held against each of them
_SHORTEST_RECHECK = timedelta(minutes=1)
_SHORTEST_TOKEN = timedelta(days=2)  # or the next renewal comes due before the daily look at it
# croniter takes more than cron does: seconds, years, "@daily", random and hashed fields
_CRON_VALUE = r"(?:\d{1,2}|[A-Za-z]{3})"
_CRON_PART = rf"(?:\*|{_CRON_VALUE}(?:-{_CRON_VALUE})?)(?:/\d{{1,2}})?"
_CRON = re.compile(rf"(?:{_CRON_PART}(?:,{_CRON_PART})*)(?:\s+{_CRON_PART}(?:,{_CRON_PART})*){{4}}", re.ASCII)
_LONGEST_CRON = 300  # characters: every minute and every hour by its number
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)  # from which a time is sought that the expression names
_CHANNELS: Mapping[str, type[msgspec.Struct]] = {
    "webhook": WebhookSection,
    "mail": MailSection,
    "healthchecks": HealthchecksSection,
    "apprise": AppriseSection,
}


def build(content: Mapping[str, Any], report: Report) -> Policy:
    """``report(key path, value, what is wrong and what would be right)`` is called for every problem."""
    for key in content:
        if key not in _SECTIONS:
            report(
                key, content[key], f"unknown section{_suggest(key, _SECTIONS)}; expected one of {', '.join(_SECTIONS)}"
            )
    xo = _struct(XoSection, _table(content, "xo", report), "xo", report)
    _check_xo(xo, report)
    defaults = _struct(Defaults, _table(content, "defaults", report), "defaults", report)
    told = _table(content, "notify", report)
    notify = _notify(told, report)
    remedies = _struct(RemediesSection, _table(content, "remedies", report), "remedies", report)
    check_remedies(remedies, report)
    metrics = _struct(MetricsSection, _table(content, "metrics", report), "metrics", report)
    check_metrics(metrics, report)
    coverage = _struct(CoverageSection, _table(content, "coverage", report), "coverage", report)
    check_coverage(coverage, report)
    checks = _checks(_table(content, "checks", report), "checks", report)
    options = {
        name: _struct(kind, checks.get(name, {}), f"checks.{name}", report) for name, kind in CHECK_OPTIONS.items()
    }
    _check_times(defaults, defaults.__struct_fields__, "defaults", report)
    rules = tuple(_rule(entry, path, report) for path, entry in _entries(content, "schedule", report))
    windows = tuple(_window(entry, path, report) for path, entry in _entries(content, "window", report))
    limits = tuple(_limit(entry, path, report) for path, entry in _entries(content, "limit", report))
    pools = tuple((path, _pool(entry, path, report)) for path, entry in _entries(content, "pool", report))
    check_pools(pools, report)
    zone = zone_or_utc(notify.zone or xo.zone or "utc")
    accepts = tuple(read_accept(entry, path, zone, report) for path, entry in _entries(content, "accept", report))
    tiers = _table(told, "tiers", report, "notify")
    plain = ("xo", "defaults", "remedies", "metrics", "coverage")
    given = frozenset(f"{section}.{key}" for section in plain for key in _table(content, section, None))
    given |= {f"checks.{name}.{key}" for name, table in checks.items() for key in table}
    given |= {f"notify.{key}" for key in told if key not in _CHANNELS and key != "tiers"}
    given |= {f"notify.tiers.{key}" for key in tiers}
    given |= {f"notify.{name}.{key}" for name in _CHANNELS for key in _table(told, name, None)}
    return Policy(
        xo=xo,
        defaults=defaults,
        notify=notify,
        remedies=remedies,
        metrics=metrics,
        coverage=coverage,
        checks=options,
        schedules=rules,
        windows=windows,
        limits=limits,
        pools=tuple(pool for _, pool in pools),
        tiers=read_tiers(tiers, report),
        accepts=accepts,
        given=given,
    )


def convert(kind: type[msgspec.Struct], key: str, value: object) -> object:
    """One value as the type of one field. Raises ValueError saying what would be right."""
    wanted, bare = _hints(kind)[key]
    if bare in (timedelta, timedelta | None):
        return _duration(value)
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        choices = _choices(bare)
        if choices:
            raise ValueError(f"expected one of {', '.join(choices)}{_suggest(value, choices)}") from error
        raise ValueError(in_plain_words(str(error))) from error


@cache
def _hints(kind: type[msgspec.Struct]) -> Mapping[str, tuple[Any, Any]]:
    """Field -> its type with and without what is asked of its values. A file may have thousands of entries."""
    bare = get_type_hints(kind)
    return {name: (hint, bare[name]) for name, hint in get_type_hints(kind, include_extras=True).items()}


def _duration(value: object) -> timedelta:
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError(f"expected {error}") from error


def _notify(table: Mapping[str, Any], report: Report) -> NotifySection:
    channels: dict[str, Any] = {
        name: _struct(kind, _table(table, name, report, "notify"), f"notify.{name}", report)
        for name, kind in _CHANNELS.items()
    }
    own = {key: value for key, value in table.items() if key not in _CHANNELS and key != "tiers"}
    notify = NotifySection(**_values(NotifySection, own, "notify", report), **channels)
    check_notify(notify, report)
    return notify


def _struct(kind: type[_S], table: Mapping[str, Any], path: str, report: Report) -> _S:
    return kind(**_values(kind, table, path, report))


def _values(kind: type[msgspec.Struct], table: Mapping[str, Any], path: str, report: Report) -> dict[str, Any]:
    names = kind.__struct_fields__
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in names:
            report(f"{path}.{key}", value, f"unknown key{_suggest(key, names)}; expected one of {', '.join(names)}")
            continue
        try:
            values[key] = convert(kind, key, value)
        except ValueError as error:
            report(f"{path}.{key}", value, str(error))
    return values


def _check_xo(xo: XoSection, report: Report) -> None:
    wrong = _wrong_address(xo.url)
    if wrong:
        report("xo.url", "***" if "@" in xo.url else xo.url, wrong)
    for key in ("call_timeout", "total_timeout"):
        if getattr(xo, key) <= timedelta():
            report(f"xo.{key}", "0 s", "expected more than 0 s")
    if xo.renew_for < _SHORTEST_TOKEN:
        report("xo.renew_for", format_duration(xo.renew_for.total_seconds()), 'expected at least "2 d"')
    if xo.server_name is not None and not _HOST_NAME.fullmatch(xo.server_name):
        report("xo.server_name", xo.server_name, "expected a host name, such as xo.example.org")
    if xo.zone is not None and resolve(xo.zone) is None:
        report(
            "xo.zone",
            xo.zone,
            f"unknown zone{_suggest(xo.zone, available_timezones())}; expected a name such as Europe/Paris",
        )
    for key in ("token_file", "ca_file"):
        path = getattr(xo, key)
        if path is not None and not PurePosixPath(path).is_absolute():
            report(f"xo.{key}", path, "expected an absolute path")
    for version in xo.accept_versions:
        if not _VERSION.fullmatch(version):
            report("xo.accept_versions", version, 'expected versions of xo-server in full, such as ["5.210.0"]')
    if not xo.verify and xo.ca_file is not None:
        report("xo.verify", xo.verify, "contradicts ca_file; expected true, or no ca_file")


def _wrong_address(url: str) -> str:
    """What is wrong with the address of XO; '' when nothing is."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        _ = parts.port  # raises for a port that cannot be
    except ValueError:  # its text may repeat credentials
        return f"has a host or a port that cannot be; {_ADDRESS}"
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or not _is_host(host.decode()):
        return _ADDRESS
    if parts.username or parts.password:
        return "holds credentials; expected a bare address, with the token in [xo] token_file"
    if parts.path.strip("/") or parts.query or parts.fragment:
        return "holds a path; expected a bare address such as https://xo.example.org"
    return ""


def _is_host(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return _HOST_NAME.fullmatch(name) is not None
    return True


def _rule(entry: object, path: str, report: Report) -> ScheduleRule:
    if not isinstance(entry, dict):
        report(path, entry, "expected a table, written [[schedule]]")
        return ScheduleRule()
    match = {key: value for key, value in entry.items() if key in _MATCH_KEYS}
    checks = _checks(_table(entry, "checks", report, path), f"{path}.checks", report)
    changes = {key: value for key, value in entry.items() if key not in _MATCH_KEYS and key != "checks"}
    if not match:
        report(path, "", f"matches nothing; expected at least one of {', '.join(_MATCH_KEYS)}")
    unknown = [key for key in changes if key not in Defaults.__struct_fields__]
    for key in unknown:
        right = (*_MATCH_KEYS, *Defaults.__struct_fields__, "checks")
        report(
            f"{path}.{key}", changes.pop(key), f"unknown key{_suggest(key, right)}; expected one of {', '.join(right)}"
        )
    changed = _values(Defaults, changes, path, report)
    _check_times(Defaults(**changed), changed, path, report)
    return ScheduleRule(
        **_values(ScheduleRule, match, path, report),
        changes=changed,
        checks={
            name: _values(CHECK_OPTIONS[name], table, f"{path}.checks.{name}", report) for name, table in checks.items()
        },
    )


def _check_times(values: Defaults, keys: Iterable[str], path: str, report: Report) -> None:
    if "recheck_every" in keys and values.recheck_every < _SHORTEST_RECHECK:
        shown = format_duration(values.recheck_every.total_seconds())
        report(f"{path}.recheck_every", shown, 'expected at least "1 min"')
    if "max_backup_age" in keys and values.max_backup_age == timedelta():
        report(f"{path}.max_backup_age", "0 s", "expected more than 0 s")


def _window(entry: object, path: str, report: Report) -> WindowRule:
    if not isinstance(entry, dict):
        report(path, entry, "expected a table, written [[window]]")
        return WindowRule()
    window = _struct(WindowRule, entry, path, report)
    wrong = _wrong_cron(window.cron)
    if wrong:
        report(f"{path}.cron", window.cron, wrong)
    if window.duration <= timedelta():
        report(f"{path}.duration", entry.get("duration", ""), 'is required; expected more than 0 s, such as "8 h"')
    if window.zone is not None and resolve(window.zone) is None:
        right = f"unknown zone{_suggest(window.zone, available_timezones())}; expected a name such as Europe/Paris"
        report(f"{path}.zone", window.zone, right)
    return window


def _wrong_cron(expression: str) -> str:
    """What is wrong with a standard cron expression; '' when nothing is."""
    if len(expression) > _LONGEST_CRON or not _CRON.fullmatch(expression):
        return 'expected five fields of standard cron, such as "0 22 * * 1-5": minute, hour, day, month (1-12), weekday'
    # takes as long to import as half of guard: only where one is written
    from croniter import CroniterError, croniter  # type: ignore[import-untyped]  # it ships no types

    try:
        croniter(expression, _SOME_DAY).get_next()
    except CroniterError as error:
        return f'names no time ({error}); expected a cron expression such as "0 22 * * 1-5", months from 1 to 12'
    return ""


def _limit(entry: object, path: str, report: Report) -> LimitRule:
    if not isinstance(entry, dict):
        report(path, entry, "expected a table, written [[limit]]")
        return LimitRule()
    for key, right in (("slots", "a whole number from 1"), ("per", "one of repository, sr, pool, xo")):
        if key not in entry:
            report(f"{path}.{key}", "", f"is required; expected {right}")
    limit = _struct(LimitRule, entry, path, report)
    if limit.per == "xo" and "name" in entry and entry.get("per") == "xo":
        report(f"{path}.name", limit.name, 'does nothing with per = "xo", of which there is one; expected no name')
    return limit


def _pool(entry: object, path: str, report: Report) -> PoolSection:
    if not isinstance(entry, dict):
        report(path, entry, "expected a table, written [[pool]]")
        return PoolSection()
    return _struct(PoolSection, entry, path, report)


def _entries(content: Mapping[str, Any], key: str, report: Report) -> list[tuple[str, object]]:
    """(path, entry) of each table of an array; entries count from 1."""
    entries = content.get(key, [])
    if not isinstance(entries, list):
        report(key, entries, f"expected an array of tables, written [[{key}]]")
        return []
    most = _MOST_WINDOWS if key == "window" else _MOST_ENTRIES
    if len(entries) > most:
        report(key, len(entries), f"too many entries; expected at most {most}")
        return []
    return [(f"{key}[{number}]", entry) for number, entry in enumerate(entries, start=1)]


def _checks(tables: Mapping[str, Any], path: str, report: Report) -> dict[str, Mapping[str, Any]]:
    for name in tables:
        if name not in CHECK_OPTIONS:
            right = ", ".join(CHECK_OPTIONS)
            report(
                f"{path}.{name}", tables[name], f"unknown check{_suggest(name, CHECK_OPTIONS)}; expected one of {right}"
            )
    return {name: _table(tables, name, report, path) for name in tables if name in CHECK_OPTIONS}


def _table(content: Mapping[str, Any], key: str, report: Report | None, path: str = "") -> Mapping[str, Any]:
    value = content.get(key, {})
    if isinstance(value, dict):
        return value
    if report is not None:
        report(f"{path}.{key}" if path else key, value, "expected a table")
    return {}


def _choices(kind: object) -> tuple[str, ...]:
    if isinstance(kind, type) and hasattr(kind, "__members__"):
        return tuple(str(member) for member in kind.__members__.values())
    return tuple(one for one in getattr(kind, "__args__", ()) if isinstance(one, str))


def _suggest(written: object, right: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(written), [one for one in right if one != written], n=1)
    return f", did you mean {near[0]}?" if near else ""
