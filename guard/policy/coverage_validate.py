"""What of [coverage] no type can tell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from guard.policy.coverage_schema import CoverageSection

Report = Callable[[str, object, str], None]


def check_coverage(coverage: CoverageSection, report: Report) -> None:
    """``report(key path, value, what would be right)`` for every problem."""
    if coverage.max_age == timedelta():
        report("coverage.max_age", "0 s", "expected more than 0 s")
    for tag in coverage.ignore_tags:
        if not tag.strip():
            report("coverage.ignore_tags", tag, 'expected tags of VMs, such as ["no-backup"]')
