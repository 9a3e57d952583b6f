"""The sample policy and the list of effective values, both made from the schema."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from guard.policy.accept_schema import AcceptRule
from guard.policy.coverage_schema import CoverageSection
from guard.policy.metrics_schema import MetricsSection
from guard.policy.notify_schema import AppriseSection, HealthchecksSection, MailSection, NotifySection, WebhookSection
from guard.policy.pools_schema import PoolSection
from guard.policy.remedies_schema import RemediesSection
from guard.policy.schema import CHECK_OPTIONS, Defaults, LimitRule, Policy, ScheduleRule, WindowRule, XoSection
from guard.policy.tiers_schema import TiersSection
from guard.units import format_duration

_HEAD = """\
# Policy of guard. Every option is here with its default; uncomment what you change.
# Check it with: guard config check
"""
_EXAMPLE = """\
# Overrides for some schedules. Of two matching entries the later wins, key by key.
# [[schedule]]
# name = "nightly*"
# max_defer = "2 h"
# [schedule.checks.chain]
# tolerance = 2
"""
_WINDOW_EXAMPLE = """\
# When runs may start. A schedule for which there is an allow window starts in its allow windows
# only; a deny window wins over them.
# [[window]]
# name = "night"
# cron = "0 22 * * *"
# duration = "8 h"
# zone = "Europe/Paris"
# [[window]]
# name = "month's end"
# kind = "deny"
# cron = "0 0 1 * *"
# duration = "12 h"
# schedule = "payroll*"
"""
_LIMIT_EXAMPLE = """\
# How many jobs may run at once. A run without a slot waits, at most until its deadline.
# [[limit]]
# slots = 2
# per = "repository"
# name = "nas*"
"""
_POOL_EXAMPLE = """\
# A pool that guard also asks directly, for what XO does not show. Off as long as there is no entry.
# Whoever reads the password can do in that pool what its user may: see docs/pools.md first.
# [[pool]]
# name = "paris"
# url = "https://192.0.2.10"
# username = "guard"
# password_file = "/etc/guard/pool-paris"
# ca_file = "/etc/guard/pool-paris.pem"
"""
_ACCEPT_EXAMPLE = """\
# What is known and accepted for a while: shown in plan and why, and told to nobody. What it holds
# stays held. The entry ends by itself, and that is told.
# [[accept]]
# code = "NEXT_RUN_FULL"
# scope = "vm:web-01"
# until = 2027-03-31
# reason = "the new repository is ordered"
"""
_TIERS_EXAMPLE = """\
# The same for a code, such as SR_NO_SPACE = "page": it comes before the state.
"""

_CHANNELS: Mapping[str, type[msgspec.Struct]] = {
    "webhook": WebhookSection,
    "mail": MailSection,
    "healthchecks": HealthchecksSection,
    "apprise": AppriseSection,
}


def sample() -> str:
    """The text of config/guard.toml."""
    parts = [_HEAD, _section("xo", XoSection, XoSection()), _section("defaults", Defaults, Defaults())]
    parts += [_section("notify", NotifySection, NotifySection())]
    parts += [_section(f"notify.{name}", kind, kind()) for name, kind in _CHANNELS.items()]
    parts += [_section("notify.tiers", TiersSection, TiersSection()) + _TIERS_EXAMPLE]
    parts += [_section("remedies", RemediesSection, RemediesSection())]
    parts += [_section("metrics", MetricsSection, MetricsSection())]
    parts += [_section("coverage", CoverageSection, CoverageSection())]
    parts += [_section(f"checks.{name}", kind, kind()) for name, kind in CHECK_OPTIONS.items()]
    entries = (
        (ScheduleRule, _EXAMPLE),
        (WindowRule, _WINDOW_EXAMPLE),
        (LimitRule, _LIMIT_EXAMPLE),
        (AcceptRule, _ACCEPT_EXAMPLE),
        (PoolSection, _POOL_EXAMPLE),
    )
    parts += [
        "\n".join(f"# {key}: {text}" for key, text in descriptions(kind).items()) + f"\n{example}"
        for kind, example in entries
    ]
    return "\n".join(parts)


def descriptions(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Field -> what the schema says of it; fields without a description are not options."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        metas = [one for one in get_args(hint)[1:] if isinstance(one, msgspec.Meta)] if get_origin(hint) else []
        texts = [one.description for one in metas if one.description]
        if texts:
            found[name] = texts[0]
    return {name: found[name] for name in kind.__struct_fields__ if name in found}


def written(value: object) -> str:
    """A value as TOML writes it; an unset one as an empty string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return f'"{format_duration(value.total_seconds())}"'
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, Mapping):
        pairs = ", ".join(f'"{key}" = {written(one)}' for key, one in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return f'"{value or ""}"'


def show(policy: Policy) -> list[tuple[str, str, str]]:
    """(key path, value, where it is from) of every option outside [[schedule]]; nothing in a policy is secret."""
    sections: list[tuple[str, Any]] = [("xo", policy.xo), ("defaults", policy.defaults)]
    sections += [("notify", policy.notify), *((f"notify.{name}", getattr(policy.notify, name)) for name in _CHANNELS)]
    states = {key: value for key, value in policy.tiers.items() if key in TiersSection.__struct_fields__}
    sections.append(("notify.tiers", TiersSection(**states)))
    sections += [("remedies", policy.remedies), ("metrics", policy.metrics), ("coverage", policy.coverage)]
    sections += [(f"checks.{name}", options) for name, options in policy.checks.items()]
    by_code = [
        (f"notify.tiers.{key}", written(value), "policy") for key, value in policy.tiers.items() if key not in states
    ]
    return by_code + [
        (
            f"{section}.{key}",
            written(getattr(values, key)),
            "policy" if f"{section}.{key}" in policy.given else "default",
        )
        for section, values in sections
        for key in values.__struct_fields__
        if not isinstance(getattr(values, key), msgspec.Struct)
    ]


def _section(name: str, kind: type[msgspec.Struct], defaults: msgspec.Struct) -> str:
    lines = [f"# {line}" for line in textwrap.wrap((kind.__doc__ or "").splitlines()[0], 100)] + [f"[{name}]"]
    for key, text in descriptions(kind).items():
        lines += [f"# {line}" for line in textwrap.wrap(text, 100, break_on_hyphens=False, break_long_words=False)]
        lines.append(
            f"#{key} = {written(getattr(defaults, key))}"
            if f"{name}.{key}" != "xo.url"
            else 'url = "https://xo.example.org"'
        )
    return "\n".join(lines) + "\n"
