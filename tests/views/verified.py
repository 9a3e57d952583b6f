"""What holds each code against something other than guard's own words, read from the tests themselves."""

from __future__ import annotations

from pathlib import Path

from guard.checks import ALL, clock_change, selection
from guard.simulator.demo import PLANTED
from tests.engine.families import stages
from tests.engine.stage import SUCCESS
from tests.outcomes.test_causes import RECORDED

_CHECKS = Path(__file__).parents[1] / "checks"
_ON_CRON_AND_PATTERNS = (*clock_change.CHECK.codes, *selection.CHECK.codes)


def verified() -> dict[str, tuple[str, ...]]:
    """Code -> engine, npm oracle, recording, simulator, unit: those that apply, in this order."""
    whole = stages()
    by_engine = {code for stage in whole for code in (*stage.expected.values(), *stage.lost_targets.values())}
    if any(stage.full for stage in whole):
        by_engine.add("NEXT_RUN_FULL")
    by = {
        "engine": by_engine - {SUCCESS},
        "npm oracle": {code.id for code in _ON_CRON_AND_PATTERNS},
        "recording": {code for found in RECORDED.values() for code in found},
        "simulator": {code for code, _ in PLANTED},
        "unit": {code.id for check in ALL for code in check.codes if _has_tests(check.evaluate.__module__)},
    }
    return {
        code: tuple(name for name, codes in by.items() if code in codes) for code in sorted(set().union(*by.values()))
    }


def _has_tests(module: str) -> bool:
    return (_CHECKS / f"test_{module.rpartition('.')[2]}.py").exists()
