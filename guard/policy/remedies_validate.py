"""What of [remedies] no type can tell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import PurePosixPath

from guard.mechanics.xo_config import XO_DEFAULT_MS
from guard.policy.remedies_schema import RemediesSection
from guard.units import format_duration

Report = Callable[[str, object, str], None]
XO_LIMIT = timedelta(milliseconds=XO_DEFAULT_MS)
"""XO's own httpInactivityTimeout (xo-api.md 7); a smaller one breaks its connection to the pools."""
_BOUNDS: tuple[tuple[str, timedelta, timedelta | None], ...] = (
    ("look_ahead", timedelta(hours=1), timedelta(hours=12)),
    ("rescan_again", timedelta(hours=1), None),
    ("probe_limit", timedelta(seconds=1), timedelta(minutes=10)),
    ("longest_timeout", XO_LIMIT, timedelta(hours=6)),
)


def check_remedies(remedies: RemediesSection, report: Report) -> None:
    """``report(key path, value, what would be right)`` for every problem."""
    for key, least, most in _BOUNDS:
        value: timedelta = getattr(remedies, key)
        if value < least or (most is not None and value > most):
            upto = f" and at most {_shown(most)}" if most is not None else ""
            report(f"remedies.{key}", _shown(value), f"expected at least {_shown(least)}{upto}")
    _check_timeout(remedies, report)
    for key in ("xo_config", "timeout_helper"):
        path: str | None = getattr(remedies, key)
        if path is not None and not PurePosixPath(path).is_absolute():
            report(f"remedies.{key}", path, "expected an absolute path")
    if remedies.timeout_helper is not None and remedies.xo_config is None:
        report("remedies.timeout_helper", remedies.timeout_helper, "does nothing without xo_config; expected both")

    for key, needs, why in _IDLE:
        if getattr(remedies, key) and not needs(remedies):
            report(f"remedies.{key}", True, f"does nothing {why}")


_IDLE: tuple[tuple[str, Callable[[RemediesSection], bool], str], ...] = (
    ("adopt_timeout_file", lambda one: one.xo_config is not None, "without xo_config; expected both"),
    (
        "adopt_timeout_file",
        lambda one: one.timeout_helper is None,
        "with timeout_helper, which writes guard's file and no other; expected one of the two",
    ),
    ("follow_up_transfers", lambda one: one.follow_up, "while follow_up is false; expected both, or neither"),
)


def _check_timeout(remedies: RemediesSection, report: Report) -> None:
    """Of two that do not fit, the one that the policy changed is told."""
    longest = remedies.longest_timeout
    if remedies.timeout > longest and longest != RemediesSection().longest_timeout:
        report("remedies.longest_timeout", _shown(longest), f"expected at least timeout ({_shown(remedies.timeout)})")
    elif not XO_LIMIT < remedies.timeout <= longest:
        right = f"expected more than {_shown(XO_LIMIT)}, XO's own limit, and at most longest_timeout"
        report("remedies.timeout", _shown(remedies.timeout), f"{right} ({_shown(longest)})")


def _shown(value: timedelta) -> str:
    return format_duration(value.total_seconds())
