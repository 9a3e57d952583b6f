"""[xo] renew_token and renew_for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.errors import PolicyError
from guard.policy.load import load

XO = '[xo]\nurl = "https://xo.example.org"\n'


def test_guard_renews_nothing_by_itself_unless_it_is_told_to():
    xo = load(XO, file="p").xo
    assert (xo.renew_token, xo.renew_for) == (False, timedelta(days=180))
    xo = load(XO + 'renew_token = true\nrenew_for = "30 d"\n', file="p").xo
    assert (xo.renew_token, xo.renew_for) == (True, timedelta(days=30))


def test_a_life_shorter_than_the_daily_look_can_serve_is_refused():
    with pytest.raises(PolicyError, match=r'p:3: xo\.renew_for = .*: expected at least "2 d"'):
        load(XO + 'renew_for = "47 h"\n', file="p")


def test_a_token_written_in_the_place_of_the_switch_is_not_repeated():
    with pytest.raises(PolicyError, match=r"p:3: xo\.renew_token = \*\*\*: expected") as caught:
        load(XO + 'renew_token = "LB_DqCNhcmAoyiioNnajySHIYHrWfs"\n', file="p")
    assert "LB_DqCN" not in str(caught.value)
