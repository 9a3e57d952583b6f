"""The queue: what is told to whom and when, what is tried again, what is given up, and who never waits for whom."""

from __future__ import annotations

import asyncio
from datetime import time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from guard.errors import PartlyToldError
from guard.ledger.sqlite import open_ledger
from guard.notify.memory import MemoryOutbox
from guard.notify.message import to_bytes
from guard.notify.ports import Queued
from guard.notify.queue import Queue
from guard.notify.route import Limits, Route, for_people
from guard.outcomes.alarms import NOTIFY_DROPPED, NOTIFY_FAILING
from tests.notify.told import NOW, FailingOutbox, House, Recorder, down, message


def test_a_page_goes_to_every_channel_at_once_and_only_once():
    async def run():
        web, mail = Recorder("webhook"), Recorder("mail")
        house = House(web, mail)
        await house.queue.tell(message())
        await house.live(minutes=10)
        assert (web.titles, mail.titles) == (["Nightly is held"], ["Nightly is held"])
        assert web.sent[0] == message()
        assert await house.outbox.waiting() == 0

    asyncio.run(run())


def test_a_record_is_told_to_nobody_but_a_monitor_hears_of_the_event():
    async def run():
        web, pings = Recorder("webhook"), Recorder("healthchecks")
        house = House(web, pings, healthchecks=lambda one: one.event == "success")
        await house.queue.tell(message("record", "success", schedule="s1"))
        await house.queue.tell(message("record", "log"))
        await house.live(hours=24, step=timedelta(hours=1))
        assert (web.titles, len(pings.sent)) == ([], 1)

    asyncio.run(run())


def test_a_channel_may_want_no_pages_or_no_digest():
    async def run():
        only_pages, only_digests = Recorder("a"), Recorder("b")
        house = House(only_pages, only_digests, a=for_people(digest=False), b=for_people(page=False))
        await house.queue.tell(message(title="page"))
        await house.queue.tell(message("digest", title="nice"))
        await house.live(hours=24, step=timedelta(hours=1))
        assert only_pages.titles == ["page"]
        assert only_digests.titles == ["Digest of 2027-03-27: 1 message"]

    asyncio.run(run())


def test_other_channels_take_over_and_what_waited_for_one_that_is_gone_is_dropped():
    async def run():
        old, new = Recorder("webhook", down()), Recorder("mail")
        house = House(old)
        await house.queue.tell(message(title="before"))
        await house.later(minutes=0)
        house.queue.use([Route(new, for_people())], house.limits)
        await house.queue.tell(message(title="after"))
        await house.later(hours=1)
        assert (old.sent, new.titles) == ([], ["after"])
        await house.later(minutes=0)
        assert new.titles[1:] == ["1 message could not be delivered by webhook (NOTIFY_DROPPED)"]
        assert "before" in new.sent[1].text
        assert [one.name for one in await house.queue.status()] == ["mail", "digest"]
        assert await house.outbox.waiting() == 0

    asyncio.run(run())


def test_a_message_on_its_way_when_its_channel_is_taken_away_still_arrives():
    async def run():
        web = Recorder("webhook")
        house = House(web)
        await house.queue.tell(message())
        pumping = asyncio.create_task(house.queue.pump(house.now))
        await asyncio.sleep(0)  # it begins to send
        house.queue.use([], house.limits)
        await pumping
        assert web.titles == ["Nightly is held"]

    asyncio.run(run())


# --- tried again


def test_a_page_and_what_waits_for_the_digest_name_their_code_in_the_title():
    async def run():
        web, mail = Recorder("webhook"), Recorder("mail")
        house = House(web, mail, webhook=for_people(digest=False))
        await house.queue.tell(message(title="XO cannot be read", code="XO_UNREADABLE"))
        await house.queue.tell(message("digest", title="nightly: missed", code="SCHEDULE_DISABLED"))
        await house.live(hours=12)
        assert web.titles == ["XO cannot be read (XO_UNREADABLE)"]
        assert mail.titles[0] == "XO cannot be read (XO_UNREADABLE)"
        assert ": nightly: missed (SCHEDULE_DISABLED)\n" in mail.sent[1].text

    asyncio.run(run())


def test_tries_move_apart_from_one_minute_to_one_hour_and_end_after_a_day():
    async def run():
        web = Recorder("webhook", down())
        house = House(web, webhook=for_people(digest=False))
        await house.queue.tell(message())
        await house.queue.pump(house.now)
        at, tries = [0], web.tries
        for minute in range(1, 24 * 60 + 5):
            await house.later(minutes=1)
            if web.tries > tries:
                tries = web.tries
                at.append(minute)
        gaps = [after - before for before, after in pairwise(at)]
        assert gaps[:7] == [1, 2, 4, 8, 16, 32, 60]
        assert set(gaps[6:-1]) == {60}
        assert at[-1] == 24 * 60
        assert await house.outbox.waiting() == 0
        assert (await house.status("webhook")).dropped == 1

    asyncio.run(run())


def test_a_message_that_is_taken_at_the_third_try_arrives_once():
    async def run():
        web = Recorder("webhook", down("500"), down("refused"), None)
        house = House(web)
        await house.queue.tell(message())
        await house.live(minutes=10)
        assert (web.tries, len(web.sent)) == (3, 1)
        status = await house.status("webhook")
        assert (status.sent, status.failed, status.waiting) == (1, 2, 0)
        assert (status.last_error, status.failing_since) == ("refused", None)
        assert status.last_sent_at == NOW + timedelta(minutes=4)

    asyncio.run(run())


def test_a_dropped_page_is_told_through_the_others_at_once_with_its_title_and_the_reason():
    async def run():
        web, mail = Recorder("webhook", down("web is gone")), Recorder("mail")
        house = House(web, mail)
        await house.queue.tell(message())
        await house.live(hours=25)
        assert mail.titles == [
            "Nightly is held",
            "Digest of 2027-03-27: 1 message",  # that nothing gets through, after an hour
            "1 message could not be delivered by webhook (NOTIFY_DROPPED)",
        ]
        assert mail.sent[1].text.startswith("Fri 26 Mar 23:04 UTC: Nothing gets through by webhook (NOTIFY_FAILING)\n")
        told = mail.sent[2]
        assert (told.code, told.tier, told.event) == (NOTIFY_DROPPED.id, "page", "alarm")
        assert "Nightly is held" in told.text
        assert "Last error: web is gone" in told.text
        assert "guard notify test" in told.text
        assert web.sent == []
        assert house.now - told.at < timedelta(hours=1, minutes=1)

    asyncio.run(run())


def test_what_was_no_page_is_told_as_dropped_in_the_digest():
    async def run():
        pings, mail = Recorder("healthchecks", down()), Recorder("mail")
        house = House(pings, mail, healthchecks=lambda one: one.event == "fail")
        await house.queue.tell(message("record", "fail", title="run failed", schedule="s1"))
        await house.live(hours=48, step=timedelta(minutes=10))
        assert mail.titles == ["Digest of 2027-03-27: 1 message", "Digest of 2027-03-28: 1 message"]
        assert "1 message could not be delivered by healthchecks" in mail.sent[1].text

    asyncio.run(run())


def test_two_dead_channels_do_not_tell_each_other_for_ever():
    async def run():
        house = House(Recorder("a", down()), Recorder("b", down()))
        await house.queue.tell(message())
        await house.live(hours=24 * 5, step=timedelta(minutes=20))
        assert await house.outbox.waiting() == 0
        assert {(await house.status(name)).dropped for name in "ab"} <= set(range(2, 6))

    asyncio.run(run())


def test_a_channel_that_fails_for_an_hour_is_told_once_until_it_works_again():
    async def run():
        web, mail = Recorder("webhook", *[down()] * 30, None), Recorder("mail")
        house = House(web, mail)
        for _ in range(40):
            await house.queue.tell(message("page", "alarm", title="x"))
            await house.live(minutes=10, step=timedelta(minutes=5))
        told = [row for row in house.outbox._rows.values() if NOTIFY_FAILING.id.encode() in row[1].message]
        assert len(told) == 1
        assert (await house.status("webhook")).told is False

    asyncio.run(run())


# --- no one waits for another


def test_a_hanging_channel_does_not_delay_the_others():
    async def run():
        dead, mail = Recorder("webhook", "hang"), Recorder("mail")
        house = House(dead, mail, limits=Limits(time_limit_s=0.2))
        await house.queue.tell(message(title="first"))
        pump = asyncio.create_task(house.queue.pump(house.now))
        for _ in range(20):
            await asyncio.sleep(0)
        assert mail.titles == ["first"]
        await house.queue.tell(message(title="second"))
        await house.queue.pump(house.now)  # while the first pump still waits for the dead one
        assert not pump.done()
        assert mail.titles == ["first", "second"]
        assert dead.tries == 1
        await pump
        status = await house.status("webhook")
        assert (status.failed, status.last_error) == (1, "did not finish within 0.2 s")

    asyncio.run(run())


def test_after_one_message_hung_the_channels_others_wait_without_a_try():
    async def run():
        dead = Recorder("webhook", "hang")
        house = House(dead)
        for number in range(5):
            await house.queue.tell(message(title=str(number)))
        await house.queue.pump(house.now)
        assert dead.tries == 1
        assert await house.outbox.due(house.now, 10) == ()
        assert (await house.status("webhook")).waiting == 5

    asyncio.run(run())


def test_after_three_quick_failures_in_a_row_the_channels_others_wait_and_new_ones_come_first():
    async def run():
        web = Recorder("webhook", down(), down(), down(), None)
        house = House(web)
        for number in range(5):
            await house.queue.tell(message(title=f"old {number}"))
        await house.queue.pump(house.now)
        assert web.tries == 3
        await house.queue.tell(message(title="new"))
        await house.later(minutes=1)
        assert web.titles == ["new", "old 0", "old 1", "old 2", "old 3", "old 4"]

    asyncio.run(run())


def test_one_channels_backlog_does_not_hide_another_channels_message():
    async def run():
        mail = Recorder("mail")
        house = House(Recorder("webhook", "hang"), mail)
        for _ in range(1100):
            await house.outbox.put("webhook", to_bytes(message()), NOW)
            house.outbox._most += 1
        await house.outbox.put("mail", to_bytes(message(title="needle")), NOW)
        await house.queue.pump(house.now)
        assert mail.titles == ["needle"]

    asyncio.run(run())


def test_one_pump_does_not_serve_a_slow_channel_for_ever(monkeypatch):
    monkeypatch.setattr("guard.notify.queue.BUDGET_S", 0.0)

    async def run():
        web = Recorder("webhook")
        house = House(web)
        await house.queue.tell(message())
        await house.queue.pump(house.now)
        assert web.tries == 0
        monkeypatch.setattr("guard.notify.queue.BUDGET_S", 60.0)
        await house.queue.pump(house.now)
        assert web.tries == 1

    asyncio.run(run())


def test_a_bug_in_one_channel_is_counted_and_does_not_touch_the_others_nor_tell_its_words():
    async def run():
        broken, mail = Recorder("webhook", KeyError("hunter2")), Recorder("mail")
        house = House(broken, mail)
        await house.queue.tell(message())
        await house.queue.pump(house.now)
        assert mail.titles == ["Nightly is held"]
        assert (await house.status("webhook")).last_error == "a bug of guard's in this channel: KeyError"

    asyncio.run(run())


def test_what_was_taken_for_some_recipients_is_not_sent_again_but_noted():
    async def run():
        mail = Recorder("mail", PartlyToldError("not for b@example.org"), None)
        house = House(mail)
        await house.queue.tell(message())
        await house.live(minutes=10)
        status = await house.status("mail")
        assert (mail.tries, status.sent, status.failed) == (1, 1, 0)
        assert status.last_error == "not for b@example.org"

    asyncio.run(run())


def test_what_a_server_said_is_one_short_line_in_the_status():
    async def run():
        house = House(Recorder("webhook", down("a\nb\x1b[31m" + "x" * 2000)))
        await house.queue.tell(message())
        await house.queue.pump(house.now)
        error = (await house.status("webhook")).last_error
        assert len(error) == 500
        assert error.startswith("a b\N{REPLACEMENT CHARACTER}[31m")

    asyncio.run(run())


# --- what is too late, and what cannot be read


@pytest.mark.parametrize(("event", "schedule"), [("start", "s1"), ("success", None)])
def test_a_start_or_a_sign_of_life_is_not_sent_when_it_is_old(event, schedule):
    async def run():
        pings, mail = Recorder("healthchecks", down(), None), Recorder("mail")
        house = House(pings, mail, healthchecks=lambda _: True)
        await house.queue.tell(message("record", event, schedule=schedule))
        await house.queue.pump(house.now)
        await house.later(minutes=15)
        assert (pings.tries, pings.sent, mail.sent) == (1, [], [])
        assert (await house.status("healthchecks")).dropped == 1

    asyncio.run(run())


def test_a_success_of_a_run_is_sent_even_hours_later():
    async def run():
        pings = Recorder("healthchecks", down(), None)
        house = House(pings, healthchecks=lambda _: True)
        await house.queue.tell(message("record", "success", schedule="s1"))
        await house.queue.pump(house.now)
        await house.later(hours=5)
        assert len(pings.sent) == 1

    asyncio.run(run())


def test_what_another_version_wrote_is_dropped_and_told():
    async def run():
        web, mail = Recorder("webhook"), Recorder("mail")
        house = House(web, mail)
        await house.outbox.put("webhook", b'{"schema":"guard.message/9"}', NOW)
        await house.queue.pump(house.now)
        assert web.tries == 0
        await house.live(hours=12, step=timedelta(hours=1))
        assert "Dropped for good:\n    and 1 more\n  Last error: it could not be read back" in mail.sent[0].text

    asyncio.run(run())


def test_what_waits_for_a_channel_that_left_the_policy_is_dropped_and_a_page_of_it_is_told():
    async def run():
        web = Recorder("webhook")
        house = House(web)
        await house.outbox.put("mail", to_bytes(message("digest", "digest")), NOW)
        await house.queue.pump(house.now)
        assert await house.outbox.waiting() == 0
        await house.outbox.put("mail", to_bytes(message()), NOW)
        await house.later(minutes=0)
        await house.later(minutes=0)
        assert await house.outbox.waiting() == 0
        assert [one.code for one in web.sent] == [NOTIFY_DROPPED.id]
        assert "this channel is not in the policy any more" in web.sent[0].text

    asyncio.run(run())


# --- the digest


def test_the_digest_collects_and_is_sent_once_a_day_across_restarts():
    async def run():
        web, mail = Recorder("webhook"), Recorder("mail")
        house = House(web, mail, limits=Limits(digest_at=time(7), zone=ZoneInfo("Europe/Paris")))
        for number in range(3):
            await house.queue.tell(message("digest", title=f"nice {number}", at=house.now))
            await house.later(hours=1)
            house.restart()
        assert mail.sent == []
        while house.now < NOW + timedelta(hours=20):
            house.restart()
            await house.later(minutes=30)
        (digest,) = mail.sent
        assert web.titles == mail.titles == ["Digest of 2027-03-27: 3 messages"]
        assert digest.at.isoformat() == "2027-03-27T06:00:00+00:00"  # 07:00 in Paris
        assert "Fri 26 Mar 23:00 CET: nice 0\n  SR full\n" in digest.text
        assert [digest.text.index(f"nice {number}") for number in range(3)] == sorted(
            digest.text.index(f"nice {number}") for number in range(3)
        )
        assert (digest.tier, digest.event) == ("digest", "digest")

    asyncio.run(run())


def test_nights_that_guard_slept_through_become_one_digest():
    async def run():
        mail = Recorder("mail")
        house = House(mail)
        await house.queue.tell(message("digest", title="monday"))
        house.now += timedelta(days=1)
        await house.queue.tell(message("digest", title="tuesday"))
        house.restart()
        await house.later(days=4)
        assert mail.titles == ["Digest of 2027-03-28: 2 messages"]

    asyncio.run(run())


def test_a_digest_that_dies_half_way_has_the_same_key_the_second_time():
    async def run():
        mail = Recorder("mail")
        house = House(mail, outbox=FailingOutbox())
        await house.queue.tell(message("digest", title="nice"))
        house.outbox.done = lambda _: 1 / 0  # dies between the digest's put and the mark of what it tells
        with pytest.raises(ZeroDivisionError):
            await house.later(hours=12)
        del house.outbox.done
        house.restart()
        await house.later(minutes=1)
        assert len(mail.sent) == 2
        assert to_bytes(mail.sent[0]) == to_bytes(mail.sent[1])

    asyncio.run(run())


def test_where_nobody_wants_the_digest_nothing_is_kept_for_it():
    async def run():
        house = House(Recorder("mail"), mail=for_people(digest=False))
        await house.queue.tell(message("digest"))
        assert await house.outbox.waiting() == 0

    asyncio.run(run())


def test_what_waits_for_the_digest_is_counted_under_its_name():
    async def run():
        house = House(Recorder("mail"))
        await house.queue.tell(message("digest"))
        assert (await house.status("digest")).waiting == 1
        assert (await house.status("mail")).waiting == 0

    asyncio.run(run())


# --- crashes, clocks, the ledger's own trouble


def test_a_crash_between_send_and_mark_sends_twice_at_most_and_under_the_same_key():
    async def run():
        mail = Recorder("mail")
        house = House(mail, outbox=FailingOutbox())
        await house.queue.tell(message())
        house.outbox.done = lambda _: 1 / 0
        with pytest.raises(ZeroDivisionError):
            await house.queue.pump(house.now)
        del house.outbox.done
        house.restart()
        await house.live(minutes=30)
        assert len(mail.sent) == 2
        assert to_bytes(mail.sent[0]) == to_bytes(mail.sent[1])

    asyncio.run(run())


def test_counts_go_on_from_an_earlier_process():
    async def run():
        house = House(Recorder("mail"))
        await house.queue.tell(message())
        await house.queue.pump(house.now)
        house.restart(known=await house.queue.status())
        await house.queue.tell(message())
        await house.queue.pump(house.now)
        assert (await house.status("mail")).sent == 2

    asyncio.run(run())


def test_a_pump_that_is_cancelled_leaves_its_messages_and_its_channel_to_the_next():
    async def run():
        web = Recorder("webhook", "hang", None)
        house = House(web, limits=Limits(time_limit_s=5))
        await house.queue.tell(message())
        pump = asyncio.create_task(house.queue.pump(house.now))
        for _ in range(10):
            await asyncio.sleep(0)
        pump.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pump
        await house.queue.pump(house.now)
        assert len(web.sent) == 1

    asyncio.run(run())


def test_a_full_disk_costs_the_durability_and_not_the_message():
    async def run():
        mail, web = Recorder("mail"), Recorder("webhook", down(), None)
        house = House(mail, web, outbox=FailingOutbox())
        await house.queue.tell(message(title="before"))
        house.outbox.writes = False
        await house.queue.tell(message(title="the disk is full"))
        assert (await house.queue.unsaved(), house.queue.ledger_trouble) == (2, "the disk is full")
        await house.live(minutes=10)
        assert mail.titles == ["before", "the disk is full"]  # once each, though the mark could not be written
        assert web.titles == ["the disk is full"]
        house.outbox.writes = True
        await house.live(minutes=10)
        assert sorted(web.titles) == ["before", "the disk is full"]
        assert mail.titles == ["before", "the disk is full"]
        assert (await house.queue.unsaved(), house.queue.ledger_trouble) == (0, "")
        assert await house.outbox.waiting() == 0

    asyncio.run(run())


def test_a_ledger_that_writes_again_is_no_trouble_any_more():
    async def run():
        house = House(Recorder("mail"), outbox=FailingOutbox())
        house.outbox.reads = False
        await house.queue.pump(house.now)
        assert house.queue.ledger_trouble == "the ledger is damaged"
        await house.queue.tell(message())
        assert house.queue.ledger_trouble == ""

    asyncio.run(run())


def test_a_clock_that_was_set_back_leaves_nothing_waiting_for_years():
    async def run():
        mail = Recorder("mail")
        house = House(mail)
        house.now += timedelta(days=4000)
        await house.queue.pump(house.now)
        await house.queue.tell(message(title="from the future"))
        house.now = NOW
        await house.queue.tell(message(title="now"))
        await house.queue.pump(house.now)
        assert sorted(mail.titles) == ["from the future", "now"]

    asyncio.run(run())


def test_a_clock_that_jumps_ahead_gives_up_nothing_untried():
    async def run():
        mail = Recorder("mail", down(), None)
        house = House(mail)
        await house.queue.tell(message(title="a"))
        await house.queue.tell(message(title="b"))
        await house.later(days=400)
        assert mail.titles == ["b"]

    asyncio.run(run())


@pytest.mark.parametrize("names", [("a", "a"), ("digest",)])
def test_channels_need_names_of_their_own(names):
    async def run():
        routes = [Route(Recorder(name), for_people()) for name in names]
        with pytest.raises(ValueError, match="names of their own"):
            Queue(MemoryOutbox(), routes, Limits(), clock=lambda: NOW)

    asyncio.run(run())


def test_the_memory_outbox_forgets_the_oldest_and_knows_how_many():
    async def run():
        outbox = MemoryOutbox(most=2)
        for text in (b"a", b"b", b"c"):
            await outbox.put("mail", text, NOW)
        assert [row.message for row in await outbox.due(NOW, 10)] == [b"b", b"c"]
        assert outbox.forgotten == 1
        await outbox.failed(1, NOW, "gone already")
        await outbox.drop(2, "no")
        assert await outbox.waiting() == 1

    asyncio.run(run())


def test_the_queue_works_on_the_ledgers_outbox(tmp_path):
    async def run():
        ledger = open_ledger(
            tmp_path / "ledger.db",
            xo="https://xo.example.org",
            clock=lambda: NOW,
            instance=b"12345678",
            ballast_bytes=0,
        )
        with ledger:
            outbox = ledger.outbox(Queued)
            mail = Recorder("mail", down(), None)
            house = House(mail, outbox=outbox)
            await house.queue.tell(message())
            await house.queue.tell(message("digest"))
            await house.live(minutes=5)
            await house.later(hours=12)
            assert mail.titles == ["Nightly is held", "Digest of 2027-03-27: 1 message"]
            assert await outbox.waiting() == 0

    asyncio.run(run())
