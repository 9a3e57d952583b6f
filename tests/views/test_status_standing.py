"""What keeps guard from its work at the moment, as guard status tells it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from guard.lifecycle.loop import Loop
from guard.policy.accept_schema import AcceptRule
from guard.views.status import OK, WARNING, nagios, status_document, status_text
from guard.views.status_standing import conditions

NOW = datetime(2026, 11, 26, 8, tzinfo=UTC)
ASIDE = "the token's user is no administrator"


def found(loop, has_ballast=True, accepts=()):
    return conditions(loop, has_ballast=has_ballast, accepts=accepts, now=NOW)


def test_where_all_is_in_order_nothing_stands():
    loop = Loop(at=NOW, clock_ahead_s=29.9)
    assert found(loop) == ()
    assert nagios(loop, (), NOW, stands=())[0] == OK
    assert status_document(loop, (), NOW)["standing"] == []


@pytest.mark.parametrize(
    ("loop", "has_ballast", "code", "text"),
    [
        (Loop(at=NOW, stands_aside=ASIDE), True, "GATE_STANDS_ASIDE", f"guard leaves every start to XO: {ASIDE}"),
        (Loop(at=NOW, clock_ahead_s=30), True, "CLOCKS_DIFFERENT", "guard's clock is 30 s ahead of XO's"),
        (Loop(at=NOW, clock_ahead_s=-120), True, "CLOCKS_DIFFERENT", "guard's clock is 2 min behind XO's"),
        (Loop(at=NOW), False, "LEDGER_DISK_FULL", "the ledger's reserve of disk space is not there"),
    ],
)
def test_what_stands_is_told_with_its_code_and_is_a_warning(loop, has_ballast, code, text):
    stands = found(loop, has_ballast)
    assert [(one.code.id, one.text) for one in stands] == [(code, text)]
    assert f"{code}: {text}." in status_text(loop, (), NOW, UTC, stands=stands).replace("\n  ", " ")
    assert nagios(loop, (), NOW, stands=stands)[:1] == (WARNING,)
    assert f"WARNING - {code}: {text}" in nagios(loop, (), NOW, stands=stands)[1]
    assert status_document(loop, (), NOW, stands=stands)["standing"] == [{"code": code, "text": text}]


def test_a_full_disk_is_told_before_the_first_look_too():
    assert [one.code.id for one in found(None, has_ballast=False)] == ["LEDGER_DISK_FULL"]


def test_what_was_accepted_is_not_told():
    known = AcceptRule(code="CLOCKS_DIFFERENT", until="2026-11-28", reason="known", ends=NOW + timedelta(days=2))
    assert found(Loop(at=NOW, clock_ahead_s=60), accepts=(known,)) == ()
