"""Messages wait in the ledger's file until they are delivered or given up."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from guard.notify.ports import Queued
from tests.contract.ledger_suite import awaited
from tests.ledger.opening import NOW, opened

LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def reopened(tmp_path):
    """A function that gives the outbox through a fresh handle each time, as after a restart."""
    with contextlib.ExitStack() as close:
        yield lambda: close.enter_context(opened(tmp_path / "ledger.db")).outbox(Queued)


@awaited
async def test_a_message_waits_through_a_restart_until_it_is_done(reopened):
    await reopened().put("mail", b'{"text":"Gr\xc3\xb6\xc3\x9fe"}', NOW)
    (queued,) = await reopened().due(NOW, 10)
    assert queued == Queued(
        id=queued.id, channel="mail", message=b'{"text":"Gr\xc3\xb6\xc3\x9fe"}', tries=0, created=NOW
    )
    assert await reopened().waiting() == 1
    await reopened().done(queued.id)
    assert await reopened().due(NOW, 10) == ()
    assert await reopened().waiting() == 0


@awaited
async def test_those_waiting_longest_come_first_and_no_more_than_asked_for(reopened):
    outbox = reopened()
    for minute in (3, 1, 2, 1):
        await outbox.put(f"{minute}", b"", NOW + timedelta(minutes=minute))
    assert [queued.channel for queued in await outbox.due(LATER, 3)] == ["1", "1", "2"]
    assert [queued.channel for queued in await outbox.due(NOW + timedelta(minutes=1), 3)] == ["1", "1"]
    assert await outbox.due(NOW, 3) == ()


@awaited
async def test_a_failed_try_is_counted_and_not_repeated_before_its_time(reopened):
    outbox = reopened()
    await outbox.put("mail", b"1", NOW)
    (queued,) = await outbox.due(NOW, 1)
    await outbox.failed(queued.id, LATER, "no route to \udcff host")
    assert await outbox.due(LATER - timedelta(milliseconds=1), 1) == ()
    (again,) = await outbox.due(LATER, 1)
    assert (again.id, again.tries, again.created) == (queued.id, 1, NOW)
    assert outbox._store.rows("SELECT last_error FROM outbox") == [("no route to ? host",)]


@awaited
async def test_a_message_given_up_no_longer_waits_and_goes_with_the_retention(tmp_path):
    with opened(tmp_path / "ledger.db") as ledger:
        outbox = ledger.outbox(Queued)
        await outbox.put("mail", b"1", NOW)
        await outbox.put("mail", b"2", NOW)
        (queued, kept) = await outbox.due(NOW, 9)
        await outbox.drop(queued.id, "mailbox \udcff unknown")
        assert await outbox.due(LATER, 9) == (kept,)
        assert await outbox.waiting() == 1
        rows = "SELECT id, last_error FROM outbox ORDER BY id"
        assert ledger._store.rows(rows) == [(queued.id, "mailbox ? unknown"), (kept.id, "")]
        await ledger.prune(NOW)
        assert len(ledger._store.rows(rows)) == 2
        await ledger.prune(LATER)
        assert ledger._store.rows(rows) == [(kept.id, "")]


@awaited
async def test_a_late_answer_about_a_message_long_done_hits_no_other(reopened):
    outbox = reopened()
    await outbox.put("mail", b"1", NOW)
    (first,) = await outbox.due(NOW, 1)
    await outbox.done(first.id)
    await outbox.put("mail", b"2", NOW)
    for _ in range(2):
        await outbox.done(first.id)
        await outbox.failed(first.id, LATER, "late")
        await outbox.drop(first.id, "late")
    assert [queued.message for queued in await outbox.due(NOW, 1)] == [b"2"]
