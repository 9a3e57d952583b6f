"""guard's token in words: show, renew, status, monitoring, messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from guard.lifecycle.token import Notice, TokenFacts, TokenState
from guard.views import token as views

NOW = datetime(2026, 11, 24, 22, tzinfo=UTC)
DAY = timedelta(days=1)
PARIS = ZoneInfo("Europe/Paris")


def facts(days=100.0, client="guard-0011", **more):
    base = {"user": "guard@example.org", "admin": True, "created_at": NOW - 80 * DAY, "expires_at": NOW + days * DAY}
    return TokenFacts(**base | {"client": client} | more)


def state(days=100.0, client="guard-0011", **more):
    return TokenState(**{"facts": facts(days, client), "read_at": NOW, "tried_read_at": NOW} | more)


UNKNOWN = TokenFacts(user="guard@example.org", admin=True, why="XO does not tell when its tokens end")


def text(lines):
    return " ".join(" ".join(lines).split())


# --- show


def test_show_tells_whose_it_is_until_when_and_that_guard_can_push_it_on():
    assert views.facts_lines(facts(), NOW, PARIS) == [
        "User: guard@example.org, an administrator",
        "Made: 2026, Sun 06 Sep 00:00 CEST",
        "Valid until: 2027, Thu 04 Mar 23:00 CET, in 100 d",
        "Made by: guard (guard-0011); guard can push its end on",
    ]


@pytest.mark.parametrize(
    ("client", "who"),
    [("w574r066b5", "another client (w574r066b5)"), ("", "a person in XO, or a program that gave no name")],
)
def test_show_tells_that_a_token_of_others_can_only_be_replaced(client, who):
    shown = views.facts_lines(facts(client=client), NOW, UTC)
    assert text(shown).endswith(f"Made by: {who}; only guard token renew can replace it")


def test_show_tells_what_a_user_without_rights_costs_and_what_is_over():
    shown = views.facts_lines(facts(-1, admin=False), NOW, UTC)
    assert shown[0] == "User: guard@example.org, no administrator"
    assert "Valid until: 2026, Mon 23 Nov 22:00 UTC, which is over" in shown
    assert "needs an administrator's token" in text(shown)


def test_show_tells_why_an_end_is_unknown():
    shown = views.facts_lines(UNKNOWN, NOW, UTC)
    assert "Valid until: unknown (XO does not tell when its tokens end)" in text(shown)
    assert not any(line.startswith("Made:") for line in shown)


def test_names_of_users_and_clients_reach_no_terminal_as_they_are():
    shown = views.facts_lines(facts(user="\x1b[2Jmallory", client="guard-\x07"), NOW, UTC)
    assert all(line.isprintable() for line in shown)


def test_a_token_that_xo_lets_live_to_the_year_9999_is_said_not_to_end():
    forever = facts(expires_at=datetime.max.replace(tzinfo=UTC))
    assert "Valid until: it does not end" in text(views.facts_lines(forever, NOW, PARIS))
    told = views.status_lines(TokenState(facts=forever, read_at=NOW, tried_read_at=NOW), NOW, UTC, renews=False)
    assert told == ["Guard's XO token does not end."]
    long = facts(expires_at=NOW + timedelta(days=99 * 365))
    assert "does not end" not in text(views.facts_lines(long, NOW, UTC))


def test_an_end_at_the_end_of_time_is_told():
    forever = facts(expires_at=datetime.max.replace(tzinfo=UTC))
    assert "valid until the end of time, in" in text(views.renewed_lines(forever, NOW, PARIS))


def test_the_document_has_seconds_or_null():
    document = views.facts_document(facts(2), NOW)
    assert document == {
        "schema": "guard.token/1",
        "user": "guard@example.org",
        "admin": True,
        "created_at": "2026-09-05T22:00:00+00:00",
        "expires_at": "2026-11-26T22:00:00+00:00",
        "expires_in_s": 172800.0,
        "client": "guard-0011",
        "renewed_by_guard": True,
        "why_unknown": None,
    }
    unknown = views.facts_document(UNKNOWN, NOW)
    assert (unknown["created_at"], unknown["expires_at"], unknown["expires_in_s"], unknown["client"]) == (None,) * 4
    assert unknown["why_unknown"] == "XO does not tell when its tokens end"


# --- renew


def test_a_dry_run_tells_which_of_the_two_ways_it_would_go():
    same = text(views.would_lines(facts(), 180 * DAY, None, NOW, UTC))
    assert same.startswith(
        "Would push the end of guard's token on to 2027, Sun 23 May 22:00 UTC, in 180 d; the token stays"
    )
    other = text(views.would_lines(facts(client=""), 180 * DAY, "/etc/guard/xo-token", NOW, UTC))
    assert "was made by a person in XO" in other
    assert "make another one for user guard@example.org" in other
    assert "put it into /etc/guard/xo-token once a sign-in with it went well" in other


def test_a_renewal_tells_what_is_left_to_do():
    assert "Nothing else is to be done" in text(views.renewed_lines(facts(180), NOW, UTC))
    told = text(views.replaced_lines(facts(180), "/etc/guard/xo-token", "/etc/guard/xo-token.old", NOW, UTC))
    for words in (
        "The old token still works",
        "xo-token.old",
        "systemctl restart guard",
        "guard token renew --delete-old",
    ):
        assert words in told


def test_where_guard_cannot_write_the_steps_are_told():
    told = text(views.by_hand_lines(facts(client=""), "it is a systemd credential, which is read-only"))
    for words in (
        "Nothing was changed",
        "it is a systemd credential",
        "1. Set [xo] token_file",
        "2. Or make",
        "3. Then:",
    ):
        assert words in told


def test_an_old_token_in_use_is_not_deleted_and_when_that_was_seen_is_told():
    told = text(views.still_used_lines(state(), UTC))
    assert told.startswith(
        "Nothing was deleted: when guard daemon last asked XO about its token (2026, Tue 24 Nov 22:00 UTC)"
    )


# --- status


@pytest.mark.parametrize(
    ("one", "renews", "told"),
    [
        (state(), False, "Guard's XO token runs out in 100 days (2027, Thu 04 Mar 22:00 UTC)."),
        (state(1), False, "Guard's XO token runs out in 1 day (2026, Wed 25 Nov 22:00 UTC); run guard token renew."),
        (state(0.5), True, "Guard's XO token runs out in 12 h (2026, Wed 25 Nov 10:00 UTC)."),
        (
            state(10, client=""),
            True,
            "Guard's XO token runs out in 10 days (2026, Fri 04 Dec 22:00 UTC); run guard token renew.",
        ),
        (state(-1), False, "Guard's XO token has run out (2026, Mon 23 Nov 22:00 UTC); run guard token renew."),
        (
            state(5, failures=2, failure="XO refused it."),
            True,
            "Guard's XO token runs out in 5 days (2026, Sun 29 Nov 22:00 UTC); 2 renewals failed: XO refused it.",
        ),
        (
            TokenState(tried_read_at=NOW, error="no such method."),
            False,
            "When guard's XO token runs out is unknown: no such method.",
        ),
        (TokenState(tried_read_at=NOW), False, "When guard's XO token runs out is unknown: XO did not tell"),
        (TokenState(), False, ""),
    ],
)
def test_status_tells_in_one_line_until_when(one, renews, told):
    assert text(views.status_lines(one, NOW, UTC, renews=renews)) == told


def test_the_status_document_has_nulls_for_what_is_not_known():
    assert views.status_document(TokenState(), NOW) is None
    document = views.status_document(state(2, renewals=3, renewed_at=NOW, failures=1, failure="no"), NOW)
    assert document == {
        "expires_at": "2026-11-26T22:00:00+00:00",
        "expires_in_s": 172800.0,
        "read_at": "2026-11-24T22:00:00+00:00",
        "error": None,
        "renewed_at": "2026-11-24T22:00:00+00:00",
        "renewals": 3,
        "failures": 1,
        "failure": "no",
    }
    unknown = views.status_document(TokenState(tried_read_at=NOW, error="no such method"), NOW)
    assert (unknown["expires_at"], unknown["expires_in_s"], unknown["read_at"]) == (None, None, None)
    assert unknown["error"] == "no such method"


LINE = "GUARD OK - 0 runs going on|age=1s;300 running=0 alarms=0 bad=0"


@pytest.mark.parametrize(
    ("code", "days", "found"),
    [
        (0, 8, (0, LINE)),
        (
            0,
            6.5,
            (1, "GUARD WARNING - guard's XO token runs out in 6 days; run guard token renew|age=1s;300 running=0 "),
        ),
        (
            0,
            2,
            (2, "GUARD CRITICAL - guard's XO token runs out in 2 days; run guard token renew|age=1s;300 running=0 "),
        ),
        (1, 6.5, (1, LINE)),
        (1, -1, (2, "GUARD CRITICAL - guard's XO token has run out; run guard token renew|age=1s;300 running=0 ")),
        (3, 1, (3, LINE)),
    ],
)
def test_monitoring_is_told_a_week_before_and_what_is_worse_stays(code, days, found):
    worse, line = views.nagios(code, LINE, state(days), NOW)
    assert (worse, line.startswith(found[1])) == (found[0], True)


def test_monitoring_is_told_nothing_of_an_end_that_is_unknown():
    assert views.nagios(0, "GUARD OK", TokenState(), NOW) == (0, "GUARD OK")


def test_what_is_wrong_with_the_folder_is_told_line_by_line():
    assert views.folder_lines(()) == []
    assert views.folder_lines(("others may look into /s (mode 755): run chmod 700 /s",)) == [
        "State folder: others may look into /s (mode 755): run chmod 700 /s"
    ]


# --- messages


def message(one, told, *, renews=False):
    return views.notice_title(one, told, NOW), views.notice_text(one, told, NOW, UTC, renews=renews)


def test_a_message_has_the_reason_the_remedy_and_what_guard_does_next():
    title, body = message(state(7), Notice(days=7, is_page=False, failing=False))
    assert title == "guard's XO token runs out in 7 days"
    first, *rest = body.splitlines()
    assert first == (
        "The token of user guard@example.org that guard signs in to XO with runs out in 7 days, on 2026, Tue 01 Dec 22:00 UTC. "
        "Without it guard can neither read XO nor act; XO starts its schedules by itself."
    )
    assert rest == [
        "Run guard token renew on guard's machine; with [xo] renew_token = true the daemon does it by itself.",
        "guard changes nothing by itself, and tells again as the end comes nearer.",
    ]


def test_a_message_of_a_token_that_guard_may_renew_but_cannot_tells_the_step():
    _, body = message(state(7, client=""), Notice(days=7, is_page=False, failing=False), renews=True)
    assert "It was made by a person in XO, or a program that gave no name, so guard cannot renew it by itself." in body
    assert "Run guard token renew once, as root; then it can." in body


def test_a_message_of_failing_renewals_tells_how_often_why_and_that_guard_goes_on():
    failing = state(20, failures=3, failure="XO refused token.create")
    title, body = message(failing, Notice(days=None, is_page=False, failing=True), renews=True)
    assert title == "guard could not renew its XO token"
    assert "guard tried 3 times to renew it: XO refused token.create" in body
    assert "guard tries again, every hour to six hours. Run guard token renew yourself" in body
    title, body = message(state(-1), Notice(days=0, is_page=True, failing=True), renews=True)
    assert title == "guard's XO token has run out"
    assert "guard tried not once to renew it: XO could not be asked in time" in body


def test_a_message_without_facts_is_still_one():
    title, body = message(TokenState(), Notice(days=0, is_page=True, failing=False), renews=True)
    assert title == "guard's XO token has run out"
    assert "on an unknown time" in body


def test_a_renewal_by_guard_is_told_with_the_new_end_and_how_to_keep_guard_from_it():
    title, body = views.renewed_text(state(180), UTC)
    assert title == "guard renewed its XO token"
    assert "valid until 2027, Sun 23 May 22:00 UTC" in body
    assert "[xo] renew_token = false keeps guard from it" in body
