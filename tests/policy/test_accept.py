"""[[accept]] entries of the policy: what they need, and what a person gets wrong in one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from guard.errors import PolicyError
from guard.policy.accept_schema import AcceptRule
from guard.policy.lines import find_lines
from guard.policy.load import load
from guard.policy.sample import descriptions, sample
from guard.policy.schema import default_policy
from guard.views.policy import policy_text

XO = '[xo]\nurl = "https://xo.example.org"\nzone = "Europe/Paris"\n'
ENTRY = '[[accept]]\ncode = "NEXT_RUN_FULL"\nuntil = 2027-03-31\nreason = "a new repository is ordered"\n'


def problems(text):
    with pytest.raises(PolicyError) as caught:
        load(XO + text, file="p")
    return caught.value.problems


def entry(**changes):
    given = {"code": '"NEXT_RUN_FULL"', "until": "2027-03-31", "reason": '"why"'} | changes
    return "[[accept]]\n" + "".join(f"{key} = {value}\n" for key, value in given.items() if value is not None)


def test_nothing_is_accepted_unless_an_entry_says_so():
    assert default_policy().accepts == load(XO, file="p").accepts == ()


def test_an_entry_is_for_all_unless_it_says_for_what_and_a_day_is_included():
    (found,) = load(XO + ENTRY, file="p").accepts
    assert (found.code, found.scope, found.until) == ("NEXT_RUN_FULL", "all", "2027-03-31")
    assert found.reason == "a new repository is ordered"
    assert found.ends == datetime(2027, 3, 31, 22, tzinfo=UTC)  # midnight in Paris


@pytest.mark.parametrize(
    ("until", "ends"),
    [
        ("2027-03-31T06:00:00+02:00", datetime(2027, 3, 31, 4, tzinfo=UTC)),
        ("2027-03-31T06:00:00", datetime(2027, 3, 31, 4, tzinfo=UTC)),
        ("2027-03-31T06:00:00Z", datetime(2027, 3, 31, 6, tzinfo=UTC)),
    ],
)
def test_an_end_may_have_a_time_in_its_own_zone_or_in_that_of_messages(until, ends):
    (found,) = load(XO + entry(until=until), file="p").accepts
    assert found.ends == ends


def test_the_zone_of_messages_comes_first():
    (found,) = load(XO + '[notify]\nzone = "UTC"\n' + ENTRY, file="p").accepts
    assert found.ends == datetime(2027, 4, 1, tzinfo=UTC)


def test_a_scope_is_read_as_guard_hold_reads_it():
    (found,) = load(XO + entry(scope='" vm : web-01 "'), file="p").accepts
    assert found.scope == "vm:web-01"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"code": '"NEXT_RUN_FUL"'},
            "accept[1].code = 'NEXT_RUN_FUL': no code of guard's, did you mean NEXT_RUN_FULL?",
        ),
        ({"code": '"XXXXXXX"'}, "no code of guard's; expected one that `guard explain` lists"),
        ({"code": None}, "accept[1].code = '': no code of guard's; expected"),
        ({"code": "7"}, "accept[1].code = 7: no code of guard's; expected"),
        ({"code": '"NOTIFY_DROPPED"'}, "is told by the channels among themselves; expected another code"),
        ({"scope": '"vms:x"'}, "accept[1].scope = 'vms:x': 'vms:x' names no kind of thing"),
        ({"scope": "3"}, "accept[1].scope = 3: expected a text, such as"),
        ({"until": None}, "accept[1].until = '': is required; expected a date without quotes, such as 2027-03-31"),
        ({"until": '"2027-03-31"'}, "accept[1].until = '2027-03-31': is required; expected a date without quotes"),
        ({"until": "06:00:00"}, "is required; expected a date without quotes"),
        ({"until": "9999-12-31"}, "accept[1].until = '9999-12-31': is further than guard can count"),
        ({"reason": None}, "accept[1].reason = '': is required; expected why it is accepted"),
        ({"reason": '"  "'}, "accept[1].reason = '  ': is required"),
        ({"reason": "1"}, "accept[1].reason = 1: is required"),
        ({"resaon": '"x"'}, "accept[1].resaon = 'x': unknown key, did you mean reason?; expected one of code, scope"),
        ({"qq": "1"}, "accept[1].qq = 1: unknown key; expected one of"),
    ],
)
def test_what_is_wrong_in_an_entry_is_told_with_what_would_be_right(changes, said):
    (problem,) = problems(entry(**changes))
    assert said in problem


def test_entries_that_are_no_tables_are_told():
    with pytest.raises(PolicyError) as caught:
        load('accept = ["x"]\n' + XO, file="p")
    assert "accept[1] = 'x': expected a table, written [[accept]]" in str(caught.value)


def test_the_sample_explains_every_key_and_its_example_is_right():
    assert list(descriptions(AcceptRule)) == ["code", "scope", "until", "reason"]
    example = sample().partition("# [[accept]]\n")[2].partition("\n\n")[0]
    (found,) = load(XO + "[[accept]]\n" + example.replace("# ", "") + "\n", file="p").accepts
    assert (found.code, found.scope) == ("NEXT_RUN_FULL", "vm:web-01")


def test_the_policy_in_force_shows_each_entry_with_its_place():
    text = XO + ENTRY
    shown = policy_text(load(text, file="p"), file="p", lines=find_lines(text))
    assert 'accept[1].code = "NEXT_RUN_FULL"  # p:5' in shown
    assert 'accept[1].scope = "all"  # default' in shown
    assert "accept[1].ends" not in shown
