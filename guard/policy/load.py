"""Policy text -> Policy, or every problem at once."""

from __future__ import annotations

from collections.abc import Mapping

import tomli

from guard.errors import PolicyError
from guard.policy.lines import find_lines
from guard.policy.schema import Policy
from guard.policy.validate import build

_SECRET_WORDS = ("token", "password", "secret", "key")
_SHOWN = 200


def load(text: str, *, file: str) -> Policy:
    """Raises PolicyError with one line per problem: file, line, key path, value, what would be right."""
    try:
        content = tomli.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, nesting without end
        raise PolicyError(f"{file}: is no TOML: {error}") from error
    lines = find_lines(text)
    problems: dict[str, tuple[int, str]] = {}

    def report(path: str, value: object, wrong: str) -> None:
        line = _line(lines, path)
        at = f"{file}:{line}" if line else file
        # what follows from a first problem of a key is not told as well
        problems.setdefault(path, (line, f"{at}: {path} = {_shown(path, value)}: {wrong}"))

    policy = build(content, report)
    if problems:
        raise PolicyError([text for _, text in sorted(problems.values(), key=lambda one: one[0])])
    return policy


def _line(lines: Mapping[str, int], path: str) -> int:
    """Where a key stands, else its table, else what that table is written in; 0 when nothing is found."""
    while path:
        for known in (path, path.partition("[")[0] if path.endswith("]") else path):
            if known in lines:
                return lines[known]
        path = path.rpartition(".")[0]
    return 0


def _shown(path: str, value: object) -> str:
    """The value as written; short, and hidden where its key says that it may be a secret."""
    if any(word in path.rpartition(".")[2].lower() for word in _SECRET_WORDS) and not path.endswith("_file"):
        return "***"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
