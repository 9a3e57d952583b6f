"""The daemon's log over real sockets: the journal, what becomes of it without one, JSON and plain lines."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import tempfile
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from guard.daemon.log import Log, LoggedNews
from guard.estate.workaround import OwnFile, State
from guard.finding import Scope, ScopeKind
from guard.lifecycle.loop import SwitchedOff
from guard.lifecycle.remedy import Remedy, RemedyKind
from guard.views.log import PIECE, Line, Priority
from tests.builders import DUE
from tests.lifecycle.stories import alarmed, seen, story
from tests.views.journal import parse

LINE = Line(message="all well", event="ended", schedule="s", codes=("A", "B"))


@pytest.fixture
def journal(tmp_path):
    """A journald's ear, and what it hears next."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "journal"))
        ear.settimeout(5)
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        yield ear


def heard(ear):
    return parse(ear.recv(16 * 1024 * 1024))


def log(form, stderr, journal=None, env=None):
    path = journal.getsockname() if journal is not None else "/nowhere/journal"
    return Log(form, stderr, env or {}, clock=lambda: DUE, journal=path)


def test_a_line_arrives_in_the_journal_with_its_fields(journal):
    stderr = io.StringIO()
    log("journal", stderr, journal).line(LINE)
    assert heard(journal) == [
        ("MESSAGE", "all well"),
        ("PRIORITY", "5"),
        ("SYSLOG_IDENTIFIER", "guard"),
        ("GUARD_EVENT", "ended"),
        ("GUARD_SCHEDULE", "s"),
        ("GUARD_CODE", "A"),
        ("GUARD_CODE", "B"),
    ]
    assert stderr.getvalue() == ""


def test_a_text_of_the_daemon_keeps_its_lines_and_a_warning_is_one(journal):
    told = log("journal", io.StringIO(), journal)
    told("the policy stays as it was: a\nb")
    told("warning: [xo] verify = false")
    first, second = dict(heard(journal)), dict(heard(journal))
    assert (first["MESSAGE"], first["PRIORITY"]) == ("the policy stays as it was: a\nb", "5")
    assert second["PRIORITY"] == str(Priority.WARNING.value)


def test_a_line_too_long_for_one_datagram_goes_in_pieces_and_is_not_lost(journal, monkeypatch):
    monkeypatch.setattr("guard.daemon.log.SEND_BUFFER_BYTES", 128 * 1024)
    text = "x" * 60 * PIECE
    writing = threading.Thread(
        target=log("journal", io.StringIO(), journal).line, args=[Line(message=text, schedule="s")]
    )
    writing.start()
    told = []
    while sum(len(one["MESSAGE"]) for one in told) < len(text):
        told.append(dict(heard(journal)))
    writing.join()
    assert "".join(one["MESSAGE"] for one in told) == text
    assert {one["GUARD_SCHEDULE"] for one in told} == {"s"}
    assert len(told) == 60


def test_without_a_journal_a_line_goes_to_stderr():
    stderr = io.StringIO()
    log("journal", stderr).line(LINE)
    assert stderr.getvalue() == "guard: all well\n"


def test_a_journal_that_went_away_or_takes_nothing_more_is_no_error(journal, monkeypatch):
    monkeypatch.setattr("guard.daemon.log.WAIT_S", 0.01)
    stderr = io.StringIO()
    told = log("journal", stderr, journal)
    for _ in range(5000):
        told.line(LINE)
        if stderr.getvalue():
            break
    assert stderr.getvalue() == "guard: all well\n"
    journal.close()
    told.line(LINE)
    assert stderr.getvalue() == "guard: all well\n" * 2


@pytest.fixture
def deaf(monkeypatch):
    """A stderr whose reader reads nothing, and that reader."""
    monkeypatch.setattr("guard.daemon.log.WAIT_S", 0.2)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    theirs.setblocking(False)
    with ours, theirs, ours.makefile("w", encoding="utf-8") as stderr:
        yield stderr, theirs


def unread(theirs):
    found = b""
    while True:
        try:
            found += theirs.recv(1024 * 1024)
        except BlockingIOError:
            return found.decode()


def test_a_journal_and_a_stderr_that_nobody_reads_hold_nothing_up(journal, deaf):
    told = log("journal", deaf[0], journal)
    telling = threading.Thread(target=lambda: [told.line(LINE) for _ in range(2000)], daemon=True)
    telling.start()
    telling.join(30)
    assert not telling.is_alive()
    assert unread(deaf[1]).startswith("guard: all well\n" * 2)


def test_a_line_that_was_cut_for_a_reader_who_stopped_does_not_run_into_the_next_one(deaf):
    stderr, theirs = deaf
    told = log("plain", stderr)
    told("x" * 1_000_000)
    told("lost")
    cut = unread(theirs)
    assert cut.startswith("guard: xxx")
    assert set(cut[7:]) == {"x"}
    told("the next")
    assert unread(theirs) == "\nguard: the next\n"


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_stderr_that_is_closed_or_full_is_no_error():
    closed = io.StringIO()
    closed.close()
    log("plain", closed)("lost")
    log("plain", Full())("lost")


@pytest.mark.parametrize("form", ["auto", "plain"])
def test_on_a_terminal_lines_are_plain(form):
    stderr = io.StringIO()
    log(form, stderr)("two\nlines")
    assert stderr.getvalue() == "guard: two; lines\n"


def test_json_is_one_object_per_line_with_the_time_of_the_clock():
    stderr = io.StringIO()
    told = log("json", stderr)
    told.line(LINE)
    told("hello\nthere")
    first, second = map(json.loads, stderr.getvalue().splitlines())
    assert (first["schema"], first["ts"], first["code"]) == ("guard.log/1", "2026-11-25T00:00:00Z", "A")
    assert (second["message"], second["event"]) == ("hello\nthere", "guard")


@pytest.mark.parametrize("shift", [0, 1], ids=["the journal's stream", "another stream"])
def test_the_journal_is_used_where_stderr_leads_there(journal, shift):
    with tempfile.TemporaryFile("w+") as stream:
        found = os.fstat(stream.fileno())
        env = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + shift}"}
        log("auto", stream, journal, env)("hello")
        stream.seek(0)
        if shift:
            assert stream.read() == "guard: hello\n"
        else:
            assert stream.read() == ""
            assert dict(heard(journal))["MESSAGE"] == "hello"


# --- who writes into it


class Heard:
    """A Teller that notes which of its methods were called."""

    def __init__(self, lines):
        self.calls, self._lines = [], lines

    def __getattr__(self, name):
        async def called(*_, **__):
            self.calls.append((name, len(self._lines)))

        return called


def test_everything_is_logged_before_it_is_told_and_told_unchanged():
    lines = []
    news = Heard(lines)
    logged = LoggedNews(news, lines.append)
    run = story(seen(), alarmed())
    remedy = Remedy(kind=RemedyKind.RESCAN, scope=Scope(ScopeKind.SR, "sr", "local"), at=DUE, reason="It stands.")
    own = OwnFile(state="intact", value_ms=1_800_000, until=DUE, reason="vm timed out.")
    state = State(folder="/etc/xo-server", looked_at=DUE, own=own)

    async def happen():
        await logged.happened(run, alarmed())
        await logged.switched_off(SwitchedOff(schedule="s", name="nightly", at=DUE))
        await logged.stands_aside("no admin", at=DUE)
        await logged.acts_again("no admin", at=DUE)
        await logged.remedied(remedy)
        await logged.stands(state, at=DUE)
        await logged.unread("no XO", since=DUE, at=DUE)
        await logged.read_again(since=DUE, last=DUE, at=DUE, due=[run])
        await logged.clocks(timedelta(), at=DUE)
        await logged.looked()

    asyncio.run(happen())
    told = ["happened", "switched_off", "stands_aside", "acts_again", "remedied", "stands"]
    told += ["unread", "read_again", "clocks", "looked"]
    assert news.calls == list(zip(told, [1, 2, 3, 4, 5, 6, 6, 6, 6, 6], strict=True))
    assert [one.event for one in lines] == [
        "alarmed",
        "switched_off",
        "stands_aside",
        "acts_again",
        "remedy_rescan",
        "workaround_stands",
    ]


def test_clocks_that_differ_are_logged_once_until_they_agree_again():
    lines = []
    logged = LoggedNews(Heard(lines), lines.append)

    async def look():
        for ahead in (0, 40, -50, 20, 10, -31):
            await logged.clocks(timedelta(seconds=ahead), at=DUE)

    asyncio.run(look())
    assert [(one.message, one.priority, one.codes) for one in lines] == [
        (f"the clocks of guard and XO differ by {by} s", Priority.WARNING, ("CLOCKS_DIFFERENT",)) for by in (40, 31)
    ]


def test_the_units_may_reach_the_journals_socket():
    for name in ("guard.service", "guard@.service"):
        unit = (Path(__file__).parents[2] / "systemd" / name).read_text()
        (families,) = [line for line in unit.splitlines() if line.startswith("RestrictAddressFamilies=")]
        assert "AF_UNIX" in families
        # what would take away /run/systemd/journal from the service
        assert not any(word in unit for word in ("\nInaccessiblePaths=", "\nRootDirectory=", "\nTemporaryFileSystem="))
