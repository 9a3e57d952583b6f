"""Sizes, durations and times as people write and read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from guard.units import format_bytes, format_duration, format_time, parse_duration, plural, some_of


@pytest.mark.parametrize(
    ("text", "seconds"), [("90 s", 90), ("15 min", 900), ("15m", 900), ("2h 30min", 9000), ("1 d", 86400)]
)
def test_a_duration_is_read_in_parts(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "10", "10 GB", "\u0663 s"])
def test_what_is_no_duration_says_what_would_be_right(text):
    with pytest.raises(ValueError, match="such as"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (-1023, "-1023 B"),
        (1536, "1.5 KiB"),
        (2**20 - 1, "1.0 MiB"),
        (-(2**30), "-1.0 GiB"),
        (3 * 2**40, "3.0 TiB"),
        (2**60, "1048576.0 TiB"),
    ],
)
def test_bytes_are_printed_with_one_decimal(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0.4 s"),
        (10, "10 s"),
        (42, "42 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (180, "3 min"),
        (7170, "2 h"),
        (7800, "2 h 10 min"),
        (7200, "2 h"),
        (273600, "3 d 4 h"),
        (172740, "47 h 59 min"),
        (172800, "2 d"),
        (176400, "2 d 1 h"),
        (259200, "3 d"),
    ],
)
def test_durations_are_printed_in_two_parts_at_most(seconds, text):
    assert format_duration(seconds) == text


def test_times_carry_their_zone_and_counts_their_plural():
    assert format_time(datetime(2026, 11, 24, 2, tzinfo=UTC), UTC) == "Tue 24 Nov 02:00 UTC"
    assert (plural(1, "VM"), plural(2, "VM"), plural(2, "copy", "copies")) == ("1 VM", "2 VMs", "2 copies")


@pytest.mark.parametrize(("names", "text"), [("", ""), ("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more")])
def test_of_many_names_the_first_are_told_and_the_rest_counted(names, text):
    assert some_of(names) == text


def test_how_many_names_are_told_can_be_chosen():
    assert some_of(iter("abcdef"), 5) == "a, b, c, d, e and 1 more"


@pytest.mark.parametrize(
    ("count", "text"), [(2**80, "more than 1099511627776 TiB"), (-(10**400), "-more than 1099511627776 TiB")]
)
def test_more_bytes_than_anything_holds_are_told_as_such(count, text):
    assert format_bytes(count) == text


def test_a_duration_of_a_megabyte_is_refused_at_once():
    with pytest.raises(ValueError, match="a duration such as"):
        parse_duration("1s" * 500_000)
