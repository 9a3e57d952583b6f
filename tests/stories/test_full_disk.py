"""The ledger's disk fills while guard holds a schedule: the run is started once, the schedule given back, a person paged."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, timedelta

import pytest
from guard.daemon.compose import Kept, Shell
from guard.daemon.news import News
from guard.errors import LedgerError
from guard.gate.look import LOOK_EVERY
from guard.ledger.last_resort import LastResort
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import BY_HAND, End
from guard.lifecycle.loop import Loop
from tests.stories.acting import Enforcing, left_behind, starts_of
from tests.stories.small_world import happens
from tests.stories.test_acting import DUE, FORENOON, one_job, with_chain

HELD = DUE - timedelta(seconds=50)
"""By then the schedule is claimed."""


class Disk:
    """A connection whose writes fail from a moment, or from the n-th one after it on, until another moment."""

    def __init__(self, live, first, last, after=0):
        self.live, self.first, self.last, self.after = live, first, last, after
        self.refused = 0

    @property
    def is_full(self):
        if not self.first <= self.live.now() < self.last:
            return False
        self.after -= 1
        return self.after < 0

    def under(self, connection):
        return Connection(connection, self)


class Connection:
    def __init__(self, connection, disk):
        self._connection, self._disk = connection, disk

    def execute(self, sql, *values):
        if sql == "COMMIT" and self._disk.is_full:
            self._disk.refused += 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self._connection.execute(sql, *values)

    def __getattr__(self, name):
        return getattr(self._connection, name)


class Tried:
    """As the daemon's loop does: a look that the ledger broke off is tried again half a minute later."""

    def __init__(self, kept, clock):
        self.kept, self.clock = kept, clock

    is_busy = False

    async def end(self):
        await self.kept._watch.end()

    async def tick(self):
        try:
            return await self.kept.tick()
        except LedgerError:
            return Loop(at=self.clock(), wake=self.clock() + LOOK_EVERY)


class Full(Enforcing):
    """The daemon's look, lease and last resort included; ``pages``: what a person is told of the ledger."""

    def __init__(self, live, path, disk, **options):
        self.disk, self.pages, self.journal = disk, [], []
        super().__init__(live, path, **options)

    def start(self):
        super().start()
        self.ledger._store.connection = self.disk.under(self.ledger._store.connection)
        self.ledger._store.ballast = None
        resort = LastResort(self.ledger, self.journal.append)
        watch = self.watch
        watch._ledger = resort
        news = News(self._told, lambda: UTC)
        shell = Shell(self.clock, lambda: 0, {}, b"", "here", self.journal.append)
        self.watch = Tried(Kept(watch, self.ledger, resort, self, news, shell), self.clock)

    async def _told(self, message):
        self.pages.append(message)

    async def tell(self, message):
        """The queue's sign of life."""


def stories_of(guarded):
    found = guarded.stories()
    return {key: fold(key, events) for key, events in found.items() if key.via != BY_HAND}


def unwritable(guarded):
    """The pages that the ledger takes nothing; that its reserve is gone is told once more."""
    return [page.code for page in guarded.pages if page.code != "LEDGER_DISK_FULL"]


def recorded(guarded):
    return [json.loads(line.partition(": ")[2])["event"]["kind"] for line in guarded.journal if "place of" in line]


@pytest.mark.parametrize("after", range(12))
def test_whichever_write_is_the_first_to_fail_the_run_starts_once_and_the_schedule_is_xos_again(tmp_path, after):
    live, schedule = one_job()
    disk = Disk(live, HELD, DUE + timedelta(minutes=20), after)
    guarded = Full(live, tmp_path / "ledger", disk, claim="always")
    guarded.run(DUE + timedelta(minutes=10))
    assert disk.refused > 0
    (start,) = starts_of(live, schedule)
    assert timedelta() <= start.at - DUE < timedelta(seconds=40)
    assert left_behind(live) == []
    assert unwritable(guarded) == ["LEDGER_UNWRITABLE"]
    guarded.run(FORENOON)
    (run,) = stories_of(guarded).values()
    assert run.ended.end is End.RAN
    assert len(starts_of(live, schedule)) == 1


def test_what_is_done_without_a_ledger_is_in_the_journal_before_it_is_done(tmp_path):
    live, schedule = one_job()
    guarded = Full(live, tmp_path / "ledger", Disk(live, HELD, FORENOON), claim="always")
    begun = []
    start = guarded.xo.start

    async def looked_at(*arguments, **named):
        begun.append(recorded(guarded)[-1])
        return await start(*arguments, **named)

    guarded.xo.start = looked_at
    guarded.run(DUE + timedelta(minutes=2))
    assert begun == ["starting"]
    assert recorded(guarded)[:4] == ["starting", "started", "releasing", "released"]
    assert unwritable(guarded) == ["LEDGER_UNWRITABLE"]
    page = next(page for page in guarded.pages if page.code == "LEDGER_UNWRITABLE")
    assert "brings to its end what it holds in XO" in page.text
    assert len(starts_of(live, schedule)) == 1


@pytest.mark.parametrize("back", [timedelta(seconds=90), timedelta(minutes=30)])
def test_a_guard_that_dies_in_this_state_starts_nothing_twice_when_it_is_back(tmp_path, back):
    live, schedule = one_job()
    guarded = Full(live, tmp_path / "ledger", Disk(live, HELD, DUE + back), claim="always")
    guarded.run(DUE + timedelta(seconds=60))
    assert len(starts_of(live, schedule)) == 1
    guarded.close()
    live.advance(DUE + back)
    guarded.start()
    guarded.run(FORENOON)
    assert len(starts_of(live, schedule)) == 1
    (run,) = stories_of(guarded).values()
    assert run.ended.end in (End.LEFT_TO_XO, End.RAN)
    assert left_behind(live) == []


def test_a_run_that_has_to_wait_is_not_started_before_its_time_and_the_schedule_is_xos_again(tmp_path):
    live, schedule = one_job()
    sr = with_chain(live)
    happens(live, DUE + timedelta(minutes=15), lambda: live.collector.switch_on(sr))
    guarded = Full(live, tmp_path / "ledger", Disk(live, HELD, DUE + timedelta(minutes=12)))
    guarded.run(DUE + timedelta(minutes=5))
    assert (starts_of(live, schedule), schedule["enabled"]) == ([], True)
    guarded.run(FORENOON)
    (start,) = starts_of(live, schedule)
    assert start.at > DUE + timedelta(minutes=15)
    assert left_behind(live) == []


def test_nothing_new_is_claimed_while_the_ledger_takes_nothing(tmp_path):
    live, schedule = one_job()
    guarded = Full(live, tmp_path / "ledger", Disk(live, DUE - timedelta(minutes=5), FORENOON), claim="always")
    guarded.run(FORENOON)
    assert live.world.writes == []
    assert [one.origin for one in starts_of(live, schedule)] == ["cron"]


# --- the file is gone


def removed(guarded):
    return guarded.ledger._store.path.unlink()


def test_a_ledger_that_is_removed_while_a_schedule_is_held_loses_no_run_and_the_schedule_is_xos_again(tmp_path):
    live, schedule = one_job()
    guarded = Full(live, tmp_path / "ledger", Disk(live, FORENOON, FORENOON), claim="always")
    happens(live, HELD, lambda: removed(guarded))
    guarded.run(DUE + timedelta(minutes=10))
    (start,) = starts_of(live, schedule)
    assert timedelta() <= start.at - DUE < timedelta(seconds=40)
    assert (left_behind(live), schedule["enabled"]) == ([], True)
    assert unwritable(guarded) == ["LEDGER_UNWRITABLE"]
    assert recorded(guarded)[:4] == ["starting", "started", "releasing", "released"]


def test_nothing_is_claimed_once_the_ledger_is_removed(tmp_path):
    live, schedule = one_job()
    guarded = Full(live, tmp_path / "ledger", Disk(live, FORENOON, FORENOON), claim="always")
    happens(live, DUE - timedelta(minutes=5), lambda: removed(guarded))
    guarded.run(DUE + timedelta(minutes=10))
    assert live.world.writes == []
    assert [one.origin for one in starts_of(live, schedule)] == ["cron"]
    (page,) = [page for page in guarded.pages if page.code == "LEDGER_UNWRITABLE"]
    assert "was removed, moved or replaced while guard had it open" in " ".join(page.text.split())
