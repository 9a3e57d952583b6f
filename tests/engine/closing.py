"""A pytest plugin: the closing lines of the engine's judgement, also where another process judged."""

from __future__ import annotations

import pytest
from tests.engine.report import CLOSING

_KEY = "guard against the published backup engine"


def pytest_sessionfinish(session):
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told[_KEY] = list(CLOSING)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node):
    CLOSING.extend(getattr(node, "workeroutput", {}).get(_KEY, ()))


def pytest_terminal_summary(terminalreporter):
    if CLOSING:
        terminalreporter.section(_KEY)
        for line in CLOSING:
            terminalreporter.write_line(line)
