"""The next start dates of an expression, with what XO does to them when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from guard.mechanics.due import DueTime, Storm
from guard.views.text import cells
from guard.views.when import when_text

PARIS = ZoneInfo("Europe/Paris")


def due(*starts, storm=None):
    return DueTime(schedule_id="s", job_id="j", at=starts[0], starts=starts, storm=storm)


def at(day, hour, minute=0, month=3):
    return datetime(2027, month, day, hour, minute, tzinfo=UTC)


def test_each_date_is_told_in_the_zone_and_in_utc():
    assert when_text("0 2 * * *", "Europe/Paris", PARIS, [due(at(26, 1)), due(at(29, 0))], ()) == (
        "0 2 * * * in Europe/Paris:\n"
        "  Fri 26 Mar 02:00 CET   2027-03-26 01:00 UTC\n"
        "  Mon 29 Mar 02:00 CEST   2027-03-29 00:00 UTC\n"
    )


def test_a_double_start_names_both_times():
    text = when_text("30 2 * * *", "Europe/Paris", PARIS, [due(at(28, 0, 30), at(28, 1, 30))], ())
    assert text == (
        "30 2 * * * in Europe/Paris:\n"
        "  Sun 28 Mar 01:30 CET   2027-03-28 00:30 UTC\n"
        "    the clocks change: XO starts it 2 times, at 2027-03-28 00:30 UTC and\n"
        "    2027-03-28 01:30 UTC\n"
    )


def test_a_storm_is_told_with_its_end_and_the_safer_expressions_after_the_dates():
    stormy = due(at(28, 0), at(28, 1), storm=Storm(at(28, 0), at(28, 1, 29)))
    text = when_text("0,30 2 * * *", "Europe/Paris", PARIS, [stormy, due(at(29, 0))], ("0,30 1 * * *", "0,30 3 * * *"))
    assert text == (
        "0,30 2 * * * in Europe/Paris:\n"
        "  Sun 28 Mar 01:00 CET   2027-03-28 00:00 UTC\n"
        "    start storm: XO would start it again and again until 2027-03-28 01:29 UTC\n"
        "  Mon 29 Mar 02:00 CEST   2027-03-29 00:00 UTC\n"
        "  Safer: 0,30 1 * * * or 0,30 3 * * *\n"
    )


def test_safer_expressions_are_told_only_where_a_storm_is_shown():
    assert "Safer" not in when_text("0,30 2 * * *", "utc", UTC, [due(at(26, 2))], ("0,30 1 * * *",))
    stormy = due(at(28, 0), storm=Storm(at(28, 0), at(28, 1)))
    assert "Safer" not in when_text("0,30 2 * * *", "Europe/Paris", PARIS, [stormy], ())


def test_no_dates_are_just_the_expression():
    assert when_text("0 0 1 1 *", "utc", UTC, [], ()) == "0 0 1 1 * in utc:\n"


def test_no_line_is_wider_than_80_columns_and_no_expression_harms_the_terminal():
    long = ",".join(str(minute) for minute in range(60)) + " 2 * * *"
    stormy = due(at(28, 0), storm=Storm(at(28, 0), at(28, 1, 59)))
    many = due(*(at(28, 0, minute) for minute in range(10)))
    text = when_text(long + "\x1b[0m", "Europe/Paris", PARIS, [stormy, many], (long, long))
    assert max(map(cells, text.splitlines())) <= 80
    assert "\x1b" not in text
