"""The transfer of one VM to its targets, in driven time: progress, faults, room, archives (recordings; 3.8 to 3.15)."""

from __future__ import annotations

from collections.abc import Generator
from math import inf
from typing import TYPE_CHECKING, Any

from guard.simulator import replicas, vm_snapshots
from guard.simulator.log_tasks import failing
from guard.simulator.planted import PUT_TIMEOUT, ExportFault, error_of
from guard.simulator.repository import IO_ERROR, NO_SPACE, Archive, RepositoryFullError
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import FOREVER, Steps

if TYPE_CHECKING:
    from guard.simulator.vm_backup import Target, VmBackup

OFTEN, SELDOM = 30, 300
"""Seconds between two looks at a transfer: never more than 50 looks unless it lasts longer than 4 hours."""
Moving = Generator[Any, None, XoObject | None]
"""A process that ends with an error as XO logs it, or None."""


class Export:
    """``snapshot`` None: the halted VM itself is exported. ``base`` None: everything is."""

    def __init__(self, backup: VmBackup, vm: XoObject, snapshot: XoObject | None, base: XoObject | None) -> None:
        self.backup = backup
        self.live = backup.live
        self.vm = vm
        self.snapshot = snapshot
        self._disks = () if snapshot is None else tuple(vdi["id"] for vdi in backup.live.world.disks_of(snapshot))
        self.base = base
        self.is_full = base is None
        self.errors: list[tuple[Target, XoObject]] = []

    def steps(self) -> Steps:
        """To all targets at once. Raises VmError when none is left."""
        backup, live = self.backup, self.live
        targets = list(backup.targets)
        if not targets:
            return
        size = self._size()
        fault = live.planted.next_export(backup.vm_id)
        live.rates.begin(self.vm, backup.run.job["id"])
        sending = [
            live.timeline.spawn(self._send(target, size, fault or self._silence(target)), live.xo) for target in targets
        ]
        yield from sending
        live.rates.end(self.vm, backup.run.job["id"])
        taken = live.world.objects["VM-snapshot"] if self.snapshot is not None else {}
        if self.snapshot is not None and self.snapshot["id"] in taken and len(self.errors) < len(targets):
            length = 0 if self.base is None else 1 + int(self.base["other"].get("xo:backup:deltaChainLength", "0"))
            vm_snapshots.mark_exported(live.world, self.snapshot, length)
        for target, error in self.errors:
            backup.drop(target, "writer.transfer()", error, warn=len(targets) > 1)

    def _size(self) -> int:
        """Bytes of one copy; a VM without disks has none."""
        world, subject = self.live.world, self.snapshot or self.vm
        if not world.disks_of(subject):
            return 0
        if self.snapshot is None:
            return sum(vm_snapshots.data_above(world, disk, None) for disk in world.disks_of(subject))
        return vm_snapshots.bytes_to_move(world, self.snapshot, self.base)

    def _send(self, target: Target, size: int, fault: ExportFault | None) -> Steps:
        """The export task of one target."""
        tasks, backup = self.live.tasks, self.backup
        data = {"id": target.id, "isFull": self.is_full, "type": target.kind}
        if target.kind == "SR":
            data["name_label"] = target.record["name_label"]
        export = tasks.open(backup.task, "export", data)
        if fault is not None and fault.before_headers:
            error = yield from self._stand_still(target, fault)
            if error is not None:
                yield from self._never_begins(target, export, error)
                return
            fault = None
        yield self.live.pace.connect
        transfer = tasks.open(export, "transfer")
        if size or fault is not None:
            backup.task["data"]["progress"] = 0
            transfer["data"] = {"progress": 0}
        error = yield from self._move(target, size, transfer.get("data", {}), fault)
        if error is None and target.kind == "SR":
            error = yield from self._finish_copy(target, transfer, size)
        if error is not None:
            self._fail(target, [transfer, export], error)
            return
        tasks.close(transfer, {"size": size})
        yield from self._keep(target, export, size)
        tasks.close(export)

    def _silence(self, target: Target) -> ExportFault | None:
        """How long the host says nothing. A replica is written at its own pool's master."""
        if self._is_over_nbd():
            return None
        ids = [self.backup.vm_id, self.vm["$container"]]
        if target.kind == "SR":
            ids.append(self.live.world.get("pool", target.record["$pool"]).get("master", ""))
        return self.live.planted.silence_of(*ids)

    def _is_over_nbd(self) -> bool:
        """Disks are read over NBD where the job wants that and a network of the pool allows it."""
        networks = self.live.world.objects.get("network", {}).values()
        return (
            self.backup.delta
            and bool(self.backup.settings.get("preferNbd"))
            and any(one["$pool"] == self.vm["$pool"] and (one["nbd"] or one["insecureNbd"]) for one in networks)
        )

    def _stand_still(self, target: Target, fault: ExportFault) -> Moving:
        """Nothing comes; XO gives up when that takes longer than the run's configuration allows."""
        if fault.hangs:
            self.live.rates.end(self.vm, self.backup.run.job["id"])
            yield FOREVER
        limit = self.backup.run.inactivity
        if fault.silence > limit:
            yield limit
            return dict(fault.error or self._timeout(target, fault))
        yield FOREVER if fault.silence == inf else fault.silence
        return None if fault.error is None else dict(fault.error)

    def _timeout(self, target: Target, fault: ExportFault) -> XoObject:
        if fault.before_headers:
            return error_of("Headers Timeout Error")
        return error_of(PUT_TIMEOUT if target.kind == "SR" else "Body Timeout Error")

    def _never_begins(self, target: Target, export: XoObject, error: XoObject) -> Steps:
        """The host answers no request: the export task ends well although the VM fails (export_timeout.json)."""
        if target.kind == "remote" and self.backup.delta:
            started = self.live.tasks.moment()
            yield self.live.pace.clean
            self.live.tasks.quick(export, "clean-vm", {"merge": False, "size": 0}, started)
            self.live.shelf(target.id).unlock(self.backup.vm_id)
        self.live.tasks.close(export)
        self.errors.append((target, error))

    def _move(self, target: Target, size: int, shown: XoObject, fault: ExportFault | None) -> Moving:
        """The bytes go over, in between perhaps with a stop."""
        stop = 0
        if fault is not None:
            stop = int(size * fault.after)
            error = yield from self._carry(target, size, shown, 0, stop)
            if error is None:
                error = yield from self._stand_still(target, fault)
                if error is not None:
                    self._litter(target, stop, error)
            if error is not None:
                return error
        return (yield from self._carry(target, size, shown, stop, size))

    def _carry(self, target: Target, size: int, shown: XoObject, moved: int, last: int) -> Moving:
        """From ``moved`` bytes to ``last``, a piece at a time."""
        live = self.live
        piece = self._piece(size)
        shelf = live.shelf(target.id) if target.kind == "remote" else None
        while True:
            step = min(piece, last - moved)
            yield step / self._speed()
            if not live.pools.reachable(self.vm["$pool"]):
                return self._litter(target, moved, live.pools.cut_connection())
            if shelf is not None and shelf.error is not None:
                return self._litter(target, moved, dict(IO_ERROR))
            try:
                if shelf is not None:
                    shelf.take(step)
            except RepositoryFullError:
                return self._litter(target, moved, dict(NO_SPACE))
            moved += step
            if size:
                shown["progress"] = 100 * moved // size
            if moved >= last:
                return None

    def _speed(self) -> float:
        """Bytes/s now. A change is felt from the next piece on."""
        return self.live.rates.speed(self.vm, self.backup.run.job["id"])

    def _piece(self, size: int) -> int:
        seconds = size / self._speed()
        looks = max(1, min(50, round(seconds / OFTEN)), round(seconds / SELDOM))
        return -(-size // looks)

    def _litter(self, target: Target, moved: int, error: XoObject) -> XoObject:
        """What was written is of no use, and stays until the next run's cleaning."""
        if target.kind == "remote":
            self.live.shelf(target.id).leave_litter(self.backup.vm_id, moved)
        return error

    def _fail(self, target: Target, open_tasks: list[XoObject], error: XoObject) -> None:
        for task in open_tasks:
            self.live.tasks.close(task, error=error)
        if target.kind == "remote":
            shelf = self.live.shelf(target.id)
            if self.snapshot is not None:
                shelf.lacks.add(self.snapshot["id"])
            shelf.leak_lock(self.backup.vm_id)
        self.errors.append((target, error))

    def _keep(self, target: Target, export: XoObject, size: int) -> Steps:
        """The archive is there; retention, and in delta mode the cleaning that belongs to the export."""
        if target.kind != "remote":
            return
        backup, shelf = self.backup, self.live.shelf(target.id)
        archive = Archive(
            vm_id=backup.vm_id,
            job_id=backup.run.job["id"],
            schedule_id=backup.run.schedule["id"],
            snapshot="" if self.snapshot is None else self.snapshot["id"],
            size=size,
            is_full=self.is_full,
            at=self.live.now(),
            disks=self._disks,
        )
        shelf.archives.append(archive)
        merging = shelf.apply_retention(archive, max(1, backup.settings.get("exportRetention", 0)))
        if backup.delta:
            started = self.live.tasks.moment()
            yield self.live.pace.clean
            self.live.tasks.quick(export, "clean-vm", {"merge": merging, "size": 0}, started)

    def _finish_copy(self, target: Target, transfer: XoObject, size: int) -> Moving:
        """Replication ends with a snapshot of the copy on the target SR."""
        shown = self.live.tasks.open(transfer, "target snapshot")
        yield self.live.pace.snapshot
        transfer.pop("data", None)
        keep = max(1, self.backup.settings.get("copyRetention", 0))
        refusal = replicas.receive(self.live.world, self.vm, target.record, self.backup.run, size, keep)
        if refusal is not None:
            error = failing("XapiError", f"{refusal[0]}({', '.join(refusal[1])})", code=refusal[0], params=refusal[1])
            self.live.tasks.close(shown, error=error)
            return error
        self.live.tasks.close(shown)
        return None
