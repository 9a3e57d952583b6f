"""Once a night: the head of the digest, and what became of [[accept]] entries."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from guard.daemon.news import News
from guard.daemon.nightly import NIGHTLY, Nightly
from guard.finding import Accepted
from guard.ledger.sqlite import open_ledger
from guard.lifecycle.events import End
from guard.lifecycle.loop import Loop, SwitchedOff
from guard.notify.memory import MemoryOutbox
from guard.notify.message import from_bytes
from guard.notify.queue import Queue
from guard.notify.route import DIGEST, Limits, Route, for_people
from guard.policy.accept_schema import AcceptRule
from guard.policy.schema import default_policy
from msgspec.structs import replace
from tests.builders import DUE
from tests.ledger.opening import INSTANCE, XO
from tests.lifecycle.stories import KEY, after, attempt_ended, decided, ended, finding, seen, started
from tests.notify.told import Recorder
from tests.virtual_time import run as finished

EVENING, MORNING = after(hours=-5), after(hours=7)
GOOD = (seen(), decided(), started(), attempt_ended(), ended())


class House:
    """A guard's nights: its ledger a real one, its clock moved by hand."""

    def __init__(self, path, *, notify=None, accepts=()):
        self.now = EVENING
        self.ledger = open_ledger(path, xo=XO, clock=lambda: self.now, instance=INSTANCE, ballast_bytes=65_536)
        self.outbox, self.mail, self.told = MemoryOutbox(), Recorder("mail"), []
        known = default_policy()
        self.policy = replace(known, accepts=accepts, notify=replace(known.notify, **(notify or {})))
        self.restart()

    def restart(self):
        limits = Limits(time_limit_s=0.05)
        self.queue = Queue(self.outbox, [Route(self.mail, for_people())], limits, clock=lambda: self.now)
        self.news = news = News(self._tell, lambda: UTC, lambda: self.policy, self.ledger)
        self.nightly = Nightly(
            self.ledger, self.outbox, news, clock=lambda: self.now, policy_of=lambda: self.policy, zone=lambda: UTC
        )

    async def _tell(self, message):
        self.told.append(message)

    def happened(self, *events):
        finished(self.ledger.append(KEY, 0, *events))

    def look(self, at, loop=None):
        self.now = at
        finished(self.nightly.look(loop))
        finished(self.queue.pump(at))

    def live(self, until, step=timedelta(minutes=20)):
        while self.now < until:
            self.look(min(until, self.now + step))

    def waiting(self):
        return [
            from_bytes(one.message).title
            for one in finished(self.outbox.due(after(days=99), 99))
            if one.channel == DIGEST
        ]


@pytest.fixture
def house(tmp_path):
    houses = []

    def made(**policy):
        houses.append(House(tmp_path / "ledger", **policy))
        return houses[-1]

    yield made
    for one in houses:
        one.ledger.close()


def test_a_quiet_night_is_one_digest_that_says_so(house):
    guard = house()
    guard.look(EVENING)
    guard.happened(*GOOD)
    guard.live(after(hours=30))
    (digest,) = guard.mail.sent
    assert digest.title == "Quiet night: 1 due run, all went well"
    assert digest.text == "Since Tue 24 Nov 19:00 UTC: 1 due run ended, 1 VM backed up, 5 B sent."
    assert (digest.tier, digest.event) == ("digest", "digest")


def test_each_night_has_its_own_digest_and_counts_what_ended_since_the_last(house):
    guard = house()
    guard.look(EVENING)
    guard.happened(*GOOD)
    guard.live(after(days=2, hours=12))
    assert [one.title for one in guard.mail.sent] == [
        "Quiet night: 1 due run, all went well",
        "Quiet night: no due run ended",
        "Quiet night: no due run ended",
    ]


def test_what_waits_for_the_digest_comes_with_it_as_one_message(house):
    guard = house()
    guard.look(EVENING)
    guard.happened(seen(), ended(End.MISSED, code="SCHEDULE_DISABLED"))
    message = from_bytes(_bytes())
    finished(guard.queue.tell(message))
    guard.live(after(hours=12))
    (digest,) = guard.mail.sent
    assert digest.title == "Digest of 2026-11-25: 1 due run: 1 did not go well"
    assert digest.text.startswith("1 due run: 1 did not go well\nSince Tue 24 Nov 19:00 UTC: 1 due run ended")
    assert "nightly: missed" in digest.text


def _bytes():
    return (
        b'{"schema":"guard.message/1","tier":"digest","event":"fail","title":"nightly: missed","text":"It was off.",'
        b'"at":"2026-11-25T00:00:00Z"}'
    )


def test_a_digest_counts_the_pages_since_the_last_one_also_across_a_restart(house):
    guard = house()
    guard.look(EVENING)
    finished(guard.news.stands_aside("never tested", at=DUE))
    finished(guard.news.looked())
    guard.restart()
    guard.live(after(days=1, hours=12))
    assert [one.title for one in guard.mail.sent] == [
        "no due run ended; 1 page meanwhile",
        "Quiet night: no due run ended",
    ]
    assert guard.mail.sent[0].text.splitlines()[1] == "Paged meanwhile: GATE_STANDS_ASIDE."


def test_where_the_policy_wants_no_quiet_digest_there_is_none(house):
    guard = house(notify={"quiet_digest": False})
    guard.look(EVENING)
    guard.happened(*GOOD)
    guard.live(after(days=2))
    assert guard.mail.sent == []


def test_that_due_times_are_not_watched_is_told_even_there(house):
    guard = house(notify={"quiet_digest": False})
    guard.look(EVENING)
    guard.look(MORNING, Loop(at=MORNING, unwatched=("no prediction could be made: XO hangs",)))
    (digest,) = guard.mail.sent
    assert digest.title == "no due run ended; not all due times are watched"
    assert digest.text.splitlines()[-1] == "Not watched: no prediction could be made: XO hangs"


def test_an_accept_that_ends_soon_is_told_even_there(house):
    entry = accept(ends=after(days=3), until="2026-11-28")
    guard = house(notify={"quiet_digest": False}, accepts=(entry,))
    guard.look(EVENING)
    guard.live(after(hours=12))
    (digest,) = guard.mail.sent
    assert digest.text.splitlines()[-1] == "accept of CHAIN_UNHEALTHY for all ends on 2026-11-28: known"


def test_a_guard_that_was_away_over_the_digest_tells_the_night_when_it_is_back_and_once(house):
    guard = house()
    guard.look(EVENING)
    guard.happened(*GOOD)
    guard.restart()
    guard.look(after(days=3, hours=9))
    guard.look(after(days=3, hours=9, minutes=5))
    assert guard.mail.titles == ["Quiet night: 1 due run, all went well"]
    assert guard.mail.sent[0].at == after(days=3, hours=7)


def test_a_guard_that_starts_for_the_first_time_says_nothing_of_nights_before(house):
    guard = house()
    guard.happened(*GOOD)
    guard.look(after(hours=8))
    guard.look(after(hours=9))
    assert (guard.mail.sent, guard.waiting()) == ([], [])


def test_a_clock_that_was_set_back_by_days_begins_anew(house):
    guard = house()
    guard.look(after(days=30))
    guard.look(EVENING)
    guard.live(after(hours=12))
    assert guard.mail.titles == ["Quiet night: no due run ended"]


def test_a_night_in_which_xo_cannot_be_read_says_so(house):
    guard = house()
    guard.look(EVENING)
    guard.look(MORNING - timedelta(seconds=30), Loop(at=MORNING, xo_error="No XO answers"))
    guard.look(MORNING)
    (digest,) = guard.mail.sent
    assert digest.title == "XO cannot be read: 0 due runs ended"


def test_what_goes_on_is_in_the_night_and_in_the_next_one_when_it_has_ended(house):
    guard = house()
    guard.look(EVENING)
    guard.happened(seen(), decided(), started())
    guard.live(after(hours=12))
    assert "Going on or waiting: 1 due run." in guard.mail.sent[0].text
    finished(guard.ledger.append(KEY, 3, attempt_ended(at=after(hours=20)), ended(at=after(hours=21))))
    guard.live(after(hours=36))
    assert guard.mail.titles[1] == "Quiet night: 1 due run, all went well"


def test_what_a_newer_guard_wrote_begins_anew(house):
    guard = house()
    finished(guard.ledger.remember(NIGHTLY, b'["digest"]'))
    guard.look(EVENING)
    guard.live(after(hours=12))
    assert guard.mail.titles == ["Quiet night: no due run ended"]


# --- the end of what was accepted


TEN = after(hours=10)


def accept(ends=TEN, until="2026-11-25", reason="known"):
    return AcceptRule(code="CHAIN_UNHEALTHY", until=until, reason=reason, ends=ends)


def word(entry):
    return Accepted(until=entry.ends, shown=entry.until, reason=entry.reason)


def test_an_accept_that_ends_is_told_once_and_pages_where_it_is_still_there(house):
    entry = accept()
    guard = house(accepts=(entry,))
    guard.look(EVENING)
    guard.happened(seen(), decided(finding(accepted=word(entry))), started(), attempt_ended(), ended())
    guard.live(after(hours=9, minutes=40))
    assert guard.told == []
    guard.live(after(hours=20))
    (message,) = guard.told
    assert (message.tier, message.at) == ("page", entry.ends)
    assert "web: 2 uncoalesced copies, XO tolerates 1." in message.text


def test_where_nothing_shows_it_any_more_it_is_for_the_digest(house):
    entry = accept()
    guard = house(accepts=(entry,))
    guard.look(EVENING)
    guard.happened(
        seen(), decided(finding(accepted=word(accept(reason="another")))), started(), attempt_ended(), ended()
    )
    guard.live(after(hours=20))
    (message,) = guard.told
    assert (message.tier, "web: 2" in message.text) == ("digest", False)


def test_one_that_ends_while_guard_is_away_is_told_when_it_is_back(house):
    guard = house(accepts=(accept(),))
    guard.look(EVENING)
    guard.restart()
    guard.look(after(days=2))
    assert len(guard.told) == 1
    guard.restart()
    guard.look(after(days=2, minutes=1))
    assert len(guard.told) == 1


def test_one_that_had_ended_before_it_was_written_is_no_news(house):
    guard = house(accepts=(accept(ends=EVENING),))
    guard.look(EVENING)
    guard.live(after(hours=20))
    assert guard.told == []


def test_an_accept_of_what_runs_failed_of_pages_at_its_end_though_no_check_foresaw_it(house):
    guard = house(accepts=(accept(),))
    guard.look(EVENING)
    guard.happened(seen(), decided(), started(), attempt_ended(status="failure"), ended())
    guard.live(after(hours=20))
    (message,) = guard.told
    assert message.tier == "page"
    assert "CHAIN_UNHEALTHY: " in message.text.splitlines()[1]


def test_an_accept_of_a_schedule_that_is_off_pages_at_its_end_as_long_as_it_is_off(house):
    entry = replace(accept(), code="SCHEDULE_DISABLED", scope="schedule:nightly")
    guard = house(accepts=(entry,))
    guard.look(EVENING)
    off = [SwitchedOff(schedule=one, name=one, at=DUE) for one in ("nightly", "hourly")]
    guard.look(after(hours=20), Loop(at=after(hours=20), switched_off=tuple(off)))
    (message,) = guard.told
    assert message.tier == "page"
    assert "Schedule nightly was on and is off now" in message.text
    assert "hourly" not in message.text


def test_a_schedule_whose_being_off_is_accepted_does_not_stand_in_the_way_of_a_quiet_night(house):
    entry = replace(accept(ends=after(days=60)), code="SCHEDULE_DISABLED", scope="schedule:nightly")
    guard = house(accepts=(entry,))
    guard.look(EVENING)
    loop = Loop(at=MORNING, switched_off=(SwitchedOff(schedule="n", name="nightly", at=DUE),))
    guard.look(MORNING, loop)
    assert guard.mail.titles == ["Quiet night: no due run ended"]
    guard.policy = default_policy()
    guard.look(MORNING + timedelta(days=1), loop)
    assert guard.mail.titles[1:] == ["no due run ended; 1 schedule is off"]
