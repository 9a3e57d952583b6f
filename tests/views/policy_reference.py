"""docs/policy.md, made from the same structs as config/guard.toml: every section, every key, what it may be."""

from __future__ import annotations

import textwrap
import types
import typing
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from guard.errors import PolicyError
from guard.policy.accept_schema import AcceptRule
from guard.policy.coverage_schema import CoverageSection
from guard.policy.load import load
from guard.policy.metrics_schema import MetricsSection
from guard.policy.notify_schema import AppriseSection, HealthchecksSection, MailSection, NotifySection, WebhookSection
from guard.policy.pools_schema import PoolSection
from guard.policy.remedies_schema import RemediesSection
from guard.policy.sample import descriptions, written
from guard.policy.schema import CHECK_OPTIONS, Defaults, LimitRule, ScheduleRule, WindowRule, XoSection
from guard.policy.tiers_schema import TiersSection

NOWHERE_ELSE = "For all of guard: not in a `[[schedule]]`."
IN_SCHEDULE = "Each key may also stand in a `[[schedule]]`, for the schedules that entry matches."
IN_SCHEDULE_CHECK = "Per schedule: `[schedule.checks.{name}]` right below its `[[schedule]]`."
SECTIONS: Mapping[str, type[msgspec.Struct]] = {
    "[xo]": XoSection,
    "[defaults]": Defaults,
    "[[schedule]]": ScheduleRule,
    "[[window]]": WindowRule,
    "[[limit]]": LimitRule,
    "[[accept]]": AcceptRule,
    "[notify]": NotifySection,
    "[notify.webhook]": WebhookSection,
    "[notify.mail]": MailSection,
    "[notify.healthchecks]": HealthchecksSection,
    "[notify.apprise]": AppriseSection,
    "[notify.tiers]": TiersSection,
    "[remedies]": RemediesSection,
    "[metrics]": MetricsSection,
    "[coverage]": CoverageSection,
    "[[pool]]": PoolSection,
    **{f"[checks.{name}]": kind for name, kind in CHECK_OPTIONS.items()},
}
"""Heading -> the struct of its keys, in the order of the page."""
_MORE = {
    "[[schedule]]": "Beside the keys below it holds any key of `[defaults]`, and tables `[schedule.checks.NAME]`. At least "
    "one of `id`, `name`, `job` and `tag` must be there; all that are must match.",
    "[notify.tiers]": 'The id of any code ([codes.md](codes.md)) is a key too, such as `SR_NO_SPACE = "page"`: it comes '
    "before the state. What each tier means is in [messages.md](messages.md).",
    "[[pool]]": "Read [pools.md](pools.md) first.",
    "[remedies]": "What each does, and when it does not, is in [remedies.md](remedies.md).",
    "[metrics]": "The figures are in [metrics.md](metrics.md).",
    "[coverage]": "For `guard coverage`: [coverage.md](coverage.md).",
    "[notify]": "Channels and their secrets: [channels.md](channels.md).",
}
_WRONG = """\
[xo]
url = "https://xo.example.org"
[defaults]
gate = "enforced"
max_defer = "4 hours"
[checks.chain]
tolerence = 2
[metrics]
most_series = 5
"""
_HEAD = """\
# The policy, key by key

Made from the code by `make reference`; a test holds the two together. The policy is one TOML file,
`/etc/guard/guard.toml`; `config/guard.toml` of the release is the same list as a file to fill in. Only `[xo] url` must be
there; everything else has a default.

    guard config check                            # every error at once; asks nobody, reads no other file
    guard config show                             # every value in force, and where it is from
    guard config show --schedule nightly          # what is in force for one schedule, with the entry that says so

After a change: `sudo systemctl reload guard`. A broken policy is refused, and the daemon keeps the one it has. `[xo] url`
and changed secrets need `sudo systemctl restart guard`.

## How values are written

| | |
|---|---|
| a duration | text with a unit: `"90 s"`, `"15 min"`, `"2 h"`, `"1 d"`, `"2 h 30 min"` |
| a glob | text with `*` and `?`, matched with the whole name, capitals and all: `"nightly*"` |
| a zone | a name of the IANA data base: `"Europe/Paris"` |
| a file | an absolute path. A secret is never in the policy, only the file that holds it, of mode 600 |

What holds for a schedule: the default of the key, then `[defaults]` and `[checks.*]`, then each `[[schedule]]` entry that
matches, in the order of the file, key by key: the later wins. An entry that matches nothing XO shows, such as one with a
misspelt name, is told by `guard plan`, `guard status` and `guard report`; `guard config show` asks nobody and cannot know.

## What an error looks like

One line for each, with file, line, key, value and what would be right; exit code 1. From this policy

"""


def policy_reference() -> str:
    """The text of docs/policy.md."""
    wrong = "".join(f"    {line}\n" for line in _WRONG.splitlines())
    told = "".join(f"    guard: {line}\n" for line in example_errors())
    named = {name: f"[{name.strip('[]')}](#{_slug(name)})" for name in SECTIONS}
    contents = "".join(f"* {link}: {_first(SECTIONS[name])}\n" for name, link in named.items() if "checks." not in name)
    links = ", ".join(link for name, link in named.items() if "checks." in name)
    contents += (
        "\n".join(textwrap.wrap(f"* Checks: {links}.", 120, subsequent_indent="  ", break_on_hyphens=False)) + "\n"
    )
    parts = [f"{_HEAD}{wrong}\n`guard config check` makes\n\n{told}\n## Sections\n\n{contents}"]
    parts += [_section(name, kind) for name, kind in SECTIONS.items()]
    return "\n".join(parts)


def example_errors() -> list[str]:
    """What guard config check says of the page's wrong policy."""
    try:
        load(_WRONG, file="/etc/guard/guard.toml")
    except PolicyError as error:
        return list(error.problems)
    raise AssertionError("the example of a wrong policy is right")


def type_in_words(kind: type[msgspec.Struct], key: str) -> str:
    """What a key may be, in words."""
    return _words(get_type_hints(kind, include_extras=True)[key], key)


def _section(name: str, kind: type[msgspec.Struct]) -> str:
    check = name.removeprefix("[checks.").removesuffix("]") if name.startswith("[checks.") else ""
    where = IN_SCHEDULE_CHECK.format(name=check) if check else IN_SCHEDULE if kind is Defaults else NOWHERE_ELSE
    told = [f"{_first(kind)}", _MORE.get(name, ""), "" if name.startswith("[[") else where]
    rows = ["| key | what | default | |", "|---|---|---|---|"]
    defaults = kind()
    for key, text in descriptions(kind).items():
        default = written(getattr(defaults, key))
        shown = "required" if text.endswith("Required.") else "" if default in ('""', "") else f"`{default}`"
        rows.append(f"| `{key}` | {type_in_words(kind, key)} | {shown} | {_escaped(text.removesuffix(' Required.'))} |")
    text = "\n".join(textwrap.wrap(" ".join(filter(None, told)), 120, break_on_hyphens=False))
    return f"## {name}\n\n{text}\n\n" + "\n".join(rows) + "\n"


def _words(hint: Any, key: str) -> str:
    if get_origin(hint) is Annotated:
        inner, *metas = get_args(hint)
        limits = [one for one in metas if isinstance(one, msgspec.Meta)]
        bounds = [(one.ge, one.le) for one in limits if one.ge is not None or one.le is not None]
        return _words(inner, key) + (f", {_range(*bounds[0])}" if bounds else "")
    if get_origin(hint) in (typing.Union, types.UnionType):
        return _words(next(one for one in get_args(hint) if one is not type(None)), key)
    if get_origin(hint) is Literal:
        return _either(get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list, each {_words(get_args(hint)[0], key)}"
    if get_origin(hint) is not None and issubclass(get_origin(hint), Mapping):
        return "a table of texts"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _either([one.value for one in hint])
    if hint is str:
        return "a file" if key.endswith("_file") else "text"
    return {bool: "`true` or `false`", int: "a whole number", float: "a number", timedelta: "a duration"}[hint]


def _range(low: float | None, high: float | None) -> str:
    if high is None:
        return f"{low:g} or more"
    return f"{low:g} to {high:g}"


def _either(values: Any) -> str:
    return " or ".join(f"`{written(one)}`" for one in values)


def _first(kind: type[msgspec.Struct]) -> str:
    return (kind.__doc__ or "").splitlines()[0]


def _slug(name: str) -> str:
    return name.strip("[]").replace(".", "")


def _escaped(text: str) -> str:
    for sign in "\\|*<[":
        text = text.replace(sign, f"\\{sign}")
    return text
