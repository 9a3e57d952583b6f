"""Every code is sorted: followed by a start, by a full one, by a person's hand, or nothing a VM fails of."""

from __future__ import annotations

import pytest
from guard.lifecycle.follow_up_causes import SORTED, UNSEEN, FollowedBy, followed_by
from guard.outcomes.causes import RULES, TRANSIENT, WAITING_HELPS
from guard.outcomes.codes import RUN_INTERRUPTED, UNCLASSIFIED
from guard.policy.codes import EVERY_CODE

RECOGNISED = {rule.code.id for rule in RULES} | {RUN_INTERRUPTED.id, UNCLASSIFIED.id}


def sorted_as(kind):
    return {code for code, (found, _) in SORTED.items() if found is kind}


def test_every_code_there_is_is_sorted_and_no_other():
    assert set(SORTED) == set(EVERY_CODE)


def test_every_code_that_a_log_can_name_has_what_follows_and_a_reason():
    assert RECOGNISED.isdisjoint(sorted_as(FollowedBy.NOTHING))
    assert all(why for _, why in SORTED.values())


def test_what_no_log_names_is_followed_by_nothing():
    assert sorted_as(FollowedBy.NOTHING) == set(EVERY_CODE) - RECOGNISED


def test_what_follows_a_start_or_a_full_one_is_what_the_classifier_says_passes():
    assert sorted_as(FollowedBy.START) | sorted_as(FollowedBy.FULL) <= WAITING_HELPS


def test_what_passes_by_itself_and_is_followed_all_the_same_by_a_person_is_named_here():
    assert TRANSIENT & sorted_as(FollowedBy.PERSON) == {"JOB_RUNNING", "PROXY_UNREACHABLE"}


def test_what_nobody_sees_pass_is_followed_at_all():
    assert sorted_as(FollowedBy.START) | sorted_as(FollowedBy.FULL) >= UNSEEN


@pytest.mark.parametrize(
    ("codes", "transferred", "expected"),
    [
        (("CHAIN_UNHEALTHY",), False, FollowedBy.START),
        (("CHAIN_UNHEALTHY", "REPOSITORY_LOCKED"), False, FollowedBy.START),
        (("CHAIN_UNHEALTHY", "USB_ATTACHED"), False, FollowedBy.PERSON),
        (("NETWORK_LOST",), True, FollowedBy.FULL),
        (("EXPORT_TIMEOUT",), True, FollowedBy.FULL),
        (("EXPORT_TIMEOUT", "CHAIN_UNHEALTHY"), False, FollowedBy.FULL),
        (("EXPORT_TOO_LONG",), True, FollowedBy.PERSON),
        (("ON_HOLD",), False, FollowedBy.PERSON),
        (("A_CODE_OF_A_NEWER_GUARD",), False, FollowedBy.PERSON),
        ((), False, FollowedBy.PERSON),
    ],
)
def test_the_worst_of_its_codes_tells_what_follows_a_vm(codes, transferred, expected):
    assert followed_by(codes, transferred=transferred) is expected
