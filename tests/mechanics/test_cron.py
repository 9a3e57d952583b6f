"""XO's cron dialect by hand: what it reads, what it refuses and where, and its next start with clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from guard.mechanics.cron import CronError, next_minute, parse, to_minute, to_time, xo_next
from guard.mechanics.zones import offsets_of

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wen", "thu", "fri", "sat"]
TUESDAY = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def read(expression):
    cron = parse(expression)
    return cron.minute, cron.hour, cron.date, cron.month, cron.day


def month(field):
    return parse(f"0 0 1 {field} *").month


def weekday(field):
    return parse(f"0 0 * * {field}").day


def starts(expression, zone, after, count):
    """Each next start as XO would find it when it looks at the one before."""
    found = []
    for _ in range(count):
        after = xo_next(expression, zone, after)
        found.append(f"{after:%Y-%m-%d %H:%M}")
    return found


# --- reading


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("0 2 * * *", ((0,), (2,), None, None, None)),
        ("5,1,5,3 * * * *", ((1, 3, 5), None, None, None, None)),
        ("*/20 0-3 1-9/4 * *", ((0, 20, 40), (0, 1, 2, 3), (1, 5, 9), None, None)),
        ("5-59/15 * * * *", ((5, 20, 35, 50), None, None, None, None)),
        ("10-10 * * * *", ((10,), None, None, None, None)),
        ("*/90 * * * *", ((0,), None, None, None, None)),
        ("0-59 * * * *", (tuple(range(60)), None, None, None, None)),
        ("007 0 * * *", ((7,), (0,), None, None, None)),
        ("0 0 */10 * *", ((0,), (0,), (1, 11, 21, 31), None, None)),
    ],
)
def test_a_field_is_a_comma_list_of_values_ranges_and_steps_in_ascending_order(expression, values):
    assert read(expression) == values


def test_months_count_from_0_so_that_1_is_february_and_the_names_mean_what_they_say():
    assert (month("0"), month("1"), month("11")) == ((0,), (1,), (11,))
    assert [month(name)[0] for name in MONTHS] == list(range(12))
    assert month("mar-may,dec") == (2, 3, 4, 11)


def test_wednesday_is_wen_and_sunday_is_0_or_7():
    assert [weekday(name)[0] for name in DAYS] == list(range(7))
    assert (weekday("0"), weekday("7"), weekday("6,7")) == ((0,), (0,), (0, 6))
    assert weekday("mon-fri") == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("field", ["fri-mon", "5-7", "1-7", "6-0", "5-3/2"])
def test_a_wrapped_range_in_the_day_of_the_week_means_every_day(field):
    assert weekday(field) is None


def test_a_wrapped_range_of_hours_means_every_hour_and_beside_a_value_adds_nothing():
    assert parse("0 22-2 * * *").hour is None
    assert parse("0 22-2,5 * * *").hour == (5,)
    assert weekday("0-7") == (0,)


def test_a_star_in_a_list_adds_nothing():
    assert parse("*,5 * * * *").minute == (5,)
    assert parse("0,* * * * *").minute == (0,)
    assert parse("*,* * * * *").minute is None
    assert parse("*,*/30 * * * *").minute == (0, 30)


def test_blanks_between_fields_are_optional_and_may_be_tabs():
    assert read("*****") == (None,) * 5
    assert read("  0\t2 *  * * ") == read("0 2 * * *")
    assert read("0 2**mon") == read("0 2 * * mon")


@pytest.mark.parametrize(
    ("preset", "meaning"),
    [
        ("@yearly", "0 0 1 jan *"),
        ("@annually", "0 0 1 jan *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * sun"),
        ("@daily", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ],
)
def test_a_preset_is_read_as_xo_spells_it_out(preset, meaning):
    assert read(preset) == read(meaning)
    assert " ".join(parse(preset).texts) == meaning


def test_the_fields_are_kept_as_written_with_the_place_of_the_third():
    cron = parse(" 0,30  2  */2 jan-mar  7")
    assert cron.texts == ("0,30", "2", "*/2", "jan-mar", "7")
    assert cron.date_position == 10


# --- refusing


@pytest.mark.parametrize(
    ("expression", "position", "said"),
    [
        # out of range
        ("60 * * * *", 0, "minutes are 0 to 59"),
        ("0 24 * * *", 2, "hours are 0 to 23"),
        ("0 0 0 * *", 4, "days of the month are 1 to 31"),
        ("0 0 1-32 * *", 6, "days of the month are 1 to 31"),
        ("0 0 1 12 *", 6, "months are 0 to 11 (0 is January)"),
        ("0 0 * * 8", 8, "days of the week are 0 to 6 (0 and 7 are Sunday)"),
        ("99999999999999999999 * * * *", 0, "minutes are 0 to 59"),
        # steps
        ("*/0 * * * *", 2, "a step is 1 or more; XO hangs on step 0"),
        ("0 1-5/00 * * *", 6, "a step is 1 or more; XO hangs on step 0"),
        ("*/ * * * *", 2, "a step is a number, 1 or more"),
        ("*/x * * * *", 2, "a step is a number, 1 or more"),
        ("5/15 * * * *", 1, 'a step follows "*" or a range, such as "*/15" or "5-59/15"'),
        # names
        ("0 2 * * wed", 8, "XO spells Wednesday `wen`"),
        ("0 2 * * Wed", 8, "XO spells Wednesday `wen`"),
        ("0 2 * * MON", 8, "XO spells it `mon`, in lower case"),
        ("0 2 * Jan *", 6, "XO spells it `jan`, in lower case"),
        ("0 2 * january *", 9, "XO's names of months and days have three letters"),
        ("0 2 * mon *", 6, "months are 0 to 11 (0 is January), or jan, feb, mar"),
        ("0 2 * * jan", 8, "days of the week are 0 to 6 (0 and 7 are Sunday), or sun, mon, tue, wen, thu, fri, sat"),
        # what other crons take
        ("0 2 ? * *", 4, 'days of the month are 1 to 31, or "*"'),
        ("H 2 * * *", 0, 'minutes are 0 to 59, or "*"'),
        ("0 2 L * *", 4, 'days of the month are 1 to 31, or "*"'),
        ("0 2 * * 1#2", 9, "XO takes five fields (minute, hour, day of month, month, day of week) and nothing after them"),
        ("0 0 2 * * *", 10, "XO takes five fields (minute, hour, day of month, month, day of week) and nothing after them"),
        ("0 2 * * sunday", 11, "and nothing after them"),
        # something missing
        ("", 0, "XO takes five fields (minute, hour, day of month, month, day of week); minutes are 0 to 59"),
        ("0 2 * *", 7, "XO takes five fields (minute, hour, day of month, month, day of week); days of the week are 0 to 6"),
        ("0 2 1, * *", 6, 'days of the month are 1 to 31, or "*"'),
        ("0 2- * * *", 4, 'hours are 0 to 23, or "*"'),
        ("-5 * * * *", 0, 'minutes are 0 to 59, or "*"'),
        # presets
        ("@midnight", 0, "XO's presets are @yearly, @annually, @monthly, @weekly, @daily, @hourly"),
        ("@Daily", 0, "XO's presets are @yearly, @annually, @monthly, @weekly, @daily, @hourly"),
        ("@daily ", 0, "XO's presets are @yearly, @annually, @monthly, @weekly, @daily, @hourly"),
    ],
)  # fmt: skip
def test_what_xo_refuses_is_named_with_its_position_and_what_would_be_right(expression, position, said):
    with pytest.raises(CronError) as caught:
        parse(expression)
    text = str(caught.value)
    assert caught.value.position == position
    assert text.startswith(f'"{expression}", position {position}: ')
    assert said in text


@pytest.mark.parametrize("expression", ["0 0 31 1 *", "0 0 30 feb *", "15 3 31 apr,jun,sep,nov *"])
def test_a_date_that_never_comes_has_no_solution_and_the_day_is_at_fault(expression):
    with pytest.raises(CronError, match="no solutions: the day of the month does not come in these months") as caught:
        xo_next(expression, "utc", TUESDAY)
    assert expression[caught.value.position :].startswith(parse(expression).texts[2])


def test_without_the_expression_at_hand_the_error_spells_the_fields_out():
    with pytest.raises(CronError, match='"0 0 31 1 \\*", position 4'):
        next_minute(parse("0 0 31 1 *"), offsets_of("utc"), to_minute(TUESDAY))


def test_29_february_is_found_in_the_next_leap_year_but_not_across_one_that_is_missing():
    assert starts("0 0 29 feb *", "utc", TUESDAY, 2) == ["2028-02-29 00:00", "2032-02-29 00:00"]
    with pytest.raises(CronError, match="not in the years XO looks at"):
        xo_next("0 0 29 feb *", "utc", datetime(2096, 3, 1, tzinfo=UTC))


# --- what an expression names


@pytest.mark.parametrize(
    ("expression", "moment", "named"),
    [
        ("0 2 * * *", (2026, 11, 24, 2, 0), True),
        ("0 2 * * *", (2026, 11, 24, 2, 1), False),
        ("0 2 * * *", (2026, 11, 24, 3, 0), False),
        ("0 2 * 10 *", (2026, 11, 24, 2, 0), True),
        ("0 2 * 11 *", (2026, 11, 24, 2, 0), False),
        ("0 2 24 * *", (2026, 11, 24, 2, 0), True),
        ("0 2 25 * *", (2026, 11, 24, 2, 0), False),
        ("0 2 * * tue", (2026, 11, 24, 2, 0), True),
        ("0 2 * * sun", (2026, 11, 29, 2, 0), True),
        ("0 2 * * wen", (2026, 11, 24, 2, 0), False),
        ("0 2 25 * tue", (2026, 11, 24, 2, 0), True),
        ("0 2 24 * wen", (2026, 11, 24, 2, 0), True),
        ("0 2 25 * wen", (2026, 11, 24, 2, 0), False),
        ("* * * * *", (2026, 11, 24, 2, 59), True),
    ],
)
def test_a_wall_time_is_named_by_all_fields_but_by_one_of_two_days(expression, moment, named):
    assert parse(expression).matches(to_minute(datetime(*moment, tzinfo=UTC))) is named


# --- the next start


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", "2026-11-24 10:01"),
        ("0 10 * * *", "2026-11-25 10:00"),
        ("1 10 * * *", "2026-11-24 10:01"),
        ("30 9 * * *", "2026-11-25 09:30"),
        ("*/45 * * * *", "2026-11-24 10:45"),
        ("0 22-2 * * *", "2026-11-24 11:00"),
        ("0 8,12 * * *", "2026-11-24 12:00"),
        ("15 8,12 * * *", "2026-11-24 12:15"),
        ("0 0 1 * *", "2026-12-01 00:00"),
        ("0 0 24 * *", "2026-12-24 00:00"),
        ("0 0 31 * *", "2026-12-31 00:00"),
        ("0 0 1 1 *", "2027-02-01 00:00"),
        ("0 0 1 jan *", "2027-01-01 00:00"),
        ("0 4 * 2-3 *", "2027-03-01 04:00"),
        ("0 11 * nov *", "2026-11-24 11:00"),
        ("0 0 * * sun", "2026-11-29 00:00"),
        ("0 0 * * 7", "2026-11-29 00:00"),
        ("0 0 * * mon", "2026-11-30 00:00"),
        ("0 0 * * 5-7", "2026-11-25 00:00"),
        ("0 0 1 * wen", "2026-11-25 00:00"),
        ("0 0 26 * mon", "2026-11-26 00:00"),
        ("0 0 */2 * 0-6", "2026-11-25 00:00"),
        ("0 0 1 dec wen", "2026-12-01 00:00"),
        ("@monthly", "2026-12-01 00:00"),
        ("@weekly", "2026-11-29 00:00"),
        ("@hourly", "2026-11-24 11:00"),
    ],
)
def test_the_next_start_in_utc(expression, expected):
    assert starts(expression, "utc", TUESDAY, 1) == [expected]


@pytest.mark.parametrize(
    ("hour", "minute", "second", "expected"),
    [
        (9, 59, 59, "2026-11-24 10:00"),
        (10, 0, 0, "2026-11-25 10:00"),
        (10, 0, 59, "2026-11-25 10:00"),
    ],
)
def test_the_next_start_lies_after_the_current_minute_whatever_its_seconds(hour, minute, second, expected):
    assert starts("0 10 * * *", "utc", datetime(2026, 11, 24, hour, minute, second, 999_999, tzinfo=UTC), 1) == [
        expected
    ]


def test_day_of_month_and_day_of_week_together_are_either_of_the_two():
    found = starts("0 0 1 * fri", "utc", TUESDAY, 3)
    assert found == ["2026-11-27 00:00", "2026-12-01 00:00", "2026-12-04 00:00"]


def test_a_schedule_follows_the_clocks_of_its_zone():
    assert starts("0 2 * * *", "Asia/Kolkata", TUESDAY, 1) == ["2026-11-24 20:30"]
    assert starts("0 2 * * *", "europe_PARIS", TUESDAY, 1) == ["2026-11-25 01:00"]


def test_a_zone_xo_does_not_know_is_utc():
    assert starts("0 2 * * *", "Mars/Olympus", TUESDAY, 1) == starts("0 2 * * *", "utc", TUESDAY, 1)


def test_any_aware_time_may_be_given_but_no_naive_one_and_no_zone_local():
    elsewhere = TUESDAY.astimezone(timezone(timedelta(hours=5)))
    assert xo_next("0 11 * * *", "utc", elsewhere) == TUESDAY + timedelta(hours=1)
    with pytest.raises(ValueError, match="must carry a time zone"):
        xo_next("0 11 * * *", "utc", TUESDAY.replace(tzinfo=None))
    with pytest.raises(ValueError, match="the zone of the XO server"):
        xo_next("0 11 * * *", "local", TUESDAY)


def test_minutes_since_1970_round_down_and_come_back_in_utc():
    assert to_minute(datetime(1970, 1, 1, 0, 1, 59, tzinfo=UTC)) == 1
    assert to_minute(datetime(1969, 12, 31, 23, 59, 30, tzinfo=UTC)) == -1
    assert to_time(to_minute(TUESDAY)) == TUESDAY


# --- nights on which the clocks change (all in UTC)

SPRING = datetime(2027, 3, 27, 23, 59, tzinfo=UTC)  # Paris: 02:00 to 03:00 is missing from 01:00 UTC on
AUTUMN = datetime(2027, 10, 30, 23, 59, tzinfo=UTC)  # Paris: 02:00 to 03:00 comes twice, the second from 01:00 UTC on


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 2 * * *", ["2027-03-28 00:00", "2027-03-28 01:00", "2027-03-29 00:00"]),
        ("30 2 * * *", ["2027-03-28 00:30", "2027-03-28 01:30", "2027-03-29 00:30"]),
        ("0 3 * * *", ["2027-03-28 01:00", "2027-03-29 01:00", "2027-03-30 01:00"]),
        ("0 1 * * *", ["2027-03-28 00:00", "2027-03-28 23:00", "2027-03-29 23:00"]),
        ("30 * * * *", ["2027-03-28 00:30", "2027-03-28 01:30", "2027-03-28 02:30"]),
    ],
)
def test_in_spring_a_time_inside_the_missing_hour_starts_an_hour_early_and_once_more_after_it(expression, expected):
    assert starts(expression, "Europe/Paris", SPRING, 3) == expected


def test_in_spring_two_times_inside_the_missing_hour_give_a_next_start_that_is_not_in_the_future():
    looked_at = datetime(2027, 3, 28, 0, 10, tzinfo=UTC)
    assert xo_next("0,30 2 * * *", "Europe/Paris", looked_at) <= looked_at
    assert xo_next("0,30 2 * * *", "utc", looked_at) > looked_at


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 2 * * *", ["2027-10-31 00:00", "2027-10-31 01:00", "2027-11-01 01:00"]),
        ("30 2 * * *", ["2027-10-31 00:30", "2027-10-31 01:30", "2027-11-01 01:30"]),
        ("0 3 * * *", ["2027-10-31 02:00", "2027-11-01 02:00", "2027-11-02 02:00"]),
    ],
)
def test_in_autumn_a_time_in_the_repeated_hour_starts_at_both_passes(expression, expected):
    assert starts(expression, "Europe/Paris", AUTUMN, 3) == expected


def test_a_midnight_that_is_missing_starts_at_23_the_day_before_and_at_1():
    # Cairo, 30 April 2027: 00:00 to 01:00 is missing, from 22:00 UTC the day before
    assert starts("0 0 * * *", "Africa/Cairo", datetime(2027, 4, 29, 20, 0, tzinfo=UTC), 2) == [
        "2027-04-29 21:00",
        "2027-04-29 22:00",
    ]


def test_a_change_of_half_an_hour_moves_the_early_start_by_half_an_hour():
    # Lord Howe, 3 October 2027: 02:00 to 02:30 is missing, from 15:30 UTC the day before
    assert starts("15 2 * * *", "Australia/Lord_Howe", datetime(2027, 10, 2, 14, 0, tzinfo=UTC), 2) == [
        "2027-10-02 15:15",
        "2027-10-02 15:45",
    ]
