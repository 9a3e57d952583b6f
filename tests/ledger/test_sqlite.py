"""The SQLite ledger: the suite of all ledgers, then its file, its lease, its retention and its bounds."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from datetime import timedelta

import pytest
from guard.errors import ConflictError, LedgerError
from guard.ledger.migrations import MIGRATIONS
from guard.ledger.sqlite import open_beside, open_ledger, read_ledger
from guard.lifecycle.events import RunKey
from tests.contract.ledger_suite import (
    DUE,
    KEY,
    LedgerSuite,
    alarmed,
    append_somehow,
    awaited,
    day,
    decided,
    ended,
    remedy,
    seen,
    started,
)
from tests.ledger.opening import NOW, XO, Clock, hasty, opened, raw


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def another(path):
    with contextlib.ExitStack() as close:
        yield lambda **changes: close.enter_context(opened(path, **changes))


class TestSqliteLedger(LedgerSuite):
    """The contract of every ledger."""


# --- writing


@awaited
async def test_the_primary_key_alone_stops_a_second_writer(another, path):
    ledger = another()
    await ledger.append(KEY, 0, seen())
    with raw(path) as connection:
        connection.execute("UPDATE due_run SET seq = 0")
    with pytest.raises(ConflictError, match="its event 0 is not the last one"):
        await ledger.append(KEY, 0, seen())
    with raw(path) as connection:
        connection.execute("DELETE FROM due_run")
    with pytest.raises(ConflictError, match=r"nightly 2026-03-02T01:30:00Z: its event 0"):
        await ledger.append(KEY, 0, seen())
    assert await ledger.load(KEY) == (seen(),)


def test_writers_in_four_threads_lose_nothing(another, path):
    another()

    def write(name):
        async def all_of_them():
            for number in range(25):
                await append_somehow(ledger, KEY, alarmed(f"{name}.{number}"))

        with opened(path) as ledger:
            asyncio.run(all_of_them())

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = asyncio.run(another().load(KEY))
    assert sorted(event.text for event in events) == sorted(
        f"{name}.{number}" for name in range(4) for number in range(25)
    )


@pytest.mark.parametrize("due", [DUE.replace(tzinfo=None), DUE + timedelta(microseconds=1)])
@awaited
async def test_a_due_time_without_a_zone_or_finer_than_a_millisecond_is_no_key(another, due):
    with pytest.raises(ValueError, match="2026-03-02"):
        await another().append(RunKey("nightly", due), 0, seen())


@awaited
async def test_a_ledger_locked_by_another_process_says_so(another, path, monkeypatch):
    monkeypatch.setattr("guard.ledger.files.BUSY_S", 0.0)
    ledger = another()
    with raw(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match=r"another process keeps the ledger .* locked"):
            await ledger.append(KEY, 0, seen())
    assert await ledger.append(KEY, 0, seen()) == 1


@awaited
async def test_an_event_of_a_kind_this_guard_does_not_know_is_told_and_the_other_due_runs_stay_readable(another, path):
    ledger = another()
    await ledger.append(KEY, 0, seen())
    await ledger.append(day(1, via="seq-1"), 0, seen())
    with raw(path) as connection:
        connection.execute("UPDATE event SET body = replace(body, '\"seen\"', '\"dreamt\"') WHERE via = 'seq-1'")
    with pytest.raises(
        LedgerError, match=r"an event of the due run nightly 2026-03-03T01:30:00Z through seq-1 .*dreamt"
    ):
        await ledger.load(day(1, via="seq-1"))
    assert await ledger.load(KEY) == (seen(),)


@awaited
async def test_an_event_with_a_field_of_a_newer_guard_is_still_read(another, path):
    ledger = another()
    await ledger.append(KEY, 0, seen())
    with raw(path) as connection:
        connection.execute("UPDATE event SET body = json_set(body, '$.mood', 'good')")
    assert await ledger.load(KEY) == (seen(),)


@awaited
async def test_a_closed_ledger_is_an_error_of_the_ledger(another):
    ledger = another()
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        await ledger.load(KEY)


# --- the lease


@awaited
async def test_a_second_guard_is_refused_while_the_first_holds_the_lease(another):
    first, second = another(), another()
    await first.lease("guard on a, process 1", NOW + timedelta(minutes=2))
    with pytest.raises(LedgerError, match=r"held by guard on a, process 1 until 2026-03-02 12:02:00 UTC: .*stop"):
        await second.lease("guard on b, process 2", NOW + timedelta(minutes=2))
    await first.lease("guard on a, process 1", NOW + timedelta(minutes=4))
    assert await first.append(KEY, 0, seen()) == 1


@awaited
async def test_a_lease_that_ran_out_goes_to_the_next_and_the_frozen_guard_writes_nothing_more(another):
    clock = Clock()
    first, second = another(clock=clock), another(clock=clock)
    await first.lease("first", NOW + timedelta(minutes=2))
    clock.now += timedelta(minutes=2)
    assert await first.append(KEY, 0, seen()) == 1  # it ran out, but nobody took it
    await second.lease("second", clock.now + timedelta(minutes=2))
    for call in (first.append(KEY, 1, started()), first.mark({"a": DUE}), first.outbox(dict).put("mail", b"", NOW)):
        with pytest.raises(LedgerError, match=r"taken over by second while this guard \(first\) stood still"):
            await call
    with pytest.raises(LedgerError, match="held by second"):
        await first.lease("first", clock.now + timedelta(minutes=2))
    assert await second.load(KEY) == (seen(),)
    await first.release()
    with pytest.raises(LedgerError, match="held by second"):
        await first.lease("first", clock.now + timedelta(minutes=2))
    await second.release()
    await second.release()
    await first.lease("first", clock.now + timedelta(minutes=2))


@awaited
async def test_a_guard_whose_lease_was_given_back_behind_it_writes_nothing_more(another):
    first, second = another(), another()
    await first.lease("same name", NOW + timedelta(minutes=2))
    await second.lease("same name", NOW + timedelta(minutes=2))
    await second.release()
    with pytest.raises(LedgerError, match="taken over by nobody"):
        await first.append(KEY, 0, seen())


@awaited
async def test_a_lease_from_a_clock_that_was_years_ahead_holds_nobody_up(another):
    first, second = another(clock=Clock(NOW + timedelta(days=700))), another()
    await first.lease("first", NOW + timedelta(days=700, minutes=2))
    await second.lease("second", NOW + timedelta(minutes=2))


# --- retention


@awaited
async def test_old_ended_due_runs_go_open_ones_never(another):
    ledger = hasty(another())
    for number in range(150):
        await ledger.append(day(number), 0, seen(), *([] if number in (3, 70) else [ended()]))
    assert await ledger.prune(DUE + timedelta(days=120)) == 118
    assert await ledger.prune(DUE + timedelta(days=120)) == 0
    left = await ledger.between(DUE, DUE + timedelta(days=1000))
    assert list(left) == [day(number) for number in (3, 70, *range(120, 150))]
    assert [len(events) for events in left.values()] == [1, 1, *[2] * 30]
    assert await ledger.load(day(4)) == ()


@awaited
async def test_what_the_retention_deletes_goes_back_to_the_disk(another, path):
    ledger = hasty(another())
    for number in range(60):
        await ledger.append(day(number), 0, seen(), decided(500), ended())
    ledger.close()
    full = path.stat().st_size
    ledger = another()
    assert await ledger.prune(DUE + timedelta(days=59)) == 59
    assert len(await ledger.between(DUE, DUE + timedelta(days=100))) == 1
    ledger.close()
    assert path.stat().st_size < full / 8


@awaited
async def test_a_year_of_nights_with_retention_leaves_the_file_as_large_as_it_was_after_a_month(another, path):
    ledger, sizes = hasty(another()), []
    for number in range(365):
        await ledger.append(day(number), 0, seen(), decided(50), started(), ended())
        await ledger.remember("loop", b"x" * (number % 50))
        await ledger.mark({"nightly": day(number).due})
        await ledger.prune(day(number - 30).due)
        if number > 60:
            sizes.append(ledger._store.rows("PRAGMA page_count")[0][0])
    assert max(sizes) <= 1.2 * min(sizes)
    assert path.with_name("ledger.db-wal").stat().st_size < 9 * 1024 * 1024


@awaited
async def test_a_file_that_cannot_shrink_is_pruned_all_the_same(another, path):
    ledger = another()
    for number in range(20):
        await ledger.append(day(number), 0, seen(), decided(500), ended())
    ledger.close()
    with raw(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = WAL")
    assert await another().prune(DUE + timedelta(days=100)) == 20
    with raw(path) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone()[0] > 30


@awaited
async def test_a_due_run_pruned_while_a_span_is_read_is_left_out_whole(another):
    ledger = another()
    for number in range(10):
        await ledger.append(day(number), 0, seen(), ended())
    reading = asyncio.create_task(ledger.between(DUE, DUE + timedelta(days=100)))
    await asyncio.sleep(0)
    await another().prune(DUE + timedelta(days=100))
    found = await reading
    assert len(found) < 10
    assert set(found.values()) == {(seen(), ended())}


# --- looking on


@awaited
async def test_a_reader_sees_what_the_daemon_writes_and_can_change_nothing(another, path):
    ledger = another()
    await ledger.lease("daemon", NOW + timedelta(minutes=2))
    await ledger.append(KEY, 0, seen())
    with read_ledger(path, xo=XO, clock=Clock()) as reader:
        assert await reader.load(KEY) == (seen(),)
        assert (reader.instance, reader.xo, reader.ballast_held) == (ledger.instance, XO, False)
        await ledger.append(KEY, 1, ended())
        assert await reader.load(KEY) == (seen(), ended())
        with pytest.raises(LedgerError, match="cannot be opened or written"):
            await reader.append(KEY, 2, alarmed())
    assert ledger.ballast_held


def test_a_reader_makes_no_ledger(path):
    with pytest.raises(LedgerError, match=r"there is no ledger .* yet"):
        read_ledger(path, xo=XO, clock=Clock())
    assert list(path.parent.iterdir()) == []


def test_a_reader_leaves_a_ledger_of_an_older_guard_to_the_daemon(another, path, monkeypatch):
    another().close()
    monkeypatch.setattr("guard.ledger.files.MIGRATIONS", (*MIGRATIONS, ()))
    monkeypatch.setattr("guard.ledger.sqlite.MIGRATIONS", (*MIGRATIONS, ()))
    with pytest.raises(LedgerError, match="restart the daemon"):
        read_ledger(path, xo=XO, clock=Clock())


@awaited
async def test_a_write_that_fails_after_sqlite_undid_it_keeps_the_first_error(another):
    ledger = another()

    def work(connection):
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("first")

    with pytest.raises(LedgerError, match="first"):
        ledger._store.write(work)


def test_the_same_url_with_a_slash_at_its_end_is_the_same_xo(path):
    open_ledger(path, xo=f"{XO}/", clock=Clock(), instance=b"1").close()
    open_ledger(path, xo=XO, clock=Clock(), instance=b"2").close()


# --- one document changed, beside a daemon


@awaited
async def test_a_document_is_changed_in_one_step_from_nothing_and_from_what_it_was(another):
    ledger, seen_before = another(), []

    def work(before):
        seen_before.append(before)
        return (before or b"") + b"x"

    await ledger.change("brakes", work)
    await ledger.change("brakes", work)
    assert seen_before == [None, b"x"]
    assert await ledger.recall("brakes") == b"xx"


@awaited
async def test_a_change_that_raises_writes_nothing(another):
    ledger = another()
    await ledger.remember("brakes", b"before")

    def refuse(before):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await ledger.change("brakes", refuse)
    await ledger.change("other", lambda _: b"goes on")
    assert await ledger.recall("brakes") == b"before"


@awaited
async def test_no_other_process_writes_while_a_document_is_changed(another, path):
    ledger = another()
    with raw(path) as other:
        other.execute("PRAGMA busy_timeout = 0")

        def work(before):
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("INSERT INTO document VALUES ('brakes', 'theirs', 1)")
            return b"ours"

        await ledger.change("brakes", work)
    assert await ledger.recall("brakes") == b"ours"


@awaited
async def test_beside_a_daemon_a_document_is_changed_without_its_lease_and_the_daemon_sees_it_and_goes_on(
    another, path
):
    daemon = another()
    await daemon.lease("daemon", NOW + timedelta(minutes=5))
    with open_beside(path, xo=XO, clock=Clock()) as beside:
        assert (beside.instance, beside.ballast_held) == (daemon.instance, False)
        await beside.change("brakes", lambda _: b"[]")
    assert await daemon.recall("brakes") == b"[]"
    await daemon.append(KEY, 0, seen())


def test_beside_a_daemon_no_ledger_is_ever_made(path):
    with pytest.raises(LedgerError, match="there is no ledger"):
        open_beside(path, xo=XO, clock=Clock())
    assert not path.exists()


def test_beside_a_daemon_the_ledger_of_an_older_guard_or_another_xo_is_refused(another, path):
    another()
    with pytest.raises(LedgerError, match="belongs to the XO at"):
        open_beside(path, xo="https://other.example", clock=Clock())
    with raw(path) as connection:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {found - 1}")
    if found > 1:
        with pytest.raises(LedgerError, match="is of an older guard"):
            open_beside(path, xo=XO, clock=Clock())


@awaited
async def test_the_retention_takes_remedies_too(another):
    ledger = another()
    await ledger.put_remedy(remedy())
    await ledger.put_remedy(remedy(at=DUE))
    await ledger.prune(DUE)
    assert await ledger.remedies(DUE - timedelta(days=1)) == (remedy(at=DUE),)


@awaited
async def test_a_remedy_that_cannot_be_read_is_told_with_its_time(another, path):
    ledger = another()
    await ledger.put_remedy(remedy())
    with raw(path) as connection:
        connection.execute("UPDATE remedy SET body = '{}'")
    with pytest.raises(LedgerError, match="a remedy of 2026-03-01 21:30:00 UTC that this guard cannot read"):
        await ledger.remedies(DUE - timedelta(days=1))
