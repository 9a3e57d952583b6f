"""When guard's own token is read, renewed and told of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from guard.lifecycle.token import (
    LEVELS,
    Notice,
    TokenFacts,
    TokenState,
    is_fresh,
    left,
    level,
    may_try,
    not_renewed,
    notice,
    noticed,
    read_token_state,
    renewed,
    seen,
    unseen,
    wants_reading,
    wants_renewal,
)

NOW = datetime(2026, 11, 24, 22, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
LIFE = 180 * DAY


def facts(days=100.0, made=0.0, client="guard-1", **more):
    """A token with so many days left, made so many days ago."""
    return TokenFacts(
        user="guard@example.org",
        admin=True,
        created_at=NOW - made * DAY,
        expires_at=NOW + days * DAY,
        client=client,
        **more,
    )


def state(days=100.0, made=0.0, client="guard-1", **more):
    base = {"facts": facts(days, made, client), "read_at": NOW, "tried_read_at": NOW}
    return TokenState(**base | more)


def renewal(one, now=NOW, *, renews=True):
    return wants_renewal(one, now, renews=renews, valid_for=LIFE)


# --- the document


def test_the_document_comes_back_from_the_ledger_as_it_was():
    one = state(told=7, failures=2, failure="XO refused it")
    assert read_token_state(msgspec.json.encode(one)) == one


@pytest.mark.parametrize("document", [None, b"", b"{", b'{"told":"x"}', b"\xff"])
def test_a_document_that_is_none_begins_anew(document):
    assert read_token_state(document) == TokenState()


# --- whose it is


@pytest.mark.parametrize(
    ("one", "is_guards"),
    [
        (facts(client="guard-0011"), True),
        (facts(client="guard-0011", alone=False), False),
        (facts(client="w574r066b5"), False),
        (facts(client=""), False),
    ],
)
def test_only_the_one_token_of_a_client_of_guards_is_guards(one, is_guards):
    assert one.is_guards is is_guards


# --- reading


def reading(one, now, *, renews=False):
    return wants_reading(one, now, renews=renews, valid_for=LIFE)


def test_a_token_is_read_at_once_and_then_once_a_day():
    assert reading(TokenState(), NOW)
    assert not reading(state(), NOW + 23 * HOUR)
    assert reading(state(), NOW + 24 * HOUR)


def test_after_a_reading_that_told_nothing_the_next_one_is_an_hour_later():
    failed = unseen(TokenState(), "XO is away", NOW)
    assert not reading(failed, NOW + 59 * MINUTE)
    assert reading(failed, NOW + 60 * MINUTE)


def test_a_clock_that_was_set_back_has_the_token_read_anew():
    assert reading(state(), NOW - DAY)


@pytest.mark.parametrize(("days", "renews"), [(13, False), (50, True)])
def test_before_something_is_told_or_done_the_token_is_read_anew_but_once_an_hour(days, renews):
    one = state(days=days, made=LIFE.days - days)
    assert not reading(one, NOW + 59 * MINUTE, renews=renews)
    assert reading(one, NOW + 60 * MINUTE, renews=renews)


def test_a_reading_counts_for_an_hour_and_only_when_it_told_something():
    assert is_fresh(state(), NOW + 59 * MINUTE)
    assert not is_fresh(state(), NOW + 60 * MINUTE)
    assert not is_fresh(unseen(state(), "XO is away", NOW), NOW)
    assert not is_fresh(TokenState(), NOW)


def test_a_reading_that_told_nothing_keeps_what_was_known():
    after = unseen(state(), "XO is away", NOW + DAY)
    assert (after.facts, after.read_at, after.error) == (facts(), NOW, "XO is away")
    assert after.tried_read_at == NOW + DAY


def test_what_was_told_of_a_token_is_forgotten_with_another_end():
    before = state(told=7, failures=3, failure="no", told_failing=True)
    assert seen(before, facts(), NOW).told == 7
    after = seen(before, facts(days=180), NOW)
    assert (after.told, after.failures, after.failure, after.told_failing) == (None, 0, "", False)


def test_an_xo_that_does_not_tell_an_end_is_unknown_with_its_reason():
    after = seen(TokenState(), TokenFacts(user="a", admin=True, why="no such method"), NOW)
    assert (after.expires_at, after.error, left(after, NOW)) == (None, "no such method", None)
    assert level(after, NOW) is None
    assert notice(after, NOW, renews=True) is None


# --- renewing


@pytest.mark.parametrize(
    ("days", "made", "wanted"),
    [
        (61, 119, False),  # of 180 days a third is 60
        (59.9, 120.1, True),
        (7.1, 6.9, False),  # of 14 days, half is a week
        (6.9, 7.1, True),
        (1.1, 0.9, False),  # of 2 days, half is one
        (0.9, 1.1, True),
        (0, 180, False),  # it has run out
    ],
)
def test_a_token_is_renewed_with_less_than_a_third_or_a_week_left(days, made, wanted):
    assert renewal(state(days, made)) is wanted


def test_the_life_of_a_token_renewed_often_is_what_was_asked_for_last():
    assert not renewal(state(days=61, made=500))
    assert renewal(state(days=59, made=500))
    assert not renewal(state(days=61, made=500, renewed_at=NOW - 20 * DAY))
    assert renewal(state(days=20, made=500, renewed_at=NOW - 41 * DAY))


def test_a_token_without_a_beginning_goes_by_what_is_asked_for():
    one = msgspec.structs.replace(state(days=59), facts=msgspec.structs.replace(facts(59), created_at=None))
    assert renewal(one)


def test_nothing_is_renewed_that_the_policy_or_xo_does_not_allow():
    assert not renewal(state(10, 170), renews=False)
    assert not renewal(state(10, 170, client="web"))
    assert not renewal(TokenState())


def test_a_renewal_is_tried_once_an_hour_and_after_failures_at_longer_intervals():
    one = state(days=10)
    assert may_try(one, NOW, ())
    for failures, hours in ((1, 1), (2, 2), (3, 4), (4, 6), (30, 6)):
        tried = msgspec.structs.replace(one, tried_at=NOW, failures=failures)
        assert not may_try(tried, NOW + hours * HOUR - MINUTE, ())
        assert may_try(tried, NOW + hours * HOUR, ())
    assert may_try(msgspec.structs.replace(one, tried_at=NOW + DAY), NOW, ())  # the clock was set back


@pytest.mark.parametrize(("minutes", "may"), [(-10, True), (-9, False), (0, False), (9, False), (10, True)])
def test_a_renewal_keeps_away_from_due_times(minutes, may):
    assert may_try(state(days=10), NOW, (NOW + minutes * MINUTE,)) is may
    assert may_try(state(days=2), NOW, (NOW + minutes * MINUTE,))  # the end is near: it waits no longer


def test_a_renewal_that_went_well_is_counted_and_ends_what_was_told():
    before = not_renewed(not_renewed(state(days=2, told=3, told_failing=True), "no", NOW), "still no", NOW + HOUR)
    assert (before.failures, before.failure, before.tried_at) == (2, "still no", NOW + HOUR)
    after = renewed(before, facts(days=180), NOW + 2 * HOUR)
    assert (after.failures, after.failure, after.told, after.told_failing) == (0, "", None, False)
    assert (after.renewals, after.renewed_at, after.expires_at) == (1, NOW + 2 * HOUR, NOW + 180 * DAY)


# --- telling


def told_over(days, *, renews, failures=0, client="guard-1"):
    """(days left, page?) of everything told while this many days go by, an hour at a time."""
    one, found = state(days, client=client, failures=failures), []
    for hour in range(int(days * 24) + 25):
        now = NOW + hour * HOUR
        told = notice(one, now, renews=renews)
        if told is not None:
            found.append((told.days, told.is_page))
            one = noticed(one, told)
    return found


def test_a_token_nobody_renews_is_told_at_each_level_once_and_pages_two_days_before():
    expected = [(14, False), (7, False), (3, False), (2, True), (1, True), (0, True)]
    assert told_over(20, renews=False) == expected
    assert told_over(20, renews=True, client="made by hand") == expected
    assert [days for days, _ in expected] == list(LEVELS)


def test_what_a_clock_days_ahead_made_guard_tell_is_told_again_when_its_time_comes():
    ahead = NOW + 30 * DAY
    one = noticed(state(days=20), Notice(days=0, is_page=True, failing=False))
    assert (level(state(days=20), ahead), level(one, ahead)) == (0, None)
    assert [level(one, NOW + days * DAY) for days in (0, 6, 13, 18)] == [None, 14, 7, 2]
    near = noticed(state(days=2), Notice(days=2, is_page=True, failing=False))
    assert level(near, NOW - MINUTE) is None  # a clock that was put right by a minute tells nothing twice


def test_a_token_first_seen_late_is_told_once_for_the_level_it_is_at():
    assert told_over(2.5, renews=False) == [(3, False), (2, True), (1, True), (0, True)]


def test_while_renewals_go_well_nothing_is_told_but_an_end_that_came_all_the_same():
    assert told_over(20, renews=True) == [(0, True)]


def test_failing_renewals_go_to_the_digest_once_and_page_from_three_days_on():
    assert told_over(20, renews=True, failures=1) == [(None, False), (3, True), (2, True), (1, True), (0, True)]


def test_a_failing_renewal_that_was_paged_is_not_told_again_in_the_digest():
    told = notice(state(days=2.5, failures=1), NOW, renews=True)
    assert told == Notice(days=3, is_page=True, failing=True)
    assert notice(noticed(state(days=2.5, failures=1), told), NOW, renews=True) is None
