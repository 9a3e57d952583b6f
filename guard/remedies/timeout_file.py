"""Guard's httpInactivityTimeout file: written and removed, whole or not at all.

The new text is written under a name that XO does not read, brought to the disk, and renamed: XO, which reads the folder anew
within a second, never sees half a file, and a broken one would keep it from starting (xo-api.md 7). A lock on the folder
keeps two guards apart. Nothing here says "in force": no interface of XO's shows the value it has loaded.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from guard.errors import XoConfigBusyError, XoConfigError, XoConfigRefusedError
from guard.estate.workaround import Done, Plan
from guard.mechanics.xo_config import OWN_FILE
from guard.remedies.timeout_plan import plan_apply, plan_revert
from guard.remedies.timeout_text import MOST_MS, Wanted
from guard.remedies.xo_folder import Looked, because, look_in, opened, read_own

TEMPORARY = f".{OWN_FILE}.new"
_MODE = 0o644
_MOST_COPIES = 100


def apply(folder: Path, wanted: Wanted, now: datetime, *, most_ms: int = MOST_MS, adopt: bool = False) -> Done:
    """Write the file, or see that it is not needed. Blocks for the time of a few fsync.

    Raises XoConfigRefusedError, XoConfigBusyError, and XoConfigError for what the file system refuses.
    """
    with _locked(folder) as descriptor:
        before = look_in(descriptor, folder, now)
        return _carry_out(descriptor, folder, before, plan_apply(before, wanted, now, most_ms=most_ms, adopt=adopt))


def revert(folder: Path, now: datetime) -> Done:
    """Remove the file where it is as guard wrote it. Raises as ``apply``."""
    with _locked(folder) as descriptor:
        before = look_in(descriptor, folder, now)
        return _carry_out(descriptor, folder, before, plan_revert(before))


def _carry_out(descriptor: int, folder: Path, before: Looked, plan: Plan) -> Done:
    if plan.action == "nothing":
        return Done(plan=plan, sentence=plan.sentence, before=before.state, after=before.state)
    sentence = plan.sentence
    if plan.action == "write":
        assert plan.text is not None  # noqa: S101  to write is to write something
        _write(descriptor, folder, plan.text)
        sentence += " File verified."
    else:
        _remove(descriptor, folder)
    if plan.moved:
        with _told(folder, f"{OWN_FILE} is written; {plan.moved[0]} could not be moved away"):
            kept = _put_aside(descriptor, *plan.moved)
        sentence = sentence.replace(plan.moved[1], kept)
    after = look_in(descriptor, folder, before.state.looked_at)
    return Done(plan=plan, sentence=sentence, before=before.state, after=after.state)


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    with opened(folder) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise XoConfigBusyError(f"{folder}: another guard works there at this moment; try again") from None
        except OSError as error:
            raise XoConfigError(f"{folder}: cannot be locked ({because(error)})") from error
        yield descriptor


@contextmanager
def _told(folder: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise XoConfigError(f"{folder}: {what}: {because(error)}") from error


def _write(descriptor: int, folder: Path, text: str) -> None:
    content = text.encode()
    with _told(folder, f"{OWN_FILE} could not be written, nothing was changed"):
        _clear_temporary(descriptor, folder)
        try:
            _write_temporary(descriptor, content)
            os.rename(TEMPORARY, OWN_FILE, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        except BaseException:
            with suppress(OSError):
                os.unlink(TEMPORARY, dir_fd=descriptor)
            raise
    with _told(folder, f"{OWN_FILE} is written, and may be gone after a power loss"):
        os.fsync(descriptor)
    _verify(descriptor, folder, text)


def _clear_temporary(descriptor: int, folder: Path) -> None:
    """What a guard that was killed left behind; never what somebody else put there under that name."""
    with suppress(FileNotFoundError):
        found = os.stat(TEMPORARY, dir_fd=descriptor, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise XoConfigRefusedError(
                f"{folder}/{TEMPORARY}: is no plain file, so it is not guard's; guard writes nothing until it is gone"
            )
        os.unlink(TEMPORARY, dir_fd=descriptor)


def _write_temporary(descriptor: int, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(TEMPORARY, flags, _MODE, dir_fd=descriptor)
    try:
        os.fchmod(file, _MODE)  # whatever the umask: XO may run as another user
        left = memoryview(content)
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    finally:
        os.close(file)


def _verify(descriptor: int, folder: Path, text: str) -> None:
    with suppress(ValueError, OSError):
        if read_own(descriptor) == text:
            return
    raise XoConfigBusyError(
        f"{folder}/{OWN_FILE}: was changed by somebody else in the moment it was written; look at it"
    )


def _remove(descriptor: int, folder: Path) -> None:
    with _told(folder, f"{OWN_FILE} could not be removed"):
        with suppress(FileNotFoundError):
            os.unlink(OWN_FILE, dir_fd=descriptor)
        os.fsync(descriptor)


def _put_aside(descriptor: int, name: str, kept_as: str) -> str:
    """Rename without ever replacing a file. Returns the name it has now."""
    for count in range(1, _MOST_COPIES):
        kept = kept_as if count == 1 else f"{kept_as}.{count}"
        with suppress(FileExistsError):
            os.link(name, kept, src_dir_fd=descriptor, dst_dir_fd=descriptor, follow_symlinks=False)
            os.unlink(name, dir_fd=descriptor)
            os.fsync(descriptor)
            return kept
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), kept_as)
