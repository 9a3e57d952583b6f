"""[notify.tiers]: what is a page, what waits for the digest, what is only kept, for every state and every code."""

from __future__ import annotations

from itertools import product

import pytest
from guard.errors import PolicyError
from guard.policy.codes import EVERY_CODE
from guard.policy.load import load
from guard.policy.sample import descriptions, sample, show
from guard.policy.schema import default_policy
from guard.policy.tiers_schema import NEVER_PAGED, PAIRS, STATES, TIERS, TOLD_BY_CHANNELS, TiersSection, tier_of

XO = '[xo]\nurl = "https://xo.example.org"\n[notify.tiers]\n'
PAGES = {
    "failure_of_all",
    "refused",
    "expired",
    "missed",
    "alarm",
    "switched_off",
    "trouble",
    "accept_ended_stands",
}
RECORDS = {"start", "success", "ran", "left_to_xo", "observed", "covered", "probe", "warn"}
LOWERED = {
    ("refused", "ON_HOLD"),
    ("missed", "SCHEDULE_DISABLED"),
    ("alarm", "START_UNCERTAIN"),
    ("trouble", "CLOCKS_DIFFERENT"),
}
RAISED = {
    ("warn", "COALESCE_STUCK"),
    ("warn", "ENCRYPTION_LIMIT"),
    ("warn", "REPOSITORY_NO_SPACE"),
    ("warn", "REPOSITORY_ON_XO_DISK"),
    ("warn", "RUNS_TWICE"),
    ("warn", "SELECTION_SHRUNK"),
    ("warn", "SR_NO_SPACE"),
    ("warn", "XO_DISK_LOW"),
}


def problems(text):
    with pytest.raises(PolicyError) as caught:
        load(XO + text, file="p")
    return caught.value.problems


@pytest.mark.parametrize(("state", "code"), list(product(STATES, ("", *EVERY_CODE))))
def test_by_default_a_page_is_what_costs_backups_and_needs_a_person(state, code):
    right = "page" if state in PAGES else "record" if state in RECORDS else "digest"
    assert tier_of({}, state, (code,) if code else ()) == ("digest" if (state, code) in LOWERED | RAISED else right)


def test_every_exception_is_one_of_a_known_state_and_a_known_code():
    assert set(PAIRS) == LOWERED | RAISED
    assert all(state in STATES and code in EVERY_CODE for state, code in PAIRS)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("code", EVERY_CODE)
def test_the_policy_on_a_code_comes_before_its_word_on_the_state_and_that_before_guards_own(state, code):
    assert tier_of({code: "record", state: "digest"}, state, (code,)) == "record"
    assert tier_of({state: "record"}, state, (code,)) == "record"
    assert tier_of({code: "page"}, state, (code,)) == ("digest" if state in NEVER_PAGED else "page")


def test_of_several_codes_the_most_urgent_one_counts():
    assert tier_of({}, "refused", ("ON_HOLD", "SR_NO_SPACE")) == "page"
    assert tier_of({"SR_NO_SPACE": "record"}, "refused", ("ON_HOLD", "SR_NO_SPACE")) == "digest"
    assert tier_of({"A": "record", "B": "digest"}, "failure_of_all", ("A", "B")) == "digest"


def test_a_code_that_stands_for_others_comes_after_them_and_before_the_state():
    given = {"RUN_REFUSED": "digest", "refused": "record"}
    assert tier_of(given, "refused", ("SR_NO_SPACE",), umbrella="RUN_REFUSED") == "digest"
    assert tier_of(given | {"SR_NO_SPACE": "page"}, "refused", ("SR_NO_SPACE",), umbrella="RUN_REFUSED") == "page"
    assert tier_of(given, "refused", umbrella="RUN_REFUSED") == "digest"


@pytest.mark.parametrize("state", sorted(NEVER_PAGED))
def test_a_deferral_inside_its_deadline_is_never_a_page(state):
    assert tier_of({"CHAIN_UNHEALTHY": "page"}, state, ("CHAIN_UNHEALTHY",)) == "digest"
    (said,) = problems(f'{state} = "page"\n')
    assert said == (f"p:4: notify.tiers.{state} = 'page': nothing is lost yet; expected digest or record")


def test_what_the_policy_says_is_kept_as_it_is_written_and_nothing_else():
    assert default_policy().tiers == {}
    policy = load(XO + 'missed = "digest"\nNETWORK_LOST = "record"\ndefer = "record"\n', file="p")
    assert policy.tiers == {"missed": "digest", "NETWORK_LOST": "record", "defer": "record"}
    rows = {path: (value, origin) for path, value, origin in show(policy)}
    assert rows["notify.tiers.missed"] == ('"digest"', "policy")
    assert rows["notify.tiers.NETWORK_LOST"] == ('"record"', "policy")
    assert rows["notify.tiers.expired"] == ('"page"', "default")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'missd = "page"',
            "p:4: notify.tiers.missd = 'page': unknown state or code, did you mean missed?; expected one of",
        ),
        ('network_lost = "page"', "unknown state or code, did you mean NETWORK_LOST?"),
        ('qqq = "page"', "unknown state or code; expected one of start, success,"),
        ('missed = "pager"', "notify.tiers.missed = 'pager': expected one of page, digest, record"),
        ("missed = 1", "notify.tiers.missed = 1: expected one of page, digest, record"),
        ('NOTIFY_FAILING = "page"', "is told by the channels among themselves"),
    ],
)
def test_a_wrong_key_or_value_is_told_with_what_would_be_right(text, said):
    (problem,) = problems(text + "\n")
    assert said in problem


def test_tiers_that_are_no_table_are_told():
    with pytest.raises(PolicyError) as caught:
        load('[xo]\nurl = "https://xo.example.org"\n[notify]\ntiers = "page"\n', file="p")
    assert "notify.tiers = ***: expected a table" in str(caught.value)


def test_the_sample_says_what_every_state_is_and_what_it_is_by_default():
    assert set(descriptions(TiersSection)) == set(STATES)
    section = sample().partition("[notify.tiers]\n")[2].partition("\n[")[0]
    assert all(f'#{state} = "{tier}"\n' in section for state, tier in STATES.items())
    assert set(STATES.values()) == set(TIERS)
    assert set(EVERY_CODE) >= TOLD_BY_CHANNELS
