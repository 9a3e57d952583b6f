"""The message: its document, its key, and names from XO made harmless; the digest's time and words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from guard.notify.digest import MOST_ENTRIES, collected, next_digest
from guard.notify.message import folded, from_bytes, key, lines, named, one_line, to_bytes
from guard.policy.codes import EVERY_CODE
from msgspec.structs import replace
from tests.notify.told import NOW, message

PARIS = ZoneInfo("Europe/Paris")
ODD = "a\r\nBcc: x@example.org\u2028b\x1b[31m\u202e\ud800é"


def test_the_document_is_versioned_and_has_every_field():
    told = message(schedule="s1", due=NOW, code="CHAIN_TOO_LONG")
    assert json.loads(to_bytes(told)) == {
        "schema": "guard.message/1",
        "tier": "page",
        "event": "alarm",
        "title": "Nightly is held",
        "text": "SR full",
        "at": "2027-03-26T22:00:00Z",
        "schedule": "s1",
        "due": "2027-03-26T22:00:00Z",
        "code": "CHAIN_TOO_LONG",
    }
    assert from_bytes(to_bytes(told)) == told


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        to_bytes(message()).replace(b"guard.message/1", b"guard.message/2"),
        to_bytes(message()).replace(b"page", b"pager"),
        to_bytes(message()).replace(b"00Z", b"00"),
    ],
)
def test_anything_else_is_told_to_be_no_message(data):
    with pytest.raises(ValueError, match=r"\w"):
        from_bytes(data)


def test_a_key_a_later_guard_adds_is_passed_over():
    assert from_bytes(to_bytes(message()).replace(b'{"schema"', b'{"new":1,"schema"')) == message()


def test_the_key_follows_from_the_message_alone():
    assert key(message()) == key(from_bytes(to_bytes(message())))
    assert key(message()) != key(message(title="other"))
    assert len(key(message())) == 32


def test_line_breaks_escapes_and_lone_surrogates_of_names_do_no_harm():
    bad = "\N{REPLACEMENT CHARACTER}"
    assert one_line(ODD) == f"a Bcc: x@example.org b{bad}[31m{bad}{bad}é"
    assert lines("a\tb\r\nc\x0bd\x00") == f"a b\nc\nd{bad}"
    read = from_bytes(to_bytes(message(title=ODD, text=ODD, schedule=ODD, code=ODD)))
    assert "\n" not in read.title + (read.schedule or "") + (read.code or "")
    assert read.text == f"a\nBcc: x@example.org\nb{bad}[31m{bad}{bad}é"


def test_what_is_too_long_is_cut_and_says_so():
    assert one_line("x" * 201) == "x" * 199 + "…"
    assert one_line("x" * 200) == "x" * 200
    assert lines("x" * 20, 10) == "x" * 9 + "…"


def test_text_is_folded_at_76_characters_and_keeps_its_indents_and_empty_lines():
    text = folded("short\n\n  " + "word " * 30 + "\n" + "x" * 200 + "\n" + " " * 100 + "far")
    assert all(len(line) <= 76 for line in text.split("\n"))
    found = text.split("\n")
    assert found[:3] == ["short", "", "  " + " ".join(["word"] * 15)]
    assert found[3].startswith("  word")
    assert "".join(found[4:7]) == "x" * 200
    assert found[7:] == [" " * 38 + "far", ""]


# --- its code


@pytest.mark.parametrize("tier", ["page", "digest"])
@pytest.mark.parametrize("code", sorted(EVERY_CODE))
def test_every_code_is_in_the_title_of_a_message_that_has_it(code, tier):
    told = named(message(tier, title="Something happened", code=code)).title
    assert told == f"Something happened ({code})"
    again = message(tier, title=f"nightly / nightly: {code}", code=code)
    assert named(again) is again


def test_the_code_stays_where_a_title_is_cut():
    told = named(message(title=f"{'x' * 300}: RUN_REFUSED", code="RUN_REFUSED"))
    assert told.title == "x" * 185 + "… (RUN_REFUSED)"
    assert from_bytes(to_bytes(told)).title == told.title


def test_what_has_no_code_and_a_digest_keep_their_titles():
    for one in (message(), message("digest", "digest", code="RUN_REFUSED")):
        assert named(one) is one


# --- the digest


@pytest.mark.parametrize(
    ("now", "at", "zone", "then"),
    [
        ("2027-03-26T05:59:59+00:00", time(7), PARIS, "2027-03-26T06:00:00+00:00"),
        ("2027-03-26T06:00:00+00:00", time(7), PARIS, "2027-03-27T06:00:00+00:00"),
        ("2027-03-27T22:00:00+00:00", time(2, 30), PARIS, "2027-03-28T01:30:00+00:00"),  # jumped over: 03:30 CEST
        ("2027-10-30T22:00:00+00:00", time(2, 30), PARIS, "2027-10-31T00:30:00+00:00"),  # shown twice: the first
        ("2027-10-31T00:30:00+00:00", time(2, 30), PARIS, "2027-11-01T01:30:00+00:00"),
        ("2027-12-31T23:59:00+00:00", time(0), UTC, "2028-01-01T00:00:00+00:00"),
    ],
)
def test_the_next_digest_is_when_the_clocks_of_the_zone_show_its_time(now, at, zone, then):
    assert next_digest(datetime.fromisoformat(now), at, zone).isoformat() == then


def test_a_digest_stands_in_order_of_time_and_tells_repetitions_once():
    later = NOW + timedelta(hours=1)
    told = collected([message(title="b", at=later), message(title="a"), message(title="b", at=NOW)], later, PARIS)
    assert told.text == (
        "Fri 26 Mar 23:00 CET: a\n  SR full\n\n"
        "Fri 26 Mar 23:00 CET: b (2 times, last Sat 27 Mar 00:00 CET)\n  SR full\n"
    )
    assert told.title == "Digest of 2027-03-27: 3 messages"
    assert told.code is None


def test_in_a_digest_what_failed_comes_before_what_was_only_foreseen():
    later = NOW + timedelta(hours=3)
    foreseen = [message("digest", "log", title=f"defer {number}") for number in range(MOST_ENTRIES)]
    told = collected([*foreseen, message("digest", "fail", title="mail: failure", at=later)], later, UTC)
    assert told.text.splitlines()[0].endswith(": mail: failure")
    assert "defer 0" in told.text.splitlines()[3]


def test_a_digest_of_many_says_how_many_it_leaves_out_and_what_it_could_not_read():
    many = [message(title=str(number)) for number in range(MOST_ENTRIES + 3)]
    told = collected(many, NOW, UTC, unreadable=1)
    assert "And 3 more, which `guard report` lists.\n" in told.text
    assert "1 message could not be read back" in told.text
    assert told.title == "Digest of 2027-03-26: 204 messages"


def test_a_digest_begins_with_how_the_night_went():
    head = message(
        "digest", "digest", title="12 due runs: 1 did not go well", text="Since yesterday.\nNext due: 02:00."
    )
    told = collected([message("digest", "fail", title="mail: failure"), head, head], NOW, UTC)
    assert told.text.startswith(
        "12 due runs: 1 did not go well\nSince yesterday.\nNext due: 02:00.\n\nFri 26 Mar 22:00 UTC: mail: failure\n"
    )
    assert told.text.count("12 due runs") == 1
    assert told.title == "Digest of 2027-03-26: 12 due runs: 1 did not go well"


def test_what_failed_after_the_night_was_counted_is_told_beside_its_head():
    head = message("digest", "digest", title="Quiet night: 12 due runs, all went well", text="Since yesterday.")
    late = message("digest", "fail", title="mail: failure", at=NOW + timedelta(seconds=1))
    told = collected([head, late], NOW + timedelta(minutes=1), UTC)
    assert told.title == "Digest of 2027-03-26: 1 message"
    assert "After this was counted, 1 more message of what did not go well came in; it is below.\n" in told.text
    twice = collected([head, late, replace(late, title="array: failure")], NOW + timedelta(minutes=1), UTC)
    assert "2 more messages of what did not go well came in; they are below.\n" in twice.text


def test_a_digest_of_nothing_else_is_how_the_night_went():
    head = message("digest", "digest", title="Quiet night: 12 due runs, all went well", text="Since yesterday.")
    told = collected([head], NOW, UTC)
    assert (told.title, told.text, told.code) == (head.title, head.text, None)
    assert (told.tier, told.event) == ("digest", "digest")
    quiet = replace(head, title="Quiet night: no due run ended")
    assert collected([head, head, quiet], NOW, UTC).title == f"{head.title}; {quiet.title}"
    unread = collected([head], NOW, UTC, unreadable=1)
    assert unread.title == "Digest of 2027-03-26: Quiet night: 12 due runs, all went well"
    assert "1 message could not be read back" in unread.text
