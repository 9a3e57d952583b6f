"""The closing lines of the engine's judgement."""

from __future__ import annotations

from tests.engine.report import CLOSING


def pytest_terminal_summary(terminalreporter):
    if CLOSING:
        terminalreporter.section("guard against the published backup engine")
        for line in CLOSING:
            terminalreporter.write_line(line)
