"""Times in sentences of the ledger, shown in the reader's zone: exactly those that the schedule's zone printed, none else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from guard.decision.verdict import Action
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import End, FollowingUp, GaveUp, Starting
from guard.units import format_time
from guard.views.zones import event_in_zone, run_in_zone, text_in_zone, verdict_in_zone
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace
from tests.builders import DUE
from tests.lifecycle.stories import (
    KEY,
    after,
    alarmed,
    attempt_ended,
    claiming,
    decided,
    ended,
    finding,
    released,
    seen,
    started,
    verdict,
)

PARIS, NEW_YORK, SAO_PAULO = ZoneInfo("Europe/Paris"), ZoneInfo("America/New_York"), ZoneInfo("America/Sao_Paulo")
WRITTEN, SHOWN = "It ends at Wed 25 Nov 06:30 UTC.", "It ends at Wed 25 Nov 07:30 CET."


@pytest.mark.parametrize(
    ("text", "written", "zone", "shown"),
    [
        (WRITTEN, UTC, PARIS, SHOWN),
        (SHOWN, PARIS, UTC, WRITTEN),
        (WRITTEN, UTC, UTC, WRITTEN),
        (
            "from Tue 24 Nov 23:30 UTC to Wed 25 Nov 00:00 UTC",
            UTC,
            PARIS,
            "from Wed 25 Nov 00:30 CET to Wed 25 Nov 01:00 CET",
        ),
        ("until Tue 24 Nov 21:00 -03", SAO_PAULO, UTC, "until Wed 25 Nov 00:00 UTC"),
        ("nothing of the kind", UTC, PARIS, "nothing of the kind"),
        ("of another zone: Wed 25 Nov 06:30 CET", UTC, PARIS, "of another zone: Wed 25 Nov 06:30 CET"),
        ("of no year near: Mon 25 Nov 06:30 UTC", UTC, PARIS, "of no year near: Mon 25 Nov 06:30 UTC"),
        ("no time: Wed 25 Nov 26:30 UTC", UTC, PARIS, "no time: Wed 25 Nov 26:30 UTC"),
        ("no time: Wed 25 Nov 06:70 UTC", UTC, PARIS, "no time: Wed 25 Nov 06:70 UTC"),
        ("no day: Sun 31 Feb 06:00 UTC", UTC, PARIS, "no day: Sun 31 Feb 06:00 UTC"),
    ],
)
def test_a_time_is_shown_in_the_other_zone_and_what_is_none_stays(text, written, zone, shown):
    assert text_in_zone(text, written, zone, DUE) == shown


def test_the_year_meant_is_the_nearest_one():
    new_year = datetime(2027, 1, 1, 0, 30, tzinfo=UTC)
    assert text_in_zone("since Thu 31 Dec 23:00 UTC", UTC, PARIS, new_year) == "since Fri 01 Jan 00:00 CET"
    assert text_in_zone("until Fri 01 Jan 06:00 UTC", UTC, PARIS, DUE) == "until Fri 01 Jan 07:00 CET"


def test_an_hour_that_the_clocks_show_twice_is_the_one_its_abbreviation_says():
    near = datetime(2026, 10, 25, tzinfo=UTC)
    assert text_in_zone("Sun 25 Oct 02:30 CEST", PARIS, UTC, near) == "Sun 25 Oct 00:30 UTC"
    assert text_in_zone("Sun 25 Oct 02:30 CET", PARIS, UTC, near) == "Sun 25 Oct 01:30 UTC"


@given(
    some.datetimes(datetime(2024, 1, 1), datetime(2035, 1, 1), timezones=some.just(UTC)),  # noqa: DTZ001  given its zone
    some.sampled_from([PARIS, NEW_YORK, SAO_PAULO, UTC]),
    some.sampled_from([PARIS, NEW_YORK, SAO_PAULO, UTC]),
    some.timedeltas(timedelta(days=-150), timedelta(days=150)),
)
def test_each_time_that_was_written_is_the_same_instant_as_the_one_that_is_shown(moment, written, zone, off):
    text = format_time(moment, written)
    assert text_in_zone(text, written, zone, moment + off) == format_time(moment, zone)


def test_all_that_a_run_says_early_is_in_the_zone():
    found = finding(summary=WRITTEN, remedy=WRITTEN)
    said = decided(found, action=Action.DEFER, sentence=WRITTEN, clears=WRITTEN)
    given_up = GaveUp(at=after(9), vms=(), whole=True, end=End.REFUSED, reason=WRITTEN)
    run = fold(KEY, [seen(), said, given_up, alarmed(text=WRITTEN), ended(End.REFUSED, reason=WRITTEN)])
    shown = run_in_zone(run, PARIS)
    told = shown.decided.verdict
    assert {told.sentence, told.clears, told.findings[0].summary, told.findings[0].remedy} == {SHOWN}
    assert (shown.given_up[0].reason, shown.alarms[0].text, shown.ended.reason) == (SHOWN,) * 3
    assert (shown.key, shown.seen, shown.seq) == (run.key, run.seen, run.seq)
    assert run_in_zone(fold(KEY, [seen()]), PARIS) == fold(KEY, [seen()])


@pytest.mark.parametrize(
    "event",
    [
        GaveUp(at=DUE, vms=(), whole=True, end=End.REFUSED, reason=WRITTEN),
        FollowingUp(at=DUE, vms=(), reason=WRITTEN),
        Starting(at=DUE, attempt=1, vms=None, known=(), reason=WRITTEN),
        ended(reason=WRITTEN),
        claiming(reason=WRITTEN),
        replace(released(), reason=WRITTEN),
    ],
    ids=lambda one: type(one).__name__,
)
def test_the_reason_of_each_event_is_in_the_zone(event):
    assert event_in_zone(event, fold(KEY, [seen()]), PARIS) == replace(event, reason=SHOWN)


def test_an_event_says_in_the_zone_what_it_says_and_what_says_nothing_stays():
    run = fold(KEY, [seen()])
    assert event_in_zone(alarmed(text=WRITTEN), run, PARIS).text == SHOWN
    assert event_in_zone(decided(sentence=WRITTEN), run, PARIS).verdict == verdict(sentence=SHOWN)
    for event in (started(), attempt_ended()):
        assert event_in_zone(event, run, PARIS) is event


def test_a_verdict_of_no_story_is_shown_as_well():
    assert verdict_in_zone(verdict(finding(summary=WRITTEN)), UTC, PARIS, DUE).findings[0].summary == SHOWN
