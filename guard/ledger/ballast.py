"""A file that only takes up room, given back when the disk is full, so that guard can still write down what it does."""

from __future__ import annotations

import os
from pathlib import Path

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def beside(ledger: Path) -> Path:
    """Where a ledger's ballast lies."""
    return ledger.with_name(f"{ledger.name}.ballast")


def is_set_aside(ledger: Path) -> bool:
    """Whether a ledger has its ballast, for who only looks at it. True where that cannot be seen: opening the ledger tells."""
    try:
        return beside(ledger).lstat().st_blocks > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True


class Ballast:
    """``size`` bytes beside the ledger. ``held`` tells whether they are set aside at the moment."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self.held = False

    def adopt(self) -> None:
        """Take over what an earlier life of guard's set aside: the disk may be full already when guard starts."""
        try:
            self.held = self._path.lstat().st_blocks * 512 >= self._size
        except OSError:
            self.held = False

    def free(self) -> bool:
        """Give the room back to the disk; False when there was none to give."""
        if not self.held:
            return False
        self.held = False
        try:
            os.truncate(self._path, 0)
        except OSError:  # somebody took the file away: its room is free already
            return False
        return True

    def restore(self) -> bool:
        """Set the room aside, where there is twice as much of it: else the ledger would be short of room at once.

        Never raises: without a ballast guard works on, and ``held`` tells.
        """
        try:
            descriptor = os.open(self._path, _FLAGS, 0o600)
        except OSError:
            return False
        try:
            self.held = self._fill(descriptor)
        except OSError:
            os.truncate(descriptor, 0)
        finally:
            os.close(descriptor)
        return self.held

    def _fill(self, descriptor: int) -> bool:
        missing = self._size - os.fstat(descriptor).st_blocks * 512
        disk = os.fstatvfs(descriptor)
        if missing > 0 and disk.f_bavail * disk.f_frsize < missing + self._size:
            return False
        os.posix_fallocate(descriptor, 0, self._size)
        os.fsync(descriptor)
        return True
