"""Where the daemon's log goes: systemd's journal with fields, or stderr as JSON or plain lines; and who writes into it.

Logging never fails and never stops the work: what the journal does not take goes to stderr, and what stderr does not take
is lost. Both are waited for once; from then on, until they take something again, not at all: due times do not wait for a
journal that hangs, nor for whoever should read stderr.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal, TextIO

from guard.daemon.news import CLOCKS_AGREE
from guard.estate.workaround import State
from guard.gate.ports import Teller
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import AnyEvent
from guard.lifecycle.loop import CLOCKS_DIFFER, SwitchedOff
from guard.lifecycle.remedy import Remedy
from guard.outcomes.alarms import CLOCKS_DIFFERENT
from guard.units import format_duration
from guard.views.log import (
    Line,
    Priority,
    as_json,
    datagram,
    line_of,
    line_of_remedy,
    line_of_switched_off,
    pieces,
    plain,
)
from guard.views.remedies import standing_sentence

JOURNAL = "/run/systemd/journal/socket"
SEND_BUFFER_BYTES = 8 * 1024 * 1024  # as far as the system lets it grow: a line is one datagram
WAIT_S = 1.0  # for a journal or a stderr that is busy
AT_ONCE = select.PIPE_BUF // 16  # characters of 10 bytes at most: a stream that is ready takes them without a wait
Form = Literal["auto", "journal", "json", "plain"]


class Log:
    """Takes plain texts when called, and lines with fields. Raises nothing.

    ``auto``: the journal where ``stderr`` is connected to it, else plain. ``journal``: the path of journald's socket.
    """

    def __init__(
        self,
        form: Form,
        stderr: TextIO,
        env: Mapping[str, str],
        *,
        clock: Callable[[], datetime],
        journal: str = JOURNAL,
    ) -> None:
        if form == "auto":
            form = "journal" if _is_journal(stderr, env) else "plain"
        self._form, self._stderr, self._clock, self._journal = form, stderr, clock, journal
        self._journal_takes = self._stderr_takes = True
        self._is_cut = False

    def __call__(self, text: str) -> None:
        """A text of the daemon itself; it may have several lines."""
        priority = Priority.WARNING if text.startswith("warning:") else Priority.NOTICE
        self.line(Line(message=text, priority=priority, event="guard"))

    def line(self, line: Line) -> None:
        if self._form == "journal" and self._sent(line):
            return
        text = as_json(line, self._clock()) if self._form == "json" else plain(line)
        with suppress(OSError, ValueError):  # a stream that was closed raises ValueError
            self._write(text)

    def _write(self, text: str) -> None:
        """Raises OSError, ValueError. A line that was cut is ended before the next one."""
        text = "\n" + text if self._is_cut else text
        for start in range(0, len(text), AT_ONCE):
            self._stderr_takes = self._is_ready(WAIT_S if self._stderr_takes else 0)
            if not self._stderr_takes:
                self._is_cut = self._is_cut or start > 0
                return
            self._stderr.write(text[start : start + AT_ONCE])
            self._stderr.flush()
        self._is_cut = False

    def _is_ready(self, wait_s: float) -> bool:
        """Whether stderr takes something now; one that is no file of the system, or closed, waits for nobody."""
        try:
            number = self._stderr.fileno()
        except (OSError, ValueError):
            return True
        poll = select.poll()
        poll.register(number, select.POLLOUT)
        return bool(poll.poll(wait_s * 1000))

    def _sent(self, line: Line) -> bool:
        """Whether the journal took it; what is too long for one datagram goes in pieces."""
        self._journal_takes = self._send(line, WAIT_S if self._journal_takes else 0)
        return self._journal_takes

    def _send(self, line: Line, wait_s: float) -> bool:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as ear:
                ear.settimeout(wait_s)
                ear.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
                ear.connect(self._journal)
                try:
                    ear.send(datagram(line))
                except OSError as error:
                    if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                        raise
                    for piece in pieces(line):
                        ear.send(datagram(piece))
        except OSError:
            return False
        return True


def _is_journal(stderr: TextIO, env: Mapping[str, str]) -> bool:
    """systemd names device and inode of the stream it connected to the journal (systemd.exec(5), $JOURNAL_STREAM)."""
    try:
        found = os.fstat(stderr.fileno())
    except (OSError, ValueError):
        return False
    return env.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class LoggedNews:
    """The gate's Teller: everything is logged, then told. What News decides to tell nobody is in the log all the same."""

    def __init__(self, news: Teller, log: Callable[[Line], None]) -> None:
        self._news, self._log = news, log
        self._clocks_differ = False

    async def happened(self, run: DueRun, event: AnyEvent) -> None:
        self._log(line_of(run, event))
        await self._news.happened(run, event)

    async def switched_off(self, off: SwitchedOff) -> None:
        self._log(line_of_switched_off(off))
        await self._news.switched_off(off)

    async def unread(self, error: str, *, since: datetime, at: datetime) -> None:
        """Asked at every look; the daemon's loop logs it once."""
        await self._news.unread(error, since=since, at=at)

    async def read_again(self, *, since: datetime, last: datetime, at: datetime, due: Sequence[DueRun]) -> None:
        """The daemon's loop logs it."""
        await self._news.read_again(since=since, last=last, at=at, due=due)

    async def clocks(self, ahead: timedelta, *, at: datetime) -> None:
        """Asked at every look; logged and told when they differ."""
        differ = abs(ahead) >= (CLOCKS_AGREE if self._clocks_differ else CLOCKS_DIFFER)
        if differ and not self._clocks_differ:
            text = f"the clocks of guard and XO differ by {format_duration(abs(ahead).total_seconds())}"
            self._log(Line(message=text, priority=Priority.WARNING, event="clocks", codes=(CLOCKS_DIFFERENT.id,)))
        self._clocks_differ = differ
        await self._news.clocks(ahead, at=at)

    async def stands_aside(self, reason: str, *, at: datetime) -> None:
        self._log(
            Line(message=f"guard leaves every start to XO: {reason}", priority=Priority.WARNING, event="stands_aside")
        )
        await self._news.stands_aside(reason, at=at)

    async def acts_again(self, reason: str, *, at: datetime) -> None:
        self._log(Line(message=f"guard acts again; what kept it from that is over: {reason}", event="acts_again"))
        await self._news.acts_again(reason, at=at)

    async def remedied(self, remedy: Remedy) -> None:
        self._log(line_of_remedy(remedy))
        await self._news.remedied(remedy)

    async def stands(self, state: State, *, at: datetime) -> None:
        self._log(Line(message=standing_sentence(state, UTC), event="workaround_stands"))
        await self._news.stands(state, at=at)

    async def looked(self) -> None:
        await self._news.looked()
