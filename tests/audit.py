"""What an installed guard consists of, as exact requirements for pip-audit: python -m tests.audit.

The libraries that pyproject.toml names and theirs, with the extras that users may install; not what only tests and builds need.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
NOT_FOR_USERS = "dev"


def pinned() -> dict[str, str]:
    """Name -> version of all that is installed of it. Raises PackageNotFoundError where a library of guard's own is not."""
    project = tomli.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    own, optional = project["dependencies"], project["optional-dependencies"]
    found: dict[str, str] = {canonicalize_name(Requirement(text).name): "" for text in own}
    extras = [text for extra, texts in optional.items() if extra != NOT_FOR_USERS for text in texts]
    seen: set[str] = set()
    waiting = [*own, *extras]
    while waiting:
        one = Requirement(waiting.pop())
        name = canonicalize_name(one.name)
        if str(one) in seen or not _is_for_here(one):
            continue
        seen.add(str(one))
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            if name in found:
                raise
            continue  # of an extra that is not installed here
        waiting += _needed_by(name, one.extras)
    return dict(sorted(found.items()))


def _needed_by(name: str, extras: Iterable[str]) -> list[str]:
    needed = [Requirement(text) for text in requires(name) or []]
    wanted = ["", *extras]
    here = [one for one in needed if one.marker is None or any(one.marker.evaluate({"extra": two}) for two in wanted)]
    for one in here:
        one.marker = None  # it was asked with the extras, which the name alone does not know
    return [str(one) for one in here]


def _is_for_here(one: Requirement) -> bool:
    return one.marker is None or one.marker.evaluate({"extra": ""})


if __name__ == "__main__":
    print("\n".join(f"{name}=={found}" for name, found in pinned().items()))
