"""What is on the backup repositories: archives, the room they take, the locks of VMs (failure-modes.md 3.8, 3.11, 9.2).

Bytes everywhere. The figures are those of ``remote.getAllInfo``; an object store has none and is never full.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from guard.simulator.log_tasks import failing
from guard.simulator.shapes import XoObject

if TYPE_CHECKING:
    from guard.simulator.live import Live

LOCK_STAYS = timedelta(seconds=30)
"""A cut export leaves the lock: refused until +28 s, good again at +33 s (observed-on-real-xo.md)."""
NO_SPACE = failing("Error", "ENOSPC: no space left on device, write", errno=-28, code="ENOSPC", syscall="write")
IO_ERROR = failing("Error", "EIO: i/o error, write", errno=-5, code="EIO", syscall="write")
MERGE_RATE = 200 * 1024**2
"""Bytes/s at which a removed delta is merged into its child."""


class RepositoryFullError(Exception):
    """Nothing more can be written."""


@dataclass
class Archive:
    """One backup of one VM. ``snapshot``: id of the VM snapshot it was made from; ``disks``: those of that snapshot's VDIs."""

    vm_id: str
    job_id: str
    schedule_id: str
    snapshot: str
    size: int
    is_full: bool
    at: datetime
    disks: tuple[str, ...] = ()


class Shelf:
    """One backup repository."""

    def __init__(self, live: Live, record: XoObject) -> None:
        self._live = live
        self.record = record
        self.archives: list[Archive] = []
        self.lacks: set[str] = set()
        """Ids of VM snapshots whose archive is not here, so that they are no base for this repository."""
        self.files: list[str] = []
        """What tests of the repository could not delete again."""
        self._failed_test: XoObject | None = None
        self._locks: dict[str, datetime | None] = {}
        self._litter: dict[str, int] = {}

    # --- whether it works

    @property
    def error(self) -> XoObject | str | None:
        """Why nothing can be opened here. The error that a failed test left in XO's record keeps nobody from trying."""
        found: XoObject | str | None = self.record.get("error")
        return None if found is self._failed_test else found

    def note_failed_test(self, error: XoObject) -> None:
        """What ``remote.test`` leaves in XO's record until a test goes well."""
        self._failed_test = self.record["error"] = error

    def is_immutable(self) -> bool:
        """Whether what is written here cannot be deleted: it holds a backup that is protected so."""
        return any(one.get("isImmutable") for one in self._live.world.archives.get(self.record["id"], []))

    # --- room

    def take(self, amount: int) -> None:
        """Write ``amount`` bytes. Raises RepositoryFullError with the repository filled to the last byte."""
        info = self._live.world.repository_info.get(self.record["id"], {})
        if "available" not in info:
            return
        written = min(amount, info["available"])
        info["available"] -= written
        info["used"] += written
        if written < amount:
            raise RepositoryFullError

    def free(self, amount: int) -> None:
        info = self._live.world.repository_info.get(self.record["id"], {})
        if "available" in info:
            freed = min(amount, info["used"])
            info["available"] += freed
            info["used"] -= freed

    # --- locks

    def lock(self, vm_id: str) -> bool:
        """Take the lock of a VM's folder; False when somebody holds it. Nothing is locked on object stores."""
        if str(self.record["url"]).startswith(("s3", "azu")):
            return True
        if vm_id in self._locks:
            until = self._locks[vm_id]
            if until is None or until > self._live.now():
                return False
        self._locks[vm_id] = None
        return True

    def unlock(self, vm_id: str) -> None:
        self._locks.pop(vm_id, None)

    def leak_lock(self, vm_id: str) -> None:
        """The worker forgets to unlock after a failed transfer; the lock goes stale by itself."""
        if vm_id in self._locks:
            self._locks[vm_id] = self._live.now() + LOCK_STAYS

    def forget_locks(self) -> None:
        """The process that held them is gone: they go stale."""
        for vm_id in self._locks:
            self.leak_lock(vm_id)

    def lock_error(self, vm_id: str) -> XoObject:
        path = str(self.record["url"]).partition("://")[2]
        file = f"{path}/xo-vm-backups/{vm_id}"
        return failing("Error", "Lock file is already being held", code="ELOCKED", file=file)

    # --- archives

    def leave_litter(self, vm_id: str, amount: int) -> None:
        """What a failed transfer wrote stays until the next run cleans the VM's folder."""
        self._litter[vm_id] = self._litter.get(vm_id, 0) + amount

    def clean(self, vm_id: str) -> None:
        self.free(self._litter.pop(vm_id, 0))

    def has_base(self, snapshot: str) -> bool:
        """Whether the archive of a snapshot is there. Snapshots from before the world came alive are taken to be."""
        return snapshot not in self.lacks

    def apply_retention(self, archive: Archive, keep: int) -> bool:
        """Remove what is beyond ``keep`` archives of this VM, job and schedule; True when a merge follows.

        The room of a full archive is free at once. A delta's parent is merged into it afterwards, which takes time and
        gives back what the two had in common (taken to be the size of the smaller one).
        """
        key = (archive.vm_id, archive.job_id, archive.schedule_id)
        own = [one for one in self.archives if (one.vm_id, one.job_id, one.schedule_id) == key]
        merging = False
        for old, following in pairwise(own[: max(0, len(own) - keep) + 1]):
            self.archives.remove(old)
            if following.is_full:
                self.free(old.size)
                continue
            freed = min(old.size, following.size)
            following.size += old.size - freed
            following.is_full = old.is_full
            merging = True
            self._live.timeline.after(2 * freed / MERGE_RATE, self._freeing(freed), self._live.outside)
        return merging

    def _freeing(self, amount: int) -> Callable[[], None]:
        return lambda: self.free(amount)
