"""The policy's [remedies]: what is safe by default, and what a person gets wrong in it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.errors import PolicyError
from guard.policy.load import load
from guard.policy.remedies_schema import RemediesSection
from guard.policy.remedies_validate import XO_LIMIT

XO = '[xo]\nurl = "https://xo.example.org"\n[remedies]\n'


def said(text):
    return load(XO + text, file="guard.toml").remedies


def problems(text):
    with pytest.raises(PolicyError) as caught:
        said(text)
    return "\n".join(caught.value.problems)


def test_by_default_what_cannot_hurt_is_on_and_what_leaves_traces_is_off():
    found = said("")
    assert found == RemediesSection()
    on = {name for name in RemediesSection.__struct_fields__ if getattr(found, name) is True}
    assert on == {"rescan", "reconnect", "plug", "follow_up", "timeout_file"}
    assert (found.probe, found.follow_up_transfers, found.lower_concurrency, found.adopt_timeout_file) == (False,) * 4
    assert (found.xo_config, found.timeout_helper) == (None, None)


def test_the_figures_of_the_page_and_of_xo_are_the_defaults():
    found = said("")
    assert (found.look_ahead, found.rescan_again) == (timedelta(hours=4), timedelta(hours=6))
    assert (found.timeout, found.longest_timeout) == (timedelta(minutes=30), timedelta(hours=2))
    assert (found.timeout_days, found.timeout_days_again) == (30, 90)
    assert timedelta(minutes=5) == XO_LIMIT


@pytest.mark.parametrize(
    "text",
    [
        'look_ahead = "1 h"',
        'look_ahead = "12 h"',
        'rescan_again = "1 h"',
        'rescan_again = "30 d"',
        'probe_limit = "1 s"',
        'probe_limit = "10 min"',
        'timeout = "301 s"',
        'timeout = "6 h"\nlongest_timeout = "6 h"',
        'timeout = "30 min"\nlongest_timeout = "30 min"',
        'xo_config = "/etc/xo-server"',
        'xo_config = "/opt/xo"\ntimeout_helper = "/run/guard-workaround.sock"',
        "timeout_days = 1\ntimeout_days_again = 365",
    ],
)
def test_what_is_within_its_bounds_is_taken(text):
    said(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('look_ahead = "59 min"', "remedies.look_ahead = '59 min': expected at least 60 min and at most 12 h"),
        ('look_ahead = "13 h"', "remedies.look_ahead = '13 h': expected at least 60 min and at most 12 h"),
        ('rescan_again = "59 min"', "remedies.rescan_again"),
        ('probe_limit = "0 s"', "remedies.probe_limit"),
        ('probe_limit = "11 min"', "expected at least 1.0 s and at most 10 min"),
        ('longest_timeout = "7 h"', "remedies.longest_timeout"),
        ('timeout = "5 min"', "expected more than 5 min, XO's own limit, and at most longest_timeout (2 h)"),
        ('timeout = "1 s"', "XO's own limit"),
        ('timeout = "3 h"', "at most longest_timeout (2 h)"),
        ('longest_timeout = "10 min"', "longest_timeout = '10 min': expected at least timeout (30 min)"),
        ('timeout = "3 h"', "at most longest_timeout (2 h)"),
        ("adopt_timeout_file = true", "does nothing without xo_config"),
        (
            'adopt_timeout_file = true\nxo_config = "/etc/xo-server"\ntimeout_helper = "/run/it.sock"',
            "does nothing with timeout_helper",
        ),
        ("follow_up = false\nfollow_up_transfers = true", "does nothing while follow_up is false"),
        ('xo_config = "etc/xo-server"', "remedies.xo_config"),
        ('xo_config = ""', "expected an absolute path"),
        ('xo_config = "/e"\ntimeout_helper = "guard.sock"', "expected an absolute path"),
        ('timeout_helper = "/run/guard.sock"', "does nothing without xo_config; expected both"),
        ("timeout_days = 0", "timeout_days"),
        ("timeout_days_again = 366", "timeout_days_again"),
        ("rescan = 1", "remedies.rescan"),
        ("recsan = true", "recsan"),
    ],
)
def test_what_is_out_of_bounds_is_told_with_what_would_be_right(text, told):
    assert told in problems(text)


def test_every_problem_is_told_at_once():
    told = problems('look_ahead = "1 min"\ntimeout = "1 min"\nxo_config = "x"\n')
    assert all(key in told for key in ("look_ahead", "timeout", "xo_config"))
