"""Policy text -> Policy, or every problem at once."""

from __future__ import annotations

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
    problems: list[tuple[int, str]] = []

    def report(path: str, value: object, wrong: str) -> None:
        line = lines.get(path) or lines.get(path.rpartition(".")[0], 0)
        at = f"{file}:{line}" if line else file
        problems.append((line, f"{at}: {path} = {_shown(path, value)}: {wrong}"))

    policy = build(content, report)
    if problems:
        raise PolicyError([text for _, text in sorted(problems, key=lambda one: one[0])])
    return policy


def _shown(path: str, value: object) -> str:
    """The value as written; short, and hidden where its key says that it may be a secret."""
    if any(word in path.rpartition(".")[2].lower() for word in _SECRET_WORDS) and not path.endswith("_file"):
        return "***"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
