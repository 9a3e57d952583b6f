"""What a person gets wrong in a policy: never a crash, never a secret in the answer, always what would be right."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.errors import PolicyError
from guard.policy.lines import find_lines
from guard.policy.load import load
from guard.policy.resolve import effective
from guard.policy.sample import descriptions, sample, show, written
from guard.policy.schema import CHECK_OPTIONS, Defaults, LimitRule, ScheduleRule, WindowRule, XoSection, default_policy
from guard.policy.validate import convert

XO = '[xo]\nurl = "https://xo.example.org"\n'


def problems(text):
    with pytest.raises(PolicyError) as caught:
        load(text, file="guard.toml")
    return caught.value.problems


# --- the address of XO


@pytest.mark.parametrize(
    "url",
    [
        "https://xo.example.org",
        "https://xo.example.org/",
        "http://127.0.0.1:8080",
        "https://[::1]:8443",
        "HTTPS://XO.example.org",
    ],
)
def test_an_address_with_a_port_or_a_closing_slash_is_taken_as_it_is(url):
    assert load(f'xo.url = "{url}"\n', file="p").xo.url == url


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://[bad", "has a host or a port that cannot be"),
        ("https://xo.example.org:99999", "has a host or a port that cannot be"),
        ("https://xo.example.org:https", "has a host or a port that cannot be"),
        ("https://xo..example.org", "has a host or a port that cannot be"),
        (f"https://{'x' * 64}.example.org", "has a host or a port that cannot be"),
        ("ftp://xo.example.org", "expected the address of XO"),
        ("https://", "expected the address of XO"),
        ("https://xo.example.org/rest/v0", "holds a path"),
        ("https://xo.example.org?a=b", "holds a path"),
        ("https://xo.example.org/#/home", "holds a path"),
    ],
)
def test_an_address_that_cannot_be_one_is_told_with_a_right_one(url, wrong):
    (text,) = problems(f'xo.url = "{url}"\n')
    assert text.startswith(f"guard.toml:1: xo.url = '{url}': {wrong}")
    assert "such as https://xo.example.org" in text


@pytest.mark.parametrize(
    "url",
    [
        "https://me:secret@xo.example.org",
        "https://secret@xo.example.org",
        "https://me:secret@",
        "https://me:secret@xo.example.org:99999",
        "https://me:secret@[xo",
        "me:secret@xo.example.org",
        "ftp://me:secret@xo.example.org",
    ],
)
def test_credentials_in_the_address_are_never_repeated(url):
    (text,) = problems(f'xo.url = "{url}"\n')
    assert "xo.url = '***'" in text
    assert "secret" not in text


# --- sections and entries of the wrong kind


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("xo = 5\n", "guard.toml:1: xo = 5: expected a table"),
        (f"defaults = true\n{XO}", "guard.toml:1: defaults = True: expected a table"),
        (f"checks = []\n{XO}", "guard.toml:1: checks = []: expected a table"),
        (f"{XO}[checks]\nchain = 1\n", "guard.toml:4: checks.chain = 1: expected a table"),
        (f'{XO}[[schedule]]\nname = "x"\nchecks = 1\n', "guard.toml:5: schedule[1].checks = 1: expected a table"),
        (f'{XO}[[schedule]]\nname = "x"\nchecks.chain = 1\n', "guard.toml:5: schedule[1].checks.chain = 1: expected a table"),
        (f'{XO}[[schedule]]\nname = "x"\n[schedule.checks.chian]\n', "[1].checks.chian = {}: unknown check, did you mean chain?"),
        (f'{XO}[[schedule]]\nname = 5\n', "guard.toml:4: schedule[1].name = 5: expected a text, got a whole number"),
        (f'{XO}[checks.chain]\nlimit = 1\n', "checks.chain.limit = 1: unknown key; expected one of effect, tolerance"),
        (f'{XO}history_days = 32\n', "guard.toml:3: xo.history_days = 32: expected a whole number, at most 31"),
        (f"{XO}[checks.sr_space]\nwarn_free_percent = 101\n", "warn_free_percent = 101: expected a number, at most 100"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_told_with_its_line_and_the_right_kind(text, said):
    assert any(said in one for one in problems(text)), problems(text)


def test_the_second_entry_is_counted_as_the_second():
    found = problems(f'{XO}[[schedule]]\nname = "x"\n[[schedule]]\nname = "y"\nmax_defr = "1 h"\n')
    assert found[0].startswith("guard.toml:7: schedule[2].max_defr = '1 h': unknown key, did you mean max_defer?")
    assert "expected one of id, name, job, tag, on_unknown, overlap, max_defer, max_backup_age, gate, claim" in found[0]


def test_a_mistake_whose_line_cannot_be_told_names_the_file_alone():
    assert problems(f'"défaults" = 1\n{XO}')[0].startswith("guard.toml: défaults = 1: unknown section")


def test_a_mistake_in_an_inline_table_names_the_line_of_the_table():
    assert problems('\nxo = {url = "https://xo.example.org", verify = 1}\n')[0].startswith(
        "guard.toml:2: xo.verify = 1"
    )


@pytest.mark.parametrize("key", ["token", "xo_token", "Password", "api_key"])
def test_what_may_be_a_secret_in_the_wrong_place_is_never_repeated(key):
    (text,) = problems(f'{XO}{key} = "hunter2"\n')
    assert text.startswith(f"guard.toml:3: xo.{key} = ***: unknown key")
    assert "hunter2" not in text


def test_the_name_of_a_file_is_no_secret():
    assert "xo.token_file = ***: expected an absolute path" in problems(f'{XO}token_file = "token"\n')[0]


def test_a_value_without_end_is_cut():
    (text,) = problems(f'{XO}zone = "{"x" * 5000}"\n')
    assert len(text) < 400


@pytest.mark.parametrize("text", ["[xo\n", "\ufeff\ufeff", f"a = {'9' * 5000}\n", "a = " + "[" * 5000])
def test_a_text_that_is_no_toml_is_told_with_its_file(text):
    assert problems(text)[0].startswith("guard.toml: is no TOML: ")


# --- durations


@pytest.mark.parametrize("value", ['"-1 h"', '""', "90", "[]", '"1 week"'])
def test_a_duration_that_is_none_never_crashes(value):
    assert "max_defer" in problems(f"{XO}[defaults]\nmax_defer = {value}\n")[0]
    assert 'expected a duration such as "90 s"' in problems(f"{XO}[defaults]\nmax_defer = {value}\n")[0]


@pytest.mark.parametrize("number", ["99999999999999", "9" * 400])
def test_a_duration_beyond_all_dates_never_crashes(number):
    assert "expected a duration of at most" in problems(f'{XO}[defaults]\nmax_defer = "{number} d"\n')[0]


def test_a_duration_is_at_most_ten_years_so_that_every_deadline_is_a_date():
    assert load(f'{XO}[defaults]\nmax_defer = "3650 d"\n', file="p").defaults.max_defer == timedelta(days=3650)
    assert problems(f'{XO}[defaults]\nmax_defer = "3650 d 1 s"\n') == [
        "guard.toml:4: defaults.max_defer = '3650 d 1 s': expected a duration of at most 3650 d"
    ]


def test_one_value_can_be_converted_alone():
    assert convert(Defaults, "max_defer", "90 s") == timedelta(seconds=90)
    assert convert(CHECK_OPTIONS["chain"], "tolerance", 3) == 3
    with pytest.raises(ValueError, match="expected one of skip, one_later, did you mean skip"):
        convert(Defaults, "overlap", "skp")
    with pytest.raises(ValueError, match=r"expected one of block, warn, off$"):
        convert(CHECK_OPTIONS["chain"], "effect", 5)
    with pytest.raises(ValueError, match="expected true or false, got a text"):
        convert(XoSection, "verify", "yes")


# --- what is right


def test_everything_a_policy_may_say_is_taken():
    policy = load(
        f"""{XO}token_file = "/etc/guard/token"
server_name = "xo"
zone = "Europe/Paris"
call_timeout = "10 s"
[defaults]
on_unknown = "refuse"
[checks.chain]
effect = "off"
[[schedule]]
tag = "prod"
overlap = "one_later"
checks.sr_space.warn_free_percent = 12.5
""",
        file="p",
    )
    assert (policy.xo.zone, policy.xo.call_timeout, policy.xo.server_name) == (
        "Europe/Paris",
        timedelta(seconds=10),
        "xo",
    )
    assert (policy.defaults.on_unknown, policy.checks["chain"].effect) == ("refuse", "off")
    (rule,) = policy.schedules
    assert (rule.tag, dict(rule.changes)) == ("prod", {"overlap": "one_later"})
    assert rule.checks == {"sr_space": {"warn_free_percent": 12.5}}
    assert policy.given == {
        "xo.url",
        "xo.token_file",
        "xo.server_name",
        "xo.zone",
        "xo.call_timeout",
        "defaults.on_unknown",
        "checks.chain.effect",
    }


def test_a_check_may_be_relaxed_for_one_schedule_only_and_one_key_at_a_time():
    policy = load(
        f'{XO}[checks.sr_space]\nwarn_thick_used_percent = 60\n[[schedule]]\nid = "s1"\nchecks.sr_space.warn_free_percent = 5\n',
        file="p",
    )
    found = {
        identity: effective(policy, schedule_id=identity, schedule_name="n", job_name="j", tags=()).checks["sr_space"]
        for identity in ("s1", "s2")
    }
    assert (found["s1"].warn_free_percent, found["s1"].warn_thick_used_percent) == (5, 60)
    assert (found["s2"].warn_free_percent, found["s2"].warn_thick_used_percent) == (30, 60)


def test_a_glob_is_case_sensitive_and_needs_the_whole_name():
    policy = load(f'{XO}[[schedule]]\nname = "night*"\non_unknown = "defer"\n', file="p")
    answers = [
        effective(policy, schedule_id="s", schedule_name=name, job_name="j", tags=()).on_unknown
        for name in ("nightly", "Nightly", "a nightly")
    ]
    assert answers == ["defer", "start", "start"]


# --- the sample and the list of values


def test_the_sample_explains_every_option_in_lines_that_fit_a_screen():
    lines = sample().splitlines()
    assert max(map(len, lines)) <= 102
    for kind in (XoSection, Defaults, *CHECK_OPTIONS.values()):
        assert set(descriptions(kind)) == set(kind.__struct_fields__)
    assert list(descriptions(ScheduleRule)) == ["id", "name", "job", "tag"]
    for kind in (WindowRule, LimitRule):
        assert set(descriptions(kind)) == set(kind.__struct_fields__)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(hours=4), '"4 h"'),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (5, "5"),
        (12.5, "12.5"),
        (30.0, "30"),
        ("start", '"start"'),
        (None, '""'),
    ],
)
def test_a_value_is_written_as_toml_reads_it(value, text):
    assert written(value) == text


def test_the_list_of_values_follows_the_sections_and_tells_defaults_from_the_file():
    rows = show(load(XO, file="p"))
    assert [path.rpartition(".")[0] for path, _, _ in rows[:: len(rows) - 1]] == [
        "xo",
        f"checks.{list(CHECK_OPTIONS)[-1]}",
    ]
    assert [row for row in rows if row[2] == "policy"] == [("xo.url", '"https://xo.example.org"', "policy")]
    assert {origin for _, _, origin in show(default_policy())} == {"default"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# a = 1\n  # b = 2\n", {}),
        ("[a] # why\nb=1\n", {"a": 1, "a.b": 2}),
        ("[ a . 'b' ]\n\"c\" . d = 1\n", {"a.b": 1, "a.b.c.d": 2}),
        ("a = 1\na = 2\n", {"a": 1}),
        ("[[a]]\n[[a]]\n[a.b]\nc = 1\n", {"a[1]": 1, "a[2]": 2, "a[2].b": 3, "a[2].b.c": 4}),
    ],
)
def test_lines_are_counted_from_1_and_tables_of_an_array_too(text, found):
    assert find_lines(text) == found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('call_timeout = "0 s"', "p:2: xo.call_timeout = '0 s': expected more than 0 s"),
        ('total_timeout = "0 min"', "p:2: xo.total_timeout = '0 s': expected more than 0 s"),
        ('zone = "Factory"', "p:2: xo.zone = 'Factory': unknown zone"),
        ('zone = "localtime"', "p:2: xo.zone = 'localtime': unknown zone"),
        ('server_name = ""', "p:2: xo.server_name = '': expected a host name"),
        ('server_name = "a b"', "p:2: xo.server_name = 'a b': expected a host name"),
        ('token = "hunter2"', "p:2: xo.token = ***: unknown key, did you mean token_file?"),
    ],
)
def test_what_xo_cannot_be_reached_with_is_refused_at_its_line(line, said):
    with pytest.raises(PolicyError) as caught:
        load(f'[xo]\n{line}\nurl = "https://xo.example.org"\n', file="p")
    assert [one for one in caught.value.problems if one.startswith(said)]
    assert "hunter2" not in str(caught.value)


def test_one_key_is_told_once_and_an_inline_entry_by_the_line_it_is_written_in():
    with pytest.raises(PolicyError) as caught:
        load('schedule = [{nam = "x"}]\n[xo]\nurl = 5\n', file="p")
    assert [one.split(" = ")[0] for one in caught.value.problems] == [
        "p:1: schedule[1]",
        "p:1: schedule[1].nam",
        "p:3: xo.url",
    ]


def test_a_very_long_value_is_cut():
    with pytest.raises(PolicyError) as caught:
        load(f'[xo]\nurl = "{"x" * 5000}"\n', file="p")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("text", [f"a = {'9' * 5000}", "a = " + "[" * 2000 + "]" * 2000])
def test_what_no_toml_reader_takes_is_one_sentence(text):
    with pytest.raises(PolicyError, match="p: is no TOML"):
        load(text, file="p")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[xo]\nhistory_days = 0x" + "f" * 5000, "a whole number of more than 64 bits"),
        ("[xo]\nhistory_days = 9223372036854775808", "a whole number of more than 64 bits"),
        (f"[[schedule]]\nname = '{'*a' * 5000}'", "a text of 10000 characters; expected at most 4096"),
        (f"'{'k' * 5000}' = 1", "a text of 5000 characters"),
    ],
)
def test_what_no_policy_means_is_refused_before_anything_is_checked(text, told):
    (problem,) = problems(text)
    assert problem.startswith(f"guard.toml: it holds {told}")


def test_of_thousands_of_problems_a_hundred_are_told():
    found = problems(XO + "".join(f"k{one} = 1\n" for one in range(5000)))
    assert (len(found), found[-1]) == (101, "guard.toml: and 4900 more")


def test_a_value_nested_too_deeply_to_be_shown_is_told_as_such():
    found = problems(f"limit = [{{x.{'.'.join('y' * 990)} = 1}}]\n[xo]\nurl = [{{x.{'.'.join('y' * 990)} = 1}}]\n")
    assert any("xo.url = a value nested too deeply" in one for one in found)


@pytest.mark.parametrize(
    ("entry", "most"),
    [("[[window]]\ncron = '0 0 * * *'\nduration = '1 h'\n", 100), ("[[schedule]]\nid = 'x'\n", 1000)],
)
def test_more_entries_than_anybody_can_mean_are_refused(entry, most):
    (problem,) = problems(XO + entry * (most + 1))
    assert f"too many entries; expected at most {most}" in problem
    load(XO + entry * most, file="p")


def test_an_expression_longer_than_every_minute_by_its_number_is_none():
    assert (
        "expected five fields"
        in problems(f"{XO}[[window]]\ncron = '{','.join('0' * 200)} 0 * * *'\nduration = '1 h'\n")[0]
    )


@pytest.mark.parametrize(
    "line", [" " * 500_000, "[" + " " * 500_000, "a" * 500_000, f"[{' ' * 500_000}]{' ' * 500_000}x"]
)
def test_a_line_of_a_megabyte_is_looked_at_once(line):
    assert len(find_lines(f"a = 1\n{line}\nb = 2\n")) >= 2


@pytest.mark.parametrize("url", ["http://a b", "http://a<b", "https://a\tb", "http://-a", "http://a\u200bb"])
def test_a_host_that_no_client_would_take_is_refused_here(url):
    assert "expected the address of XO" in problems(f"xo.url = {url!r}\n")[0]


@pytest.mark.parametrize("key", ["xo.token_file", "notify.mail.login_file", "notify.webhook.token_file"])
@pytest.mark.parametrize("value", ["hunter2", "https://user:hunter2@host/"])
def test_a_secret_written_where_its_file_should_be_named_is_not_repeated(key, value):
    assert not [one for one in problems(f"{key} = '{value}'\n") if "hunter2" in one]
