"""Making and opening the ledger's file: who may read it, whose it is, whether it is whole, and how old it may be."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from guard.errors import LedgerError
from guard.ledger import files, migrations
from guard.ledger.sqlite import read_ledger
from tests.contract.ledger_suite import DUE, KEY, awaited, day, decided, ended, seen
from tests.ledger.opening import INSTANCE, XO, hasty, opened, raw

VERSION_1 = Path(__file__).with_name("version_1.sql")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a ledger #1?.db"


def fill(path, runs=40):
    async def write(ledger):
        hasty(ledger)
        for number in range(runs):
            await ledger.append(day(number), 0, seen(), decided(30), ended())

    with opened(path) as ledger:
        asyncio.run(write(ledger))


def read_all(path):
    async def read(ledger):
        return await ledger.between(DUE, DUE + timedelta(days=1000)), await ledger.open_runs()

    with opened(path) as ledger:
        return asyncio.run(read(ledger))


def refusal(path, **changes):
    with pytest.raises(LedgerError) as caught:
        opened(path, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- making


def test_a_new_ledger_and_all_beside_it_is_for_its_user_alone(path):
    before = os.umask(0)
    try:
        with opened(path) as ledger:
            asyncio.run(ledger.append(KEY, 0, seen()))
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {f"{path.name}{suffix}": 0o600 for suffix in ("", "-wal", "-shm", ".ballast")}


def test_a_ledger_knows_its_instance_and_its_xo_for_good(path):
    opened(path).close()
    with opened(path, instance=b"another one") as ledger:
        assert (ledger.instance, ledger.xo) == (INSTANCE.hex(), XO)


def test_the_file_is_durable_and_for_many_readers(path):
    with opened(path) as ledger:
        for pragma, value in {
            "journal_mode": "wal",
            "synchronous": 2,
            "auto_vacuum": 2,
            "application_id": 0x67756172,
        }.items():
            assert ledger._store.rows(f"PRAGMA {pragma}") == [(value,)]
        tables = ledger._store.rows("SELECT name, strict, wr FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%'")
    assert all(strict for _, strict, _ in tables)
    assert [name for name, _, without_rowid in tables if not without_rowid] == ["outbox"]


def test_a_folder_that_does_not_exist_is_told_and_not_made(tmp_path):
    assert "its folder must exist" in refusal(tmp_path / "no" / "ledger.db")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_the_ledger_is_told(tmp_path):
    assert "cannot be opened" in refusal(tmp_path)


def test_a_ledger_below_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    assert "its folder must exist" in refusal(tmp_path / "file" / "ledger.db")


def test_a_ledger_in_a_folder_of_somebody_else_s_is_told(path, monkeypatch):
    def stat(*_, **__):
        raise PermissionError(13, "Permission denied")  # root, who runs the tests, may look everywhere

    monkeypatch.setattr(Path, "stat", stat)
    assert "run guard as the user it belongs to" in refusal(path)


def test_a_link_to_nowhere_is_no_ledger(path):
    path.symlink_to(path.with_name("nowhere"))
    assert "there is no ledger" in refusal(path)


def test_a_ledger_that_cannot_be_made_leaves_nothing_behind(path, monkeypatch):
    monkeypatch.setattr(migrations, "MIGRATIONS", (("CREATE TABLE half (a)", "no sql at all"),))
    assert "syntax error" in refusal(path)
    assert list(path.parent.iterdir()) == []


def test_of_two_guards_that_make_the_ledger_at_once_the_first_one_counts(path, monkeypatch):
    link = Path.hardlink_to

    def second(self, target):
        monkeypatch.setattr(Path, "hardlink_to", link)
        opened(path, instance=b"the first").close()
        link(self, target)

    monkeypatch.setattr(Path, "hardlink_to", second)
    with opened(path) as ledger:
        assert ledger.instance == b"the first".hex()
    assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}.ballast"}


def test_a_new_ledger_is_not_made_beside_the_write_ahead_log_of_a_lost_one(path):
    left = path.with_name(f"{path.name}-wal")
    left.write_bytes(b"committed, but not yet in the ledger")
    assert f"{left} is still there" in refusal(path)
    assert left.read_bytes() == b"committed, but not yet in the ledger"
    assert not path.exists()


# --- whose


def test_a_ledger_of_another_xo_is_refused_with_both_names(path):
    opened(path).close()
    told = refusal(path, xo="https://other.example")
    assert XO in told
    assert "https://other.example" in told


def test_a_ledger_that_no_longer_knows_whose_it_is_is_damaged(path):
    opened(path).close()
    with raw(path) as connection:
        connection.execute("DELETE FROM identity WHERE name = 'instance'")
    assert "is damaged (whose it is is missing)" in refusal(path)


def test_another_program_s_database_is_refused(path):
    with raw(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    assert "no ledger of guard's" in refusal(path)
    assert path.read_bytes() == before


def test_a_ledger_of_a_newer_guard_is_refused(path):
    opened(path).close()
    with raw(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert f"its format is 99, this guard knows {len(migrations.MIGRATIONS)} at most" in refusal(path)


# --- whether it is whole


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, b"<html>", b"SQLite format 3\0"])
def test_a_file_that_is_no_database_is_refused_and_kept(path, content):
    path.write_bytes(content)
    assert "is damaged" in refusal(path) or "no ledger of guard's" in refusal(path)
    assert path.read_bytes() == content


def test_a_ledger_cut_in_half_is_refused_with_what_to_do_and_kept(path):
    fill(path)
    half = path.read_bytes()[: path.stat().st_size // 16384 * 8192]
    path.write_bytes(half)
    told = refusal(path)
    for words in ("is damaged", "move it away", f"{path.name}-wal", "put a copy in its place", "starts anew"):
        assert words in told
    assert path.read_bytes() == half


def test_damage_anywhere_is_refused_or_harmless_or_told_when_it_is_read_and_never_a_crash(path):
    fill(path)
    whole, good = path.read_bytes(), read_all(path)
    chance, refused, harmless = random.Random(11), 0, 0
    for _ in range(300):
        at, length = chance.randrange(len(whole)), chance.choice([1, 2, 16, 512, 4096])
        bad = bytearray(whole)
        bad[at : at + length] = chance.randbytes(len(bad[at : at + length]))
        path.write_bytes(bad)
        try:
            found = read_all(path)
        except LedgerError:
            refused += 1
        else:
            harmless += found == good
        for side in ("-wal", "-shm"):
            path.with_name(f"{path.name}{side}").unlink(missing_ok=True)
    print(f"300 ledgers damaged at random: {refused} refused, {harmless} harmless")
    assert refused > 100


@pytest.mark.parametrize("change", ["DELETE FROM due_run WHERE due > 1773000000000", "DELETE FROM event WHERE seq = 3"])
def test_a_ledger_whose_tables_are_at_odds_is_damaged(path, change):
    fill(path, runs=10)
    with raw(path) as connection:
        connection.execute(change)
    assert "is damaged (events are missing)" in refusal(path)


@pytest.mark.parametrize("version", [0, -1])
def test_a_ledger_with_a_format_that_never_was_is_damaged(path, version):
    opened(path).close()
    with raw(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    assert f"its format is {version}" in refusal(path)


def test_a_sqlite_without_strict_tables_is_refused_before_anything_is_made(path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    assert "needs 3.37 or later" in refusal(path)
    assert list(path.parent.iterdir()) == []


def test_text_that_is_none_in_a_damaged_ledger_is_told_short_and_without_its_bytes(path):
    fill(path, runs=3)
    with raw(path) as connection:
        connection.execute("UPDATE event SET body = CAST(x'7b22ff1b5b41' AS TEXT) WHERE seq = 1")
        connection.execute("INSERT INTO mark VALUES (CAST(x'1b5bff' || zeroblob(100000) AS TEXT), 1)")
    with opened(path) as ledger:
        with pytest.raises(LedgerError, match="holds an event of the due run nightly 2026-03-02T01:30:00Z that"):
            asyncio.run(ledger.load(KEY))
        with pytest.raises(LedgerError, match="is damaged") as caught:
            asyncio.run(ledger.processed_through())
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800


def test_damage_that_appears_while_guard_runs_is_told_like_at_the_start(path):
    fill(path)
    with opened(path) as ledger:
        bad = bytearray(path.read_bytes())
        bad[8192:] = b"\xff" * (len(bad) - 8192)
        path.write_bytes(bad)
        ledger._store.rows("PRAGMA shrink_memory")  # or it answers from memory
        with pytest.raises(LedgerError, match="is damaged"):
            asyncio.run(ledger.between(DUE, DUE + timedelta(days=1000)))


def test_a_write_ahead_log_cut_anywhere_leaves_whole_appends_and_loses_only_the_last_ones(path, tmp_path):
    chance, kept = random.Random(12), set()
    with opened(path) as ledger:
        for number in range(12):
            asyncio.run(ledger.append(day(number), 0, seen(), decided(3), ended()))
        main, log = path.read_bytes(), path.with_name(f"{path.name}-wal").read_bytes()
    for cut in sorted(chance.sample(range(len(log)), 60)):
        copy = tmp_path / f"cut-{cut}.db"
        copy.write_bytes(main)
        copy.with_name(f"{copy.name}-wal").write_bytes(log[:cut])
        runs, still_open = read_all(copy)
        assert list(runs) == [day(number) for number in range(len(runs))]
        assert all(events == (seen(), decided(3), ended()) for events in runs.values())
        assert still_open == ()
        kept.add(len(runs))
    assert {0, 11} <= kept


# --- how old


def old(path):
    with raw(path) as connection:
        connection.executescript(VERSION_1.read_text())


@awaited
async def test_a_ledger_of_version_1_still_opens_and_tells_the_same_story(path):
    old(path)
    with opened(path) as ledger:
        assert ledger._store.rows("PRAGMA user_version") == [(len(migrations.MIGRATIONS),)]
        story = await ledger.between(DUE, DUE + timedelta(days=10))
        kinds = [" ".join(type(event).__name__ for event in events) for events in story.values()]
        assert kinds == ["Seen Decided Started Alarmed AttemptEnded Ended", "Seen Ended", "Seen Decided"]
        assert await ledger.open_runs() == (day(2, via="seq-1"),)
        assert await ledger.processed_through() == {"nightly": day(2).due}
        assert await ledger.recall("loop") == b'{"at":"2026-03-04T01:30:00Z"}'
        assert await ledger.outbox(dict).waiting() == 1
        await ledger.append(day(2, via="seq-1"), 2, ended())


@awaited
async def test_migrations_run_in_order_once_and_whole(path, monkeypatch):
    old(path)
    known = len(migrations.MIGRATIONS)
    later = (("ALTER TABLE mark ADD COLUMN why TEXT",), ("UPDATE mark SET why = 'moved'",))
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, *later))
    monkeypatch.setattr(files, "MIGRATIONS", migrations.MIGRATIONS)
    for _ in range(2):
        with opened(path) as ledger:
            assert ledger._store.rows("PRAGMA user_version") == [(known + 2,)]
            assert ledger._store.rows("SELECT why FROM mark") == [("moved",)]


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(path, monkeypatch):
    old(path)
    broken = ("ALTER TABLE mark ADD COLUMN why TEXT", "UPDATE no_such_table SET a = 1")
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, broken))
        assert "no such table: no_such_table" in refusal(path)
    with opened(path) as ledger:
        assert ledger._store.rows("SELECT * FROM mark") == [("nightly", 1772587800000)]


def test_a_migration_another_process_did_meanwhile_is_not_done_twice(path, monkeypatch):
    old(path)
    known = len(migrations.MIGRATIONS)
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, ("ALTER TABLE mark ADD COLUMN why TEXT",)))

    class Slow(sqlite3.Connection):
        def execute(self, sql, *values):
            if sql == "BEGIN IMMEDIATE":
                with raw(path) as other:
                    migrations.migrate(other)
            return super().execute(sql, *values)

    connection = sqlite3.connect(path, factory=Slow, isolation_level=None)
    migrations.migrate(connection)
    assert migrations.version(connection) == known + 1
    connection.close()


# --- who may get at it


def test_a_ledger_that_was_put_back_for_all_to_read_is_made_private_again(path):
    opened(path).close()
    path.chmod(0o644)
    with opened(path) as ledger:
        asyncio.run(ledger.append(KEY, 0, seen()))
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}


def test_looking_at_a_ledger_changes_no_mode(path):
    opened(path).close()
    path.chmod(0o640)
    read_ledger(path, xo=XO, clock=lambda: DUE).close()
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("mode", [0o700, 0o500])
def test_a_state_folder_for_guard_alone_is_no_trouble(tmp_path, mode):
    tmp_path.chmod(mode)
    assert files.folder_troubles(tmp_path, os.geteuid()) == ()
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711, 0o701])
def test_a_state_folder_that_others_may_look_into_is_told_with_what_to_run(tmp_path, mode):
    tmp_path.chmod(mode)
    (told,) = files.folder_troubles(tmp_path, os.geteuid())
    assert told == f"others may look into {tmp_path} (mode {mode:o}): run chmod 700 {tmp_path}"


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_state_folder_that_others_may_write_to_is_told_with_what_they_could_do(tmp_path, mode):
    tmp_path.chmod(mode)
    (told,) = files.folder_troubles(tmp_path)
    assert told.startswith(
        f"others may write to {tmp_path} (mode {mode:o}), and could put another ledger into the place"
    )
    assert told.endswith(f"run chmod 700 {tmp_path}")


def test_a_state_folder_of_another_user_is_told(tmp_path):
    (told,) = files.folder_troubles(tmp_path, os.geteuid() + 1)
    assert told.startswith(f"{tmp_path} belongs to user {os.geteuid()} and guard runs as user {os.geteuid() + 1}")


def test_a_state_folder_that_is_missing_is_not_told_twice(tmp_path):
    assert files.folder_troubles(tmp_path / "nowhere", os.geteuid()) == ()
