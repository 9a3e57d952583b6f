"""Reading and writing files: bounded, whole or not at all, and never anything but a regular file."""

from __future__ import annotations

import os
import select
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

SILENCE_S = 60.0  # whoever writes may first have to ask for a password
_PIECE_BYTES = 1024 * 1024


def read_bounded(path: str, limit: int) -> bytes:
    """The content of a file or pipe of at most ``limit`` bytes. Raises OSError, ValueError for a larger one.

    A pipe into which nobody writes for ``SILENCE_S`` seconds is an error: opening one as it is would wait for ever.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        told = os.fstat(handle)
        if stat.S_ISREG(told.st_mode) and told.st_size > limit:
            raise ValueError(_larger(limit))
        coming = select.poll()
        coming.register(handle, select.POLLIN)
        content = bytearray()
        while len(content) <= limit:
            if not coming.poll(SILENCE_S * 1000):
                raise OSError(f"nothing came out of this pipe for {SILENCE_S:g} s")
            piece = os.read(handle, min(_PIECE_BYTES, limit + 1 - len(content)))
            if not piece:
                return bytes(content)
            content += piece
    finally:
        os.close(handle)
    raise ValueError(_larger(limit))


def _larger(limit: int) -> str:
    return f"is larger than {limit // 1024**2} MiB"


def check_target(path: str) -> Path:
    """Where to write: links followed, a folder that exists, and nothing there but a regular file. Raises OSError."""
    target = Path(path).resolve()
    if not path or target.is_dir():
        raise IsADirectoryError("a file name is expected")
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        raise OSError("this is a device or a pipe; a regular file is expected")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent}")
    return target


def write_whole(target: Path, content: bytes) -> None:
    """Replace a file, for its owner's eyes only: a full disk leaves the old one as it was. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".guard-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
