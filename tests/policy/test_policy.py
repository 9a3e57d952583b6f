"""The policy file: every error at once, overrides, and the sample in step with the schema."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from guard.errors import PolicyError
from guard.policy.lines import find_lines
from guard.policy.load import load
from guard.policy.resolve import effective
from guard.policy.sample import sample, show, written
from guard.policy.schema import CHECK_OPTIONS, default_policy

URL = '[xo]\nurl = "https://xo.example.org"\n'


def problems(text):
    with pytest.raises(PolicyError) as caught:
        load(text, file="guard.toml")
    return caught.value.problems


def test_config_guard_toml_is_the_sample_and_loads():
    committed = (Path(__file__).parents[2] / "config" / "guard.toml").read_text()
    assert committed == sample()
    assert load(committed, file="p").defaults == default_policy().defaults


def test_the_sample_with_every_option_uncommented_means_the_defaults():
    lines = [line[1:] if line.startswith("#") and not line.startswith("# ") else line for line in sample().splitlines()]
    kept = [line for line in lines if not line.endswith('= ""')]
    policy = load("\n".join(kept), file="p")
    assert (policy.defaults, policy.checks) == (default_policy().defaults, default_policy().checks)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (URL + "[defalts]\n", "guard.toml:3: defalts = {}: unknown section, did you mean defaults?"),
        (URL + '[defaults]\nmax_defr = "1 h"\n', "guard.toml:4: defaults.max_defr = '1 h': unknown key, did you mean max_defer?"),
        (URL + '[defaults]\nmax_defer = "soon"\n', "expected a duration"),
        (URL + "[defaults]\nmax_defer = 4\n", "expected a duration"),
        (URL + '[defaults]\non_unknown = "strat"\n', "expected one of start, defer, refuse, did you mean start?"),
        (URL + '[checks.chain]\ntolerance = "2"\n', "checks.chain.tolerance = '2': expected a whole number, got a text"),
        (URL + "[checks.chain]\ntolerance = -1\n", "expected a whole number, at least 0"),
        (URL + '[checks.chain]\neffect = "of"\n', "did you mean off?"),
        (URL + "[checks.chian]\n", "unknown check, did you mean chain?"),
        (URL + "checks = 1\n", "unknown key"),
        ("checks = 1\n" + URL, "checks = 1: expected a table"),
        ("", "xo.url = '': expected the address of XO"),
        ('[xo]\nurl = "xo.example.org"\n', "expected the address of XO"),
        ('[xo]\nurl = "https://me:pw@xo"\n', "holds credentials"),
        ('[xo]\nurl = "https://xo/rest/v0"\n', "holds a path"),
        (URL + 'zone = "Europe/Pariss"\n', "did you mean Europe/Paris?"),
        (URL + 'token_file = "token"\n', "expected an absolute path"),
        (URL + 'verify = false\nca_file = "/ca"\n', "contradicts ca_file"),
        (URL + "[[schedule]]\nmax_defer = \"1 h\"\n", "schedule[1] = '': matches nothing"),
        (URL + '[[schedule]]\nnam = "x"\n', "unknown key, did you mean name?"),
        (URL + '[schedule]\nname = "x"\n', "expected an array of tables"),
        ("schedule = [1]\n" + URL, "expected a table, written [[schedule]]"),
        (URL + '[[schedule]]\nname = "x"\nchecks.chain.tolerance = "x"\n', "schedule[1].checks.chain.tolerance"),
        ("[xo\n", "is no TOML"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_its_key_value_and_what_would_be_right(text, said):
    assert any(said in one for one in problems(text)), problems(text)


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines():
    found = problems('[xo]\nurl = "x"\nverify = 1\n[defaults]\noverlap = "no"\n[checks.chain]\ntolerance = []\n')
    assert [one.partition(": ")[0] for one in found] == [f"guard.toml:{line}" for line in (2, 3, 5, 7)]
    assert "***" in problems('[xo]\nurl = "https://me:secret@xo"\n')[0]


def resolved(text, **more):
    given = {"schedule_id": "s1", "schedule_name": "nightly web", "job_name": "web", "tags": {"prod"}, **more}
    return effective(load(URL + text, file="p"), **given)


def test_of_two_matching_entries_the_later_wins_key_by_key():
    found = resolved(
        '[[schedule]]\nname = "nightly*"\nmax_defer = "1 h"\noverlap = "one_later"\n'
        '[[schedule]]\njob = "w?b"\nmax_defer = "2 h"\n[schedule.checks.chain]\ntolerance = 3\n'
    )
    assert (found.max_defer, found.overlap, found.checks["chain"].tolerance) == (timedelta(hours=2), "one_later", 3)


@pytest.mark.parametrize(
    ("match", "matched"),
    [
        ('id = "s1"', True),
        ('id = "s2"', False),
        ('tag = "prod"', True),
        ('tag = "db"', False),
        ('name = "x"\njob = "web"', False),
    ],
)
def test_every_match_key_given_must_match(match, matched):
    found = resolved(f'[[schedule]]\n{match}\non_unknown = "defer"\n')
    assert (found.on_unknown == "defer") is matched


def test_show_names_every_option_and_where_it_is_from():
    shown = {
        path: (value, origin) for path, value, origin in show(load(URL + "[checks.chain]\ntolerance = 2\n", file="p"))
    }
    assert shown["xo.url"] == ('"https://xo.example.org"', "policy")
    assert shown["checks.chain.tolerance"] == ("2", "policy")
    assert shown["defaults.max_defer"] == ('""', "default")
    assert shown["defaults.recheck_every"] == ('"10 min"', "default")
    assert {path.split(".")[1] for path in shown if path.startswith("checks.")} == set(CHECK_OPTIONS)
    assert (written(1.5), written(True), written(None)) == ("1.5", "true", '""')


def test_lines_are_found_through_tables_arrays_dotted_and_quoted_keys():
    text = 'a = 1\n[x.y]\n"k" = 1 # c\n# z = 1\n[[t]]\nb.c = 1\n[t.u]\nd = 2\n[[t]]\nb = 1\n'
    found = find_lines(text)
    assert found == {
        "a": 1,
        "x.y": 2,
        "x.y.k": 3,
        "t[1]": 5,
        "t[1].b.c": 6,
        "t[1].u": 7,
        "t[1].u.d": 8,
        "t[2]": 9,
        "t[2].b": 10,
    }
