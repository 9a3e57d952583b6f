"""Holds and bypasses in words."""

from __future__ import annotations

from datetime import UTC

import pytest
from guard.decision.brakes import Brake
from guard.views.brakes import brakes_text, names_nothing_text, not_checked_text, not_enforced_text
from tests.builders import DUE


def brake(kind="hold", scope="sr:NFS", reason="disks", by="alice"):
    return Brake(kind=kind, scope=scope, until=DUE, reason=reason, since=DUE, by=by)


def test_what_is_in_force_is_folded_at_80_columns():
    lines = brakes_text([brake(scope=f"vm:web-{number}") for number in range(4)], UTC).splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("In force now: hold of vm:web-0 until Wed 25 Nov 00:00 UTC, by alice: disks;")
    assert brakes_text([], UTC) == "No hold and no bypass is in force.\n"


@pytest.mark.parametrize(
    ("of", "near", "said"),
    [
        (
            brake(),
            ("NFS old", "NFS2"),
            "warning: XO shows no SR of the name or id 'NFS'; the hold stands all the same; did you mean 'sr:NFS old' or sr:NFS2?",
        ),
        (
            brake("bypass", "job:x"),
            (),
            "warning: XO shows no job of the name or id 'x'; the bypass stands all the same",
        ),
    ],
)
def test_a_name_that_xo_does_not_show_is_told_with_those_that_may_be_meant(of, near, said):
    assert names_nothing_text(of, near) == said


def test_what_could_not_be_looked_up_says_why():
    assert not_checked_text(brake(), "No XO answers") == (
        "warning: whether XO has sr:NFS could not be checked; the hold stands all the same: No XO answers"
    )


def test_a_hold_that_keeps_nothing_back_says_so():
    assert not_enforced_text(brake(scope="all")) == (
        'warning: hold of all: no schedule that it names is enforced (gate = "enforce"): XO starts them all the same'
    )


def test_names_from_xo_reach_no_terminal_as_they_are():
    assert "\x1b" not in names_nothing_text(brake(scope="vm:\x1b[1m"), ("\x1b[31m",))
