"""What of a job's settings is different in one run, in words and as a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guard.units import some_of

WHOLE_RUN = frozenset({"concurrency"})
"""Settings that XO reads once for the whole run, never of a VM (xo-api.md 3.1.2)."""
_MOST_NAMES = 5


def settings_text(settings: Mapping[str, Mapping[str, int | bool]], names: Mapping[str, str] | None = None) -> str:
    """XO's names with their values, and for whom: ``bypassVdiChainsCheck = true (db-01)``. ``names``: id -> name."""
    whom: dict[str, list[str]] = {}
    for key, changes in settings.items():
        for name, value in changes.items():
            told = f"{name} = {str(value).lower()}"
            for_all = not key or name in WHOLE_RUN
            whom.setdefault(told, []).extend([] if for_all else [(names or {}).get(key, key)])
    return "; ".join(f"{told} ({some_of(who, _MOST_NAMES)})" if who else told for told, who in whom.items())


def settings_document(settings: Mapping[str, Mapping[str, int | bool]]) -> dict[str, Any]:
    """As XO is given them."""
    return {key: dict(changes) for key, changes in settings.items()}
