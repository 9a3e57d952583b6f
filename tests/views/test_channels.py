"""Channels in guard status: for a person, as a document, and when monitoring is to warn."""

from __future__ import annotations

from datetime import UTC

import pytest
from guard.lifecycle.channels import ChannelStatus, read_channels, write_channels
from guard.lifecycle.loop import Loop
from guard.views.channels import channel_documents, channel_lines, failing_long, failing_text
from guard.views.status import nagios, status_document, status_text
from guard.views.text import cells
from tests.builders import DUE
from tests.lifecycle.stories import after

GOOD = ChannelStatus(name="webhook", sent=12, last_sent_at=after(60))
RECOVERED = ChannelStatus(
    name="mail", sent=3, failed=2, dropped=1, last_sent_at=after(60), last_error="answered 500", last_error_at=after(30)
)
FAILING = ChannelStatus(
    name="apprise-slack", failed=1, waiting=4, last_error="answered 500", last_error_at=after(50), failing_since=DUE
)
QUIET = ChannelStatus(name="digest")


@pytest.mark.parametrize(
    ("channel", "lines"),
    [
        (GOOD, ["Channel webhook: 12 sent (last Wed 25 Nov 00:01 UTC)."]),
        (
            RECOVERED,
            [
                "Channel mail: 3 sent (last Wed 25 Nov 00:01 UTC), 2 tries failed, 1 dropped. It",
                "  works again; the last error, Wed 25 Nov 00:00 UTC: answered 500",
            ],
        ),
        (
            FAILING,
            [
                "Channel apprise-slack: 0 sent, 1 try failed, 4 waiting. Nothing gets through",
                "  since Wed 25 Nov 00:00 UTC: answered 500",
            ],
        ),
        (QUIET, []),
        (ChannelStatus(name="digest", waiting=2), ["Waiting for the digest: 2 messages."]),
    ],
    ids=["good", "works again", "failing", "no digest waits", "a digest waits"],
)
def test_each_channel_is_a_line_for_a_person(channel, lines):
    assert channel_lines([channel], UTC) == lines


def test_what_a_server_said_reaches_no_terminal_as_it_is():
    nasty = ChannelStatus(name="mail", failed=1, last_error="\x1b[31m\u202e" * 40, failing_since=DUE)
    told = channel_lines([nasty], UTC)
    assert max(map(cells, told)) <= 80
    assert "\x1b" not in "".join(told) + failing_text(nasty, after(5))


def test_the_document_has_every_figure_and_what_waits_for_the_digest():
    good, failing, digest = channel_documents([GOOD, FAILING, QUIET])
    assert good == {
        "name": "webhook",
        "sent": 12,
        "failed": 0,
        "dropped": 0,
        "waiting": 0,
        "last_sent_at": "2026-11-25T00:01:00+00:00",
        "last_error": None,
        "last_error_at": None,
        "failing_since": None,
    }
    assert (failing["failing_since"], failing["last_error"]) == ("2026-11-25T00:00:00+00:00", "answered 500")
    assert digest["name"] == "digest"


@pytest.mark.parametrize(
    ("channels", "minutes", "names"),
    [
        ([FAILING], 59, []),
        ([FAILING], 60, ["apprise-slack"]),
        ([GOOD, RECOVERED, QUIET], 600, []),
        (
            [
                ChannelStatus(name="late", failing_since=after(60)),
                FAILING,
                ChannelStatus(name="now", failing_since=after(minutes=90)),
            ],
            100,
            ["apprise-slack", "late"],
        ),
    ],
    ids=["not an hour yet", "an hour", "none fails", "the longest first"],
)
def test_a_channel_fails_long_from_an_hour_on(channels, minutes, names):
    assert [one.name for one in failing_long(channels, after(minutes=minutes))] == names


def test_a_clock_that_was_set_back_makes_no_negative_time():
    assert failing_text(FAILING, after(-500)) == "nothing gets through by apprise-slack for 0.0 s: answered 500"
    assert failing_text(GOOD, DUE).startswith("nothing gets through by webhook for 0.0 s")


def test_monitoring_is_warned_of_a_channel_that_fails_for_an_hour_and_not_before():
    looked = Loop(at=after(3600), next_due=after(days=1))
    code, line = nagios(looked, (), after(3600), channels=[GOOD, FAILING])
    assert code == 1
    assert line.startswith("GUARD WARNING - nothing gets through by apprise-slack for 60 min: answered 500|age=0s")
    assert nagios(looked, (), after(3599), channels=[GOOD, FAILING])[0] == 0


def test_status_tells_of_the_channels_in_text_and_document():
    looked = Loop(at=DUE)
    assert "Channel webhook: 12 sent" in status_text(looked, (), DUE, UTC, channels=[GOOD])
    assert [one["name"] for one in status_document(looked, (), DUE, channels=[GOOD])["channels"]] == ["webhook"]


def test_what_is_remembered_comes_back_and_what_another_version_wrote_is_forgotten():
    channels = (GOOD, RECOVERED, FAILING, QUIET)
    assert read_channels(write_channels(channels)) == channels
    assert read_channels(None) == ()
    assert read_channels(b'{"schema": 7}') == read_channels(b"\xff") == ()
