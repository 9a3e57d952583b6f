"""One VM in a backup run, step by step as XO takes them (failure-modes.md 1 and 8; recordings of a real xo-server)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guard.simulator import vm_snapshots
from guard.simulator.export import Export
from guard.simulator.log_tasks import failing
from guard.simulator.repository import Shelf
from guard.simulator.shapes import XoObject
from guard.simulator.storage import StorageRefusedError
from guard.simulator.timeline import Steps
from guard.simulator.vm_refusals import snapshot_refusal

if TYPE_CHECKING:
    from guard.simulator.jobs import Run
    from guard.simulator.live import Live

CLEANED: XoObject = {"merge": False, "size": 0}
CHAIN = failing("Error", "unhealthy VDI chain")
MIGRATION_BLOCK = "VM migration is blocked during backup"
REFUSALS = {
    "SR_BACKEND_FAILURE_44": ["", "There is insufficient space", ""],
    "SR_BACKEND_FAILURE_81": ["", "Failed to clone VDI [opterr=No space left on device]", ""],
}
"""What SM says with the code: 44 as recorded; the wording of 81 is a guess, its code is not."""


@dataclass(frozen=True)
class Target:
    """A backup repository (``remote``) or a storage repository (``SR``) that a run writes to."""

    kind: str
    record: XoObject

    @property
    def id(self) -> str:
        return str(self.record["id"])


class VmError(Exception):
    """Ends this VM's backup. ``result``: the error as XO logs it; ``retried``: whether XO's retries are for it."""

    def __init__(self, result: XoObject, *, retried: bool = True) -> None:
        super().__init__(result["message"])
        self.result = result
        self.retried = retried


class VmBackup:
    """``retry``: after ``steps`` has run, whether the VM waits for another try."""

    def __init__(self, live: Live, run: Run, vm_id: str, targets: list[Target]) -> None:
        self.live = live
        self.run = run
        self.vm_id = vm_id
        self.wanted = targets
        self.settings: XoObject = {}
        for key in ("", run.schedule["id"], vm_id):
            self.settings |= run.settings.get(key) or {}
        self.delta = run.job.get("mode") == "delta"
        self.targets: list[Target] = []
        self.task: XoObject = {}
        self.retry = False
        self._tries = 0

    def steps(self) -> Steps:
        """One try, from the task's start to its end, or until it waits for the next try."""
        tasks = self.live.tasks
        if not self.task:
            self.task = tasks.open(self.run.log, "backup VM", {"id": self.vm_id, "type": "VM"})
        self.retry = False
        error: XoObject | None = None
        try:
            yield from self._try(self._find())
        except VmError as failed:
            self._tries += 1
            error = failed.result
            if failed.retried and self._tries <= self.settings.get("nRetriesVmBackupFailures", 0):
                data = {"attempt": self._tries, "error": error["message"], "isRetry": True}
                warning = {"data": data, "message": "Retry the VM backup due to an error"}
                self.task.setdefault("warnings", []).append(warning)
                self.retry = True
                return
        tasks.close(self.task, error=error)

    def _find(self) -> XoObject:
        """The VM. Raises VmError when XO has no connection to it, or it may not be touched."""
        vm = self.live.world.find("VM", self.vm_id)
        if vm is None:
            raise VmError(failing("Error", f"no XAPI associated to {self.vm_id}"), retried=False)
        if not self.live.pools.reachable(vm["$pool"]):
            raise VmError(self.live.pools.refused_login(), retried=False)
        self.task["data"]["name_label"] = vm["name_label"]
        if {"migrate_send", "pool_migrate"} & set(vm["current_operations"].values()):
            raise VmError(failing("Error", "cannot backup a VM currently being migrated"), retried=False)
        if "start" in vm["blockedOperations"] and vm["other"].get("xo:backup:job") == self.run.job["id"]:
            raise VmError(failing("Error", "cannot backup a VM created by this very job"), retried=False)
        return vm

    def _try(self, vm: XoObject) -> Steps:
        world, pace = self.live.world, self.live.pace
        self.targets = list(self.wanted)
        yield from self._lock_and_clean()
        vm["blockedOperations"] |= {"migrate_send": MIGRATION_BLOCK, "pool_migrate": MIGRATION_BLOCK}
        yield pace.prepare
        snapshots = vm_snapshots.job_snapshots(world, vm, self.run.job["id"])
        base = self._base(snapshots) if self.delta else None
        yield from self._delete(vm, snapshots, base)
        snapshot = None
        error: XoObject | None = None
        try:
            if self._needs_snapshot(vm):
                snapshot = yield from self._snapshot(vm)
            yield from Export(self, vm, snapshot, base).steps()
        except VmError as failed:
            error = failed.result
        taken = vm_snapshots.job_snapshots(world, vm, self.run.job["id"])
        yield from self._delete(vm, taken, None)
        for operation in ("migrate_send", "pool_migrate"):
            vm["blockedOperations"].pop(operation, None)
        yield from self._clean_and_unlock(snapshot, error)
        if error is not None:
            raise VmError(error)

    # --- locks

    def shelves(self) -> list[Shelf]:
        """The repositories this VM is still written to."""
        return [self.live.shelf(target.id) for target in self.targets if target.kind == "remote"]

    def drop(self, target: Target, step: str, error: XoObject, *, warn: bool = True) -> None:
        """A target that failed is left out of the rest. Raises VmError when it was the last one: with the error
        itself if there never was another."""
        self.targets.remove(target)
        if warn:
            warning = (
                f"the writer {self.writer(target)} has failed the step {step} with error {error['message']}. "
                "It won't be used anymore in this job execution."
            )
            self.task.setdefault("warnings", []).append({"message": warning})
        if self.targets:
            return
        if len(self.wanted) == 1:
            raise VmError(error)
        raise VmError(failing("AggregateError", f"all targets have failed, step: {step}", errors=[error]))

    def writer(self, target: Target) -> str:
        return ("Incremental" if self.delta else "Full") + ("RemoteWriter" if target.kind == "remote" else "XapiWriter")

    def _lock_and_clean(self) -> Steps:
        """Before anything else each repository's folder of the VM is locked and cleaned."""
        tasks = self.live.tasks
        for target in [one for one in self.targets if one.kind == "remote"]:
            shelf = self.live.shelf(target.id)
            if not shelf.lock(self.vm_id):
                self.drop(target, "writer.beforeBackup()", shelf.lock_error(self.vm_id))
                continue
            shelf.clean(self.vm_id)
            if self.delta:
                cleaning = tasks.open(self.task, "clean-vm")
                yield self.live.pace.clean
                tasks.close(cleaning, dict(CLEANED))

    def _clean_and_unlock(self, snapshot: XoObject | None, error: XoObject | None) -> Steps:
        """What is cleaned at the end: in full mode always; in delta mode here only when it came to no transfer."""
        cleaning = not self.delta or (error is not None and snapshot is None)
        for shelf in self.shelves():
            if cleaning:
                started = self.live.tasks.moment()
                yield self.live.pace.clean
                self.live.tasks.quick(self.task, "clean-vm", dict(CLEANED), started)
            if not (self.delta and error is not None and snapshot is not None):
                shelf.unlock(self.vm_id)

    # --- snapshots

    def _base(self, snapshots: list[XoObject]) -> XoObject | None:
        """The snapshot the delta is taken from; None means a full."""
        base = vm_snapshots.base_of(snapshots)
        if base is None or not all(shelf.has_base(base["id"]) for shelf in self.shelves()):
            return None
        interval = self.settings.get("fullInterval", 0)
        length = int(base["other"].get("xo:backup:deltaChainLength", "0"))
        return None if 0 < interval <= length + 1 else base

    def _delete(self, vm: XoObject, snapshots: list[XoObject], base: XoObject | None) -> Steps:
        for old in vm_snapshots.to_delete(snapshots, self.run.settings, delta=self.delta, base=base):
            yield self.live.pace.delete
            if old["id"] in vm["snapshots"] and self.live.pools.reachable(vm["$pool"]):
                self.live.world.delete_snapshot(old)

    def _needs_snapshot(self, vm: XoObject) -> bool:
        return self.delta or vm["power_state"] == "Running" or bool(self.settings.get("snapshotRetention"))

    def _snapshot(self, vm: XoObject) -> Generator[Any, None, XoObject]:
        """The chain check, then the snapshot. Raises VmError with the task closed."""
        live, tasks = self.live, self.live.tasks
        task = tasks.open(self.task, "snapshot")
        yield live.pace.check
        error = live.planted.next_snapshot_error(self.vm_id) or self._hindrance(vm)
        skips = self.settings.get("bypassVdiChainsCheck", False)
        if error is None and not skips and vm_snapshots.is_unhealthy(live.world, vm, live.tolerance):
            error = CHAIN
        if error is None:
            error = yield from self._scanned(vm)
        if error is None:
            yield live.pace.snapshot
            error = self._hindrance(vm) or self._refusal(vm)
        if error is None:
            live.guests.write(vm)
            try:
                snapshot = live.world.snapshot(vm, self.run.job, self.run.schedule, exported=False)
            except StorageRefusedError as refused:
                error = xapi_error(live, refused.code, REFUSALS[refused.code])
        if error is not None:
            tasks.close(task, error=error)
            raise VmError(error)
        tasks.close(task, snapshot["id"])
        return snapshot

    def _hindrance(self, vm: XoObject) -> XoObject | None:
        """What happened to the VM since it was found, if it cannot be snapshotted any more."""
        if not self.live.pools.reachable(vm["$pool"]):
            return self.live.pools.cut_connection()
        if vm["id"] not in self.live.world.objects["VM"]:
            return xapi_error(self.live, "HANDLE_INVALID", ["VM", vm["_xapiRef"]])
        unplugged = next((sr for sr in self._srs(vm) if not self._is_plugged(sr, vm)), None)
        return None if unplugged is None else xapi_error(self.live, "SR_HAS_NO_PBDS", [unplugged["_xapiRef"]])

    def _scanned(self, vm: XoObject) -> Generator[Any, None, XoObject | None]:
        """XAPI lets a snapshot wait until nobody scans the SRs of its disks."""
        for sr in self._srs(vm):
            busy = yield from self.live.scans.wait(sr)
            if busy is not None:
                return xapi_error(self.live, *busy)
        return None

    def _refusal(self, vm: XoObject) -> XoObject | None:
        refused = snapshot_refusal(self.live.world, vm)
        return None if refused is None else xapi_error(self.live, *refused)

    def _srs(self, vm: XoObject) -> list[XoObject]:
        disks = [disk for disk in self.live.world.disks_of(vm) if "[NOBAK]" not in disk["name_label"]]
        return [self.live.world.sr_of(disk) for disk in disks]

    def _is_plugged(self, sr: XoObject, vm: XoObject) -> bool:
        """XAPI needs the SR attached on the VM's host, on any host for a VM that is on none (failure-modes.md 4.3)."""
        pbds = [self.live.world.get("PBD", identity) for identity in sr["$PBDs"]]
        running = vm["power_state"] == "Running"
        return any(pbd["attached"] and (not running or pbd["host"] == vm["$container"]) for pbd in pbds)


def xapi_error(live: Live, code: str, params: list[str], call: str = "Async.VM.snapshot") -> XoObject:
    """An error of XAPI as XO logs it: with the record of the XAPI task that failed."""
    at = f"{live.now():%Y%m%dT%H:%M:%SZ}"
    task = {
        "allowed_operations": ["destroy"],
        "backtrace": "()",
        "created": at,
        "current_operations": {},
        "error_info": [code, *params],
        "finished": at,
        "name_description": "",
        "name_label": call,
        "other_config": {},
        "progress": 1,
        "resident_on": "OpaqueRef:simulated",
        "result": "",
        "status": "failure",
        "subtask_of": "OpaqueRef:NULL",
        "subtasks": [],
        "type": "<none/>",
        "uuid": live.world.new_id("xapi-task", call, at),
    }
    message = f"{code}({', '.join(params)})"
    return failing("XapiError", message, code=code, params=list(params), task=task)
