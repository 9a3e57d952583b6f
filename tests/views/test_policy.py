"""The policy in force, each value with the place it comes from."""

from __future__ import annotations

from guard.policy.lines import find_lines
from guard.policy.load import load
from guard.views.policy import policy_text, schedule_policy_text

TEXT = """[xo]
url = "https://xo.example.org"
[defaults]
on_unknown = "defer"
[checks.chain]
tolerance = 2
[[schedule]]
name = "night*"
max_defer = "3 h"
[schedule.checks.chain]
tolerance = 3
[[schedule]]
id = "s1"
job = "web"
max_defer = "2 h"
"""


def shown(text=TEXT):
    return policy_text(load(text, file="g.toml"), file="g.toml", lines=find_lines(text)).splitlines()


def of(schedule, job="", text=TEXT):
    policy = load(text, file="g.toml")
    return schedule_policy_text(policy, schedule, job, file="g.toml", lines=find_lines(text)).splitlines()


def test_every_value_is_shown_with_its_line_or_as_a_default():
    rows = shown()
    assert rows[0] == 'xo.url = "https://xo.example.org"  # g.toml:2'
    assert "xo.token_file = (not set)  # default" in rows
    assert 'defaults.on_unknown = "defer"  # g.toml:4' in rows
    assert "defaults.max_defer = (not set)  # default" in rows
    assert "checks.chain.tolerance = 2  # g.toml:6" in rows


def test_every_entry_is_shown_with_what_it_matches_and_what_it_changes():
    rows = shown()
    assert rows[rows.index('schedule[1] matches name = "night*"  # g.toml:7') :] == [
        'schedule[1] matches name = "night*"  # g.toml:7',
        'schedule[1].max_defer = "3 h"  # g.toml:9',
        "schedule[1].checks.chain.tolerance = 3  # g.toml:11",
        'schedule[2] matches id = "s1", job = "web"  # g.toml:12',
        'schedule[2].max_defer = "2 h"  # g.toml:15',
    ]


def test_a_value_whose_line_cannot_be_found_names_the_file_alone():
    assert 'xo.url = "https://xo.example.org"  # g.toml' in shown('xo = {url = "https://xo.example.org"}\n')


def test_what_holds_for_a_schedule_names_the_entry_that_decided():
    rows = of("nightly")
    assert 'defaults.max_defer = "3 h"  # schedule[1], g.toml:9' in rows
    assert "checks.chain.tolerance = 3  # schedule[1], g.toml:11" in rows
    assert 'defaults.on_unknown = "defer"  # g.toml:4' in rows
    assert 'defaults.overlap = "skip"  # default' in rows


def test_of_two_entries_the_later_is_named_key_by_key():
    text = TEXT.replace('id = "s1"', 'name = "nightly"')
    rows = of("nightly", "web", text)
    assert 'defaults.max_defer = "2 h"  # schedule[2], g.toml:15' in rows
    assert "checks.chain.tolerance = 3  # schedule[1], g.toml:11" in rows
    assert 'defaults.max_defer = "3 h"  # schedule[1], g.toml:9' in of("nightly", "mail", text)


def test_a_schedule_no_entry_matches_has_the_values_of_all():
    rows = of("daily")
    assert "defaults.max_defer = (not set)  # default" in rows
    assert "checks.chain.tolerance = 2  # g.toml:6" in rows
    assert not [row for row in rows if "schedule[" in row]


ENTRIES = """[[window]]
name = "night"
cron = "0 22 * * *"
duration = "8 h"
[[window]]
kind = "deny"
cron = "0 0 1 * *"
duration = "1 d"
zone = "Europe/Paris"
schedule = "pay*"
[[limit]]
slots = 2
per = "sr"
"""


def test_windows_and_limits_are_shown_with_all_their_values():
    rows = shown(TEXT + ENTRIES)
    first = rows.index('window[1].name = "night"  # g.toml:17')
    assert rows[first : first + 5] == [
        'window[1].name = "night"  # g.toml:17',
        'window[1].kind = "allow"  # default',
        'window[1].cron = "0 22 * * *"  # g.toml:18',
        'window[1].duration = "8 h"  # g.toml:19',
        "window[1].zone = (not set)  # default",
    ]
    assert 'window[2].schedule = "pay*"  # g.toml:25' in rows
    assert rows[-3:] == [
        "limit[1].slots = 2  # g.toml:27",
        'limit[1].per = "sr"  # g.toml:28',
        'limit[1].name = "*"  # default',
    ]


def test_of_a_schedule_its_own_windows_are_shown_and_every_limit():
    windows = {
        name: {row.split(".")[0] for row in of(name, text=TEXT + ENTRIES) if row.startswith(("window", "limit"))}
        for name in ("nightly", "payroll")
    }
    assert windows == {"nightly": {"window[1]", "limit[1]"}, "payroll": {"window[1]", "window[2]", "limit[1]"}}


def test_a_hostile_value_does_not_reach_the_terminal():
    text = TEXT.replace('"night*"', '"\\u001b[31m*"')
    assert not [row for row in shown(text) if "\x1b" in row]


def test_a_schedule_that_no_entry_matches_is_told_to_have_the_defaults():
    assert of("nope")[0] == (
        "# no [[schedule]] entry that sets anything matches nope; these are the defaults (some match by more: give --job)"
    )
    assert of("nope", job="db")[0] == "# no [[schedule]] entry that sets anything matches nope; these are the defaults"
    tagged = TEXT + '[[schedule]]\ntag = "prod"\nmax_defer = "1 h"\n'
    assert of("nope", text=tagged)[0].endswith("(some match by more: give --job and --tag)")
    policy = load(tagged, file="g.toml")
    of_test = schedule_policy_text(policy, "nope", "db", file="g.toml", lines=find_lines(tagged), tags=["test"])
    assert of_test.splitlines()[0].endswith("these are the defaults")
    assert not of("nightly")[0].startswith("#")
