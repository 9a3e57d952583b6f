"""Windows, limits, and the keys that say whether and how guard acts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.errors import PolicyError
from guard.policy.load import load
from guard.policy.resolve import effective
from guard.policy.schema import default_policy

XO = '[xo]\nurl = "https://xo.example.org"\n'
WINDOW = '[[window]]\ncron = "0 22 * * *"\nduration = "8 h"\n'


def problems(text):
    with pytest.raises(PolicyError) as caught:
        load(XO + text, file="p")
    return caught.value.problems


def resolved(text, *, xo=XO, **more):
    given = {"schedule_id": "s1", "schedule_name": "nightly web", "job_name": "web", "tags": {"prod"}} | more
    return effective(load(xo + text, file="p"), **given)


def test_the_defaults_only_watch():
    found = resolved("")
    assert (found.gate, found.claim, found.on_uncertain) == ("observe", "when_needed", "start")
    assert (found.recheck_every, found.max_defer, found.max_backup_age) == (timedelta(minutes=10), None, None)
    assert (found.windows, found.limits, default_policy().xo.accept_versions) == ((), (), ())


def test_each_key_may_be_set_for_all_and_anew_for_some():
    text = """[defaults]
gate = "enforce"
claim = "always"
on_uncertain = "skip"
recheck_every = "5 min"
max_backup_age = "2 d"
[[schedule]]
name = "nightly*"
gate = "observe"
claim = "when_needed"
on_uncertain = "start"
recheck_every = "1 min"
max_backup_age = "1 d"
max_defer = "1 h"
"""
    for name, expected in {
        "daily": ("enforce", "always", "skip", timedelta(minutes=5), timedelta(days=2), None),
        "nightly": ("observe", "when_needed", "start", timedelta(minutes=1), timedelta(days=1), timedelta(hours=1)),
    }.items():
        found = resolved(text, schedule_name=name)
        told = (found.gate, found.claim, found.on_uncertain, found.recheck_every, found.max_backup_age, found.max_defer)
        assert told == expected


@pytest.mark.parametrize(
    ("text", "acts"),
    [
        ("", False),
        ('[defaults]\ngate = "enforce"\n', True),
        ('[[schedule]]\nname = "x"\ngate = "enforce"\n', True),
        ('[[schedule]]\nname = "x"\ngate = "observe"\n', False),
    ],
)
def test_guard_may_act_as_soon_as_one_schedule_is_enforced(text, acts):
    assert load(XO + text, file="p").may_act is acts


def test_versions_are_taken_in_full_only():
    assert load(XO + 'accept_versions = ["5.210.0", "6.0.12"]\n', file="p").xo.accept_versions == ("5.210.0", "6.0.12")
    assert problems('accept_versions = ["5.210"]\n') == [
        "p:3: xo.accept_versions = '5.210': expected versions of xo-server in full, such as [\"5.210.0\"]"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('accept_versions = "5.1.0"\n', "p:3: xo.accept_versions = '5.1.0': expected a list, got a text"),
        ("accept_versions = [5]\n", "xo.accept_versions = [5]: expected each value to be a text, got a whole number"),
        ('[defaults]\ngate = "enforced"\n', "defaults.gate = 'enforced': expected one of observe, enforce, did you mean enforce?"),
        ('[defaults]\nclaim = "never"\n', "defaults.claim = 'never': expected one of when_needed, always"),
        ('[defaults]\non_uncertain = "wait"\n', "defaults.on_uncertain = 'wait': expected one of start, skip"),
        ('[defaults]\nrecheck_every = "59 s"\n', "p:4: defaults.recheck_every = '59 s': expected at least \"1 min\""),
        ('[defaults]\nmax_backup_age = "0 s"\n', "p:4: defaults.max_backup_age = '0 s': expected more than 0 s"),
        ('[defaults]\nmax_backup_age = "old"\n', "defaults.max_backup_age = 'old': expected a duration such as"),
        ('[[schedule]]\nname = "x"\nrecheck_every = "1 s"\n', "p:5: schedule[1].recheck_every = '1.0 s': expected at least"),
        ('[[schedule]]\nname = "x"\nmax_backup_age = "0 s"\n', "p:5: schedule[1].max_backup_age = '0 s': expected more than"),
        ("[window]\n", "p:3: window = {}: expected an array of tables, written [[window]]"),
        ("[limit]\n", "p:3: limit = {}: expected an array of tables, written [[limit]]"),
        ('[[window]]\nduration = "1 h"\n', "p:3: window[1].cron = '': expected five fields of standard cron, such as"),
        ('[[window]]\ncron = "0 22 * * *"\n', "p:3: window[1].duration = '': is required; expected more than 0 s, such as \"8 h\""),
        (WINDOW.replace("8 h", "0 s"), "p:5: window[1].duration = '0 s': is required; expected more than 0 s"),
        (WINDOW.replace('"8 h"', "8"), "p:5: window[1].duration = 8: expected a duration such as"),
        (WINDOW + 'kind = "forbid"\n', "p:6: window[1].kind = 'forbid': expected one of allow, deny"),
        (WINDOW + 'zone = "Europe/Pariss"\n', "p:6: window[1].zone = 'Europe/Pariss': unknown zone, did you mean Europe/Paris?"),
        (WINDOW + 'zone = "local"\n', "window[1].zone = 'local': unknown zone"),
        (WINDOW + 'zones = "utc"\n', "p:6: window[1].zones = 'utc': unknown key, did you mean zone?; expected one of name, kind"),
        (WINDOW + WINDOW.replace("22", "24"), "p:7: window[2].cron = '0 24 * * *': names no time"),
        ('[[limit]]\nper = "xo"\n', "p:3: limit[1].slots = '': is required; expected a whole number from 1"),
        ("[[limit]]\nslots = 1\n", "p:3: limit[1].per = '': is required; expected one of repository, sr, pool, xo"),
        ('[[limit]]\nslots = 0\nper = "xo"\n', "p:4: limit[1].slots = 0: expected a whole number, at least 1"),
        ('[[limit]]\nslots = 1.5\nper = "xo"\n', "limit[1].slots = 1.5: expected a whole number, got a number"),
        ('[[limit]]\nslots = 1\nper = "host"\n', "p:5: limit[1].per = 'host': expected one of repository, sr, pool, xo"),
        ('[[limit]]\nslots = 1\nper = "xo"\nname = "*"\n', "p:6: limit[1].name = '*': does nothing with per = \"xo\""),
        ('[[limit]]\nslots = 1\nper = "host"\nname = "*"\n', "limit[1].per = 'host'"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_its_line_its_key_and_what_would_be_right(text, said):
    (one,) = problems(text)
    assert said in one


@pytest.mark.parametrize("key", ["window", "limit"])
def test_an_entry_that_is_no_table_is_told(key):
    with pytest.raises(PolicyError, match=rf"p:1: {key}\[1\] = 5: expected a table, written \[\[{key}\]\]"):
        load(f'{key} = [5]\nxo.url = "https://xo"\n', file="p")


@pytest.mark.parametrize(
    "cron",
    [
        "@daily", "0 22 * *", "0 22 * * * *", "0 22 * * * 0 2026", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 0 *",
        "* * * 13 *", "* * * * 8", "0 0 31 2 *", "h * * * *", "R * * * *", "? * * * *", "* * L * *", "* * * * 5#2", "*/0 * * * *",
        "5-1-2 * * * *", "nonsense", "0 22 * * mos", "0 22 * * 1,", "",
    ],
)  # fmt: skip
def test_what_is_no_standard_cron_expression_is_refused(cron):
    (one,) = problems(f'[[window]]\ncron = "{cron}"\nduration = "1 h"\n')
    assert f"window[1].cron = {cron!r}: " in one
    assert "expected" in one


@pytest.mark.parametrize(
    "cron",
    [
        "* * * * *",
        "*/15 0-6,22-23 1,15 1-12/2 *",
        "0 22 * jan-MAR mon-Fri",
        "0 0 29 2 *",
        "0  22 * * 0,7",
        "5 4 * * sun",
    ],
)
def test_standard_cron_is_taken(cron):
    policy = load(f'{XO}[[window]]\ncron = "{cron}"\nduration = "1 h"\n', file="p")
    assert policy.windows[0].cron == cron


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ("", True),
        ('schedule = "night*"', True),
        ('schedule = "Night*"', False),
        ('job = "w?b"', True),
        ('job = "x"', False),
        ('tag = "prod"', True),
        ('tag = "test"', False),
        ('schedule = "night*"\njob = "x"', False),
    ],
)
def test_a_window_is_for_the_schedules_that_all_its_keys_match(match, applies):
    assert bool(resolved(f"{WINDOW}{match}\n").windows) is applies


@pytest.mark.parametrize(
    ("xo", "own", "zone"),
    [
        ("", "", "utc"),
        ('zone = "Asia/Tokyo"\n', "", "Asia/Tokyo"),
        ('zone = "Asia/Tokyo"\n', 'zone = "Europe/Paris"\n', "Europe/Paris"),
    ],
)
def test_a_window_without_a_zone_is_in_that_of_xo_and_else_in_utc(xo, own, zone):
    (window,) = resolved(WINDOW + own, xo=XO + xo).windows
    assert (window.zone, window.kind, window.duration) == (zone, "allow", timedelta(hours=8))


def test_every_limit_is_for_all():
    (one,) = resolved('[[limit]]\nslots = 2\nper = "repository"\nname = "nas*"\n').limits
    assert (one.slots, one.per, one.name) == (2, "repository", "nas*")
