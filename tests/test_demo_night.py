"""The demo's night: what the plan said against what the simulated XO did, watched to the end."""

from __future__ import annotations

import io

import pytest
from guard.cli.main import main


@pytest.fixture(scope="module")
def told():
    out, err = io.StringIO(), io.StringIO()
    assert main(["demo"], out, err, {}) == 0
    return out.getvalue(), err.getvalue()


def rows(text):
    """Code -> (hits, misses, false alarms, wrong causes) of the report's table."""
    lines = text.partition("Predictions:")[2].splitlines()[1:]
    found = {}
    for line in lines:
        words = line.split()
        if len(words) != 5:
            break
        found[words[0]] = tuple(map(int, words[1:]))
    return found


def test_every_due_time_of_the_night_is_accounted_for(told):
    assert "34 due times from Sat 27 Mar 19:00 CET to Sun 28 Mar 20:00 CEST: 34 observed." in told[0]


def test_every_prediction_came_true_and_nothing_came_unpredicted(told):
    found = rows(told[0])
    assert {code: row[1:] for code, row in found.items() if row[1:] != (0, 0, 0)} == {}
    assert found.keys() >= {
        "CHAIN_UNHEALTHY",
        "JOB_RUNNING",
        "NO_VM_MATCHES",
        "POOL_DISCONNECTED",
        "REPOSITORY_DISABLED",
        "REPOSITORY_NO_SPACE",
        "REPOSITORY_UNREACHABLE",
        "RUN_OVERLAP",
        "SETTINGS_MISSING",
        "SR_DETACHED",
        "SR_NO_SPACE",
        "VM_UNKNOWN",
    }


def test_watching_writes_nothing_to_xo(told):
    assert "guard wrote 0 times to XO." in told[0]


def test_the_tour_stays_within_80_columns_and_says_what_happens(told):
    assert not [line for line in told[0].splitlines() if len(line) > 80 and " " in line.strip()]
    assert "Now the night goes by" in told[1]
