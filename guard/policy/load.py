"""Policy text -> Policy, or every problem at once."""

from __future__ import annotations

from collections.abc import Mapping

import tomli

from guard.errors import PolicyError
from guard.policy.lines import find_lines
from guard.policy.notify_schema import NOTIFY_SECTIONS
from guard.policy.pools_schema import PoolSection
from guard.policy.schema import Policy
from guard.policy.validate import build

_SECRET_WORDS = ("token", "password", "secret", "key", "login")
_SHOWN = 200
_MOST_PROBLEMS = 100
_TOO_LARGE = 2**63
_LONGEST_TEXT = 4096  # the longest path there is
_WITH_SECRETS = frozenset({"pool", "pools", "notify"})
_KNOWN = frozenset(
    {
        *PoolSection.__struct_fields__,
        *(name for section in NOTIFY_SECTIONS for name in section.__struct_fields__),
    }
)


def load(text: str, *, file: str) -> Policy:
    """Raises PolicyError with one line per problem: file, line, key path, value, what would be right."""
    try:
        content = tomli.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, nesting without end
        raise PolicyError(f"{file}: is no TOML: {error}") from error
    beyond = _beyond_reason(content)
    if beyond:
        raise PolicyError(f"{file}: it holds {beyond}")
    lines = find_lines(text)
    problems: dict[str, tuple[int, str]] = {}
    left_out = 0

    def report(path: str, value: object, wrong: str) -> None:
        nonlocal left_out
        if len(problems) >= _MOST_PROBLEMS:
            left_out += 1
            return
        line = _line(lines, path)
        at = f"{file}:{line}" if line else file
        # what follows from a first problem of a key is not told as well
        problems.setdefault(path, (line, f"{at}: {_cut(path)} = {_shown(path, value)}: {wrong}"))

    policy = build(content, report)
    if problems:
        told = [text for _, text in sorted(problems.values(), key=lambda one: one[0])]
        raise PolicyError([*told, f"{file}: and {left_out} more"] if left_out else told)
    return policy


def _beyond_reason(content: object) -> str:
    """What no policy means and no check is made for; '' where nothing is. tomli takes numbers of any size."""
    rest = [content]
    while rest:
        one = rest.pop()
        if isinstance(one, int) and not -_TOO_LARGE <= one < _TOO_LARGE:
            return "a whole number of more than 64 bits; expected smaller ones, as TOML has them"
        if isinstance(one, str) and len(one) > _LONGEST_TEXT:
            return f"a text of {len(one)} characters; expected at most {_LONGEST_TEXT}"
        if isinstance(one, dict | list):
            rest += (*one, *one.values()) if isinstance(one, dict) else one
    return ""


def _line(lines: Mapping[str, int], path: str) -> int:
    """Where a key stands, else its table, else what that table is written in; 0 when nothing is found."""
    while path:
        for known in (path, path.partition("[")[0] if path.endswith("]") else path):
            if known in lines:
                return lines[known]
        path = path.rpartition(".")[0]
    return 0


def _shown(path: str, value: object) -> str:
    """The value as written; short, and hidden where it may be a secret: by its key, or by a key that nobody knows in a
    section that has one. Tables may hold anything.
    """
    first, last = path.partition("[")[0].partition(".")[0], path.rpartition(".")[2].lower()
    if isinstance(value, dict) and value:
        return "a table"
    if any(word in last for word in _SECRET_WORDS):
        is_path = isinstance(value, str) and value.startswith("/")  # else it may be what the file should hold
        if not last.endswith("_file") or not is_path:
            return "***"
    if first in _WITH_SECRETS and isinstance(value, list) and value:
        return "a list"
    if f"{path}.".startswith("notify.apprise.") and isinstance(value, str) and not value.startswith("/"):
        return "***"  # an Apprise URL is a secret as a whole, under whatever key
    if path.startswith("notify.tiers."):
        return _short(value)
    if first in _WITH_SECRETS and last not in _KNOWN and "." in path and value not in ({}, [], "***"):
        return "***"
    return _short(value)


def _short(value: object) -> str:
    try:
        return _cut(repr(value))
    except RecursionError:
        return "a value nested too deeply"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
