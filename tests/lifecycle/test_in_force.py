"""What the policy in force says of due runs that are in the ledger, and what guard never acts on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.lifecycle.events import BY_HAND, RunKey
from guard.lifecycle.in_force import fires_too_often, is_enforced, left_to_xo, sequences_of
from guard.policy.load import load
from msgspec.structs import replace
from tests.builders import DUE
from tests.lifecycle.stories import seen, story


def policy(entries=""):
    return load(f'[xo]\nurl = "http://x"\n{entries}', file="g.toml")


def run(key="schedule", *, name="often", cron="*/3 * * * *", via="", due=DUE, members=()):
    entered = replace(seen(due=due, name=name), cron=cron, members=members)
    return story(entered, key=RunKey(key, due, via))


ENFORCE = '[[schedule]]\n{}\ngate = "enforce"\n'
OBSERVE = '[[schedule]]\n{}\ngate = "observe"\n'
ALL = '[defaults]\ngate = "enforce"\n'


@pytest.mark.parametrize(
    ("entries", "enforced"),
    [
        ("", False),
        (ALL, True),
        (ENFORCE.format("name = 'oft*'"), True),
        (ENFORCE.format("id = 'schedule'\njob = 'nightly'"), True),
        (ENFORCE.format("name = 'other'"), False),
        (ALL + OBSERVE.format("job = 'nightly'"), False),
        (ENFORCE.format("name = 'often'") + "[[schedule]]\nname = 'often'\nmax_defer = '1 h'\n", True),
        (ENFORCE.format("tag = 'prod'"), None),
        (ALL + ENFORCE.format("tag = 'prod'"), True),
        (ENFORCE.format("tag = 'prod'") + OBSERVE.format("name = 'often'"), False),
        (ENFORCE.format("name = 'other'\ntag = 'prod'"), False),
    ],
)
def test_the_policy_says_by_the_names_in_a_story_whether_it_is_enforced(entries, enforced):
    assert is_enforced(policy(entries), run(), {}) is enforced


def test_a_run_of_a_sequence_is_enforced_where_its_sequence_is():
    rules = policy(ENFORCE.format("name = 'all'"))
    member = run("member", name="one", via="seq")
    own = run("seq", name="all", members=("member",))
    assert is_enforced(rules, member, sequences_of([member, own])) is True
    assert is_enforced(rules, member, {}) is None
    assert is_enforced(policy(ENFORCE.format("name = 'one'")), member, sequences_of([own])) is False


@pytest.mark.parametrize(
    ("cron", "too_often"),
    [("*/3 * * * *", True), ("*/29 * * * *", True), ("0,30 * * * *", False), ("0 0 * * *", False), ("0,20 0 * * *", True)],
)  # fmt: skip
def test_a_schedule_that_fires_within_half_an_hour_of_its_due_time_fires_too_often(cron, too_often):
    assert fires_too_often(run(cron=cron)) is too_often


def test_a_run_by_hand_tells_nothing_of_how_often_its_schedule_fires():
    assert not fires_too_often(run(via=BY_HAND))


def test_what_is_enforced_and_fires_too_often_is_named_once():
    by_hand = run(due=DUE + timedelta(hours=1), via=BY_HAND)
    runs = [run(), run(due=DUE + timedelta(minutes=3)), run("calm", cron="0 0 * * *"), by_hand]
    assert left_to_xo(policy(ALL), runs) == ("nightly / often",)
    assert left_to_xo(policy(), runs) == ()
