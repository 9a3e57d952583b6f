"""The root helper: one request on one connection, one write of guard's httpInactivityTimeout file, one answer.

systemd starts it for each connection to guard-workaround.socket, which only guard's user may open. It trusts nothing of what
it is told: every bound is checked again here. It imports as little as it can, and never runs anything.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from guard.errors import XoConfigBusyError, XoConfigError, XoConfigRefusedError
from guard.estate.workaround import Done
from guard.mechanics.xo_config import OWN_FILE
from guard.remedies import timeout_file
from guard.remedies.timeout_text import Wanted

MOST_BYTES = 4096
TIME_LIMIT_S = 5.0
"""For the request to come, and for the answer to go."""


class Apply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag="apply"):
    """``until``: ISO 8601 with a zone."""

    value_ms: int
    until: datetime
    reason: str


class Revert(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag="revert"):
    pass


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """``error`` None: done, or nothing was to be done. ``path``: guard's file. ``sentence`` for a person."""

    ok: bool
    path: str
    sentence: str
    action: Literal["write", "remove", "nothing"] = "nothing"
    error: Literal["request", "refused", "busy", "folder"] | None = None


def serve(connection: socket.socket, folder: Path, clock: Callable[[], datetime]) -> bool:
    """Read the one request, do it, answer. False where it was not done. Raises OSError where nobody listens any more."""
    connection.settimeout(TIME_LIMIT_S)
    answer = _answered(connection, folder, clock)
    connection.sendall(msgspec.json.encode(answer) + b"\n")
    return answer.ok


def _answered(connection: socket.socket, folder: Path, clock: Callable[[], datetime]) -> Answer:
    path = str(folder / OWN_FILE)
    try:
        request = msgspec.json.decode(_line(connection), type=Apply | Revert)
    except (ValueError, RecursionError, TimeoutError) as error:
        return Answer(ok=False, path=path, error="request", sentence=f"the request is not understood: {error}")
    try:
        done = _do(request, folder, clock(), _peer(connection))
    except XoConfigRefusedError as error:
        return Answer(ok=False, path=path, error="refused", sentence=str(error))
    except XoConfigBusyError as error:
        return Answer(ok=False, path=path, error="busy", sentence=str(error))
    except XoConfigError as error:
        return Answer(ok=False, path=path, error="folder", sentence=str(error))
    return Answer(ok=True, path=path, action=done.plan.action, sentence=done.sentence)


def _do(request: Apply | Revert, folder: Path, now: datetime, by: str) -> Done:
    if isinstance(request, Revert):
        return timeout_file.revert(folder, now)
    wanted = Wanted(value_ms=request.value_ms, until=request.until, reason=request.reason, by=by)
    return timeout_file.apply(folder, wanted, now)


def _line(connection: socket.socket) -> bytes:
    """The request, without its end. Raises ValueError for one that is too long, or has more after it."""
    received = b""
    while b"\n" not in received:
        if len(received) >= MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        more = connection.recv(MOST_BYTES - len(received))
        if not more:
            raise ValueError("it ends before its line does")
        received += more
    line, _, rest = received.partition(b"\n")
    if rest:
        raise ValueError("there is something after its line")
    return line


def _peer(connection: socket.socket) -> str:
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return f"user {uid}, through guard-workaround-helper"


def run(arguments: list[str], clock: Callable[[], datetime]) -> int:
    """The program: ``arguments`` is the folder alone, the connection is its standard input (systemd, Accept=yes)."""
    if len(arguments) != 1 or not Path(arguments[0]).is_absolute():
        return _complain("usage: guard-workaround-helper FOLDER, with a connection as its standard input")
    if not stat.S_ISSOCK(os.fstat(0).st_mode):
        return _complain("standard input is no connection: systemd starts this program, for guard-workaround.socket")
    with socket.socket(fileno=os.dup(0)) as connection:
        try:
            return 0 if serve(connection, Path(arguments[0]), clock) else 2
        except OSError as error:
            return _complain(f"the answer could not be given ({error.strerror or type(error).__name__})")


def _complain(text: str) -> int:
    os.write(2, f"guard-workaround-helper: {text}\n".encode())
    return 1
