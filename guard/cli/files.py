"""Reading and writing files: bounded, whole or not at all, and never anything but a regular file."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


def read_bounded(path: str, limit: int) -> bytes:
    """The content of a file or pipe of at most ``limit`` bytes. Raises OSError, ValueError for a larger one."""
    with Path(path).open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"is larger than {limit // 1024**2} MiB")
    return content


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
