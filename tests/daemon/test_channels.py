"""How channels fare, in the daemon: remembered, given back at the start, and logged where nobody else can be told."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from guard.daemon.channels import CHANNELS, Sender, known_channels
from guard.daemon.compose import LEDGER
from guard.errors import LedgerError
from guard.lifecycle.channels import read_channels
from guard.notify.ports import Queued
from guard.notify.queue import Queue
from guard.notify.route import Limits, Route, for_people
from tests.ledger.opening import opened
from tests.notify.told import NOW, Recorder, down, message


class Home:
    """A daemon's sending part on a real ledger, with a clock moved by hand."""

    def __init__(self, ledger, *channels):
        self.now, self.logged, self.ledger = NOW, [], ledger
        routes = [Route(one, for_people()) for one in channels]
        known = asyncio.run(known_channels(ledger))
        self.queue = Queue(ledger.outbox(Queued), routes, Limits(), clock=lambda: self.now, known=known)
        self.sender = Sender(self.queue, ledger, clock=lambda: self.now, log=self.logged.append)

    def tell(self, **changes):
        asyncio.run(self.queue.tell(message(at=self.now, **changes)))

    def live(self, minutes):
        async def pumps():
            for _ in range(minutes):
                self.now += timedelta(minutes=1)
                await self.sender.pump()

        asyncio.run(pumps())

    def kept(self, name):
        told = asyncio.run(self.ledger.recall(CHANNELS))
        return next(one for one in read_channels(told) if one.name == name)


def test_counts_survive_a_restart(tmp_path):
    with opened(tmp_path / LEDGER, clock=lambda: NOW) as ledger:
        home = Home(ledger, Recorder("mail", down("answered 500"), None))
        home.tell()
        home.live(5)
        assert (home.kept("mail").sent, home.kept("mail").failed) == (1, 1)
    with opened(tmp_path / LEDGER, clock=lambda: NOW) as ledger:
        home = Home(ledger, Recorder("mail"), Recorder("webhook"))
        home.tell()
        home.live(1)
        assert (home.kept("mail").sent, home.kept("mail").failed) == (2, 1)
        assert home.kept("mail").last_error == "answered 500"
        assert home.kept("webhook").sent == 1


def test_nothing_is_written_while_nothing_changes(tmp_path, monkeypatch):
    with opened(tmp_path / LEDGER, clock=lambda: NOW) as ledger:
        home = Home(ledger, Recorder("mail"))
        home.live(1)
        written = []
        monkeypatch.setattr(ledger, "remember", lambda *given: written.append(given))
        home.live(3)
        assert written == []


def test_with_two_channels_the_other_one_tells_and_with_one_the_log_does(tmp_path):
    broken, fine = Recorder("mail", down("answered 500")), Recorder("webhook")
    with opened(tmp_path / LEDGER, clock=lambda: NOW) as ledger:
        home = Home(ledger, broken, fine)
        home.tell()
        home.live(60 * 11)  # the digest is at 07:00
        assert any("Nothing gets through by mail" in one.text for one in fine.sent)
        assert len(home.logged) == 1
        assert home.kept("mail").told
    with opened(tmp_path / "alone.sqlite", clock=lambda: NOW) as ledger:
        home = Home(ledger, Recorder("mail", down("answered 500")))
        home.tell()
        home.live(60)
        assert home.logged == []
        home.live(1)
        assert home.logged == ["warning: nothing gets through by mail for 60 min: answered 500"]
        home.live(100)
        assert len(home.logged) == 1


def test_a_channel_that_works_again_is_logged_once(tmp_path):
    flaky = Recorder("mail", down("answered 500"))
    with opened(tmp_path / LEDGER, clock=lambda: NOW) as ledger:
        home = Home(ledger, flaky)
        home.tell()
        home.live(90)
        flaky.errors = []
        home.live(120)
        assert home.logged[1:] == ["messages get through by mail again"]


def test_a_ledger_that_takes_nothing_keeps_no_message_back(tmp_path, monkeypatch):
    async def refuse(*_):
        raise LedgerError("full")

    with opened(tmp_path / LEDGER, clock=lambda: NOW) as ledger:
        channel = Recorder("mail")
        home = Home(ledger, channel)
        monkeypatch.setattr(ledger, "remember", refuse)
        home.tell()
        home.live(1)
        assert channel.titles == ["Nightly is held"]
        monkeypatch.undo()
        home.live(1)
        assert home.kept("mail").sent == 1
