"""A full disk: on a real one (a small tmpfs), and with a connection that says so."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import subprocess

import pytest
from guard.errors import LedgerError, LedgerUnwritableError
from guard.ledger.ballast import Ballast
from tests.contract.ledger_suite import DUE, KEY, alarmed, awaited, day, decided, ended, seen
from tests.ledger.opening import opened

KIB = 1024


class Failing:
    """A connection whose statements that begin with ``statement`` fail ``times`` times, as SQLite would."""

    def __init__(self, connection, statement, code, times):
        self._connection = connection
        self._statement, self._code, self._left = statement, code, times

    def execute(self, sql, *values):
        if sql.startswith(self._statement) and self._left:
            self._left -= 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(sql, *values)

    def __getattr__(self, name):
        return getattr(self._connection, name)


@pytest.fixture
def ledger(tmp_path):
    with opened(tmp_path / "ledger.db") as ledger:
        yield ledger


@pytest.fixture
def break_it(ledger):
    def wrap(statement="COMMIT", code=sqlite3.SQLITE_FULL, times=1):
        ledger._store.connection = Failing(ledger._store.connection, statement, code, times)

    return wrap


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 1 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1024k", "guard-test", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        pytest.skip(f"no mount here: {error}")
    if mount.returncode != 0:
        pytest.skip(f"mounting a tmpfs is not allowed here: {mount.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill_up(folder):
    """A file that takes the rest of the disk."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


# --- a connection that says the disk is full


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO due_run", "COMMIT"])
@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC])
@awaited
async def test_the_ballast_makes_room_and_the_write_is_tried_once_more(ledger, break_it, statement, code):
    break_it(statement, code)
    assert ledger.ballast_held
    assert await ledger.append(KEY, 0, seen()) == 1
    assert await ledger.load(KEY) == (seen(),)
    assert ledger.ballast_held  # there was room all the time: it is back


@awaited
async def test_a_second_failure_says_that_the_disk_is_full_and_nothing_was_written(ledger, break_it):
    break_it(times=2)
    with pytest.raises(LedgerError, match=r"disk under the ledger .* is full, .* make room on that disk"):
        await ledger.append(KEY, 0, seen(), ended())
    assert await ledger.load(KEY) == ()
    assert await ledger.append(KEY, 0, seen()) == 1


@awaited
async def test_without_a_ballast_the_second_try_has_what_the_write_ahead_log_gives(ledger, break_it):
    ledger._store.ballast.free()
    break_it(times=1)
    assert await ledger.append(KEY, 0, seen()) == 1


@awaited
async def test_a_write_ahead_log_that_cannot_be_emptied_is_no_second_error(ledger, break_it):
    break_it("PRAGMA wal_checkpoint")
    break_it()
    assert await ledger.append(KEY, 0, seen()) == 1


@awaited
async def test_a_disk_over_its_quota_is_told_as_what_it_may_be(ledger, break_it):
    break_it(code=sqlite3.SQLITE_IOERR_WRITE, times=2)
    with pytest.raises(LedgerError, match="its disk is full, over a quota, or failing"):
        await ledger.append(KEY, 0, seen())


@awaited
async def test_a_disk_that_fails_otherwise_is_told_as_such(ledger, break_it):
    break_it(code=sqlite3.SQLITE_IOERR_READ)
    with pytest.raises(LedgerError, match="look for errors of its disk"):
        await ledger.append(KEY, 0, seen())
    assert ledger.ballast_held


# --- a real full disk


@awaited
async def test_a_full_disk_is_survived_on_the_ballast_then_told_and_forgotten_when_there_is_room(small_disk):
    with opened(small_disk / "ledger.db", ballast_bytes=128 * KIB) as ledger:
        assert ledger.ballast_held
        await ledger.append(KEY, 0, seen())
        filler, written, told = fill_up(small_disk), 0, None
        while told is None:
            try:
                await ledger.append(day(written + 1), 0, seen(), decided(20))
                written += 1
            except LedgerError as error:
                told = str(error)
        assert written >= 5
        assert not ledger.ballast_held
        assert "is full, and the reserve that guard kept there is used up" in told
        print(f"{written} due runs were written on a full disk from a ballast of 128 KiB")
        assert await ledger.load(day(written + 1)) == ()
        assert len(await ledger.open_runs()) == written + 1

        filler.unlink()
        await ledger.append(day(written + 1), 0, seen(), decided(20))
        assert ledger.ballast_held
        assert (small_disk / "ledger.db.ballast").stat().st_blocks * 512 >= 128 * KIB
    with opened(small_disk / "ledger.db", ballast_bytes=128 * KIB) as ledger:
        assert len(await ledger.between(DUE, day(1000).due)) == written + 2


@awaited
async def test_a_ledger_opens_on_a_full_disk_and_can_give_up_what_is_old(small_disk):
    path = small_disk / "ledger.db"
    with opened(path, ballast_bytes=128 * KIB) as ledger:
        for number in range(10):
            await ledger.append(day(number), 0, seen(), decided(20), ended())
    fill_up(small_disk)
    with opened(path, ballast_bytes=128 * KIB) as ledger:
        assert len(await ledger.between(DUE, day(1000).due)) == 10
        assert await ledger.prune(day(5).due) == 5
        assert await ledger.append(day(11), 0, seen()) == 1


def test_a_new_ledger_on_a_full_disk_is_told_and_leaves_nothing_behind(small_disk):
    filler = fill_up(small_disk)
    with pytest.raises(LedgerError, match=r"have room|is full"):
        opened(small_disk / "ledger.db")
    assert list(small_disk.iterdir()) == [filler]


@awaited
async def test_a_ledger_that_fits_without_a_ballast_works_without_one(small_disk):
    with opened(small_disk / "ledger.db", ballast_bytes=800 * KIB) as ledger:
        assert not ledger.ballast_held
        assert await ledger.append(KEY, 0, seen(), alarmed()) == 2
        assert not ledger.ballast_held


# --- the ballast itself


def test_a_ballast_takes_its_room_for_real_and_gives_it_back(tmp_path):
    path = tmp_path / "ballast"
    ballast = Ballast(path, 64 * KIB)
    assert not ballast.free()
    assert ballast.restore()
    assert ballast.restore()
    assert path.stat().st_blocks * 512 >= 64 * KIB
    assert ballast.free()
    assert path.stat().st_size == 0
    assert not ballast.free()


def test_a_ballast_somebody_took_away_is_no_error(tmp_path):
    path = tmp_path / "ballast"
    ballast = Ballast(path, 64 * KIB)
    ballast.restore()
    path.unlink()
    assert not ballast.free()


def test_a_ballast_from_before_a_restart_is_taken_over(tmp_path, monkeypatch):
    path = tmp_path / "ballast"
    assert Ballast(path, 64 * KIB).restore()
    monkeypatch.setattr(os, "fstatvfs", lambda _: os.statvfs_result((512, 512, 0, 0, 0, 0, 0, 0, 0, 255)))
    assert Ballast(path, 64 * KIB).restore()
    assert not Ballast(path, 128 * KIB).restore()


def test_a_ballast_is_never_put_through_a_link_to_elsewhere(tmp_path):
    elsewhere = tmp_path / "precious"
    elsewhere.write_text("precious")
    (tmp_path / "ballast").symlink_to(elsewhere)
    assert not Ballast(tmp_path / "ballast", 64 * KIB).restore()
    assert elsewhere.read_text() == "precious"


def test_a_ballast_that_found_no_room_after_all_takes_none(tmp_path, monkeypatch):
    def none_left(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", none_left)
    ballast = Ballast(tmp_path / "ballast", 64 * KIB)
    assert not ballast.restore()
    assert (tmp_path / "ballast").stat().st_size == 0


# --- a file that lies there no more


@pytest.mark.parametrize("way", ["removed", "replaced", "moved with its folder"])
@awaited
async def test_a_ledger_that_is_not_at_its_path_any_more_takes_no_writes_and_can_still_be_read(tmp_path, way):
    folder = tmp_path / "state"
    folder.mkdir()
    path = folder / "ledger.sqlite"
    with opened(path) as ledger:
        await ledger.append(KEY, 0, seen())
        if way == "moved with its folder":
            folder.rename(tmp_path / "old")
        else:
            path.unlink()
        if way == "replaced":
            path.write_bytes(b"another")
        for write in (
            lambda: ledger.append(KEY, 1, ended()),
            lambda: ledger.lease("here", DUE),
            lambda: ledger.remember("loop", b"{}"),
        ):
            with pytest.raises(LedgerUnwritableError, match="was removed, moved or replaced while guard had it open"):
                await write()
        assert await ledger.load(KEY) == (seen(),)


@awaited
async def test_a_ledger_that_is_put_back_takes_writes_again(tmp_path):
    path, aside = tmp_path / "ledger.sqlite", tmp_path / "aside"
    with opened(path) as ledger:
        path.rename(aside)
        with pytest.raises(LedgerUnwritableError):
            await ledger.append(KEY, 0, seen())
        aside.rename(path)
        assert await ledger.append(KEY, 0, seen()) == 1
