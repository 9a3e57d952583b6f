"""What came of a run: status, times and bytes per VM and per target, and why (XO's own status words).

A VM is judged by its ``backup VM`` task, not by sub-tasks: XO may call the export of a failed VM a success, and a VM that
lost one of several targets ends in success (observed-on-real-xo.md, failure-modes.md 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from guard.estate.xo_records import BackupLog, LogTask
from guard.finding import Scope, ScopeKind
from guard.outcomes.causes import Cause, causes
from guard.outcomes.failures import ENDED_BADLY, is_retry, job_scope, task_scope


class Times(msgspec.Struct, frozen=True):
    """Start and end in ms since the epoch, as XO stamps them; None where it did not."""

    start_ms: int | None = None
    end_ms: int | None = None

    @property
    def duration_s(self) -> float | None:
        """Seconds from start to end; None for what has not ended."""
        if self.start_ms is None or self.end_ms is None:
            return None
        return (self.end_ms - self.start_ms) / 1000


class TargetOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One copy of one VM, in the attempt that counts. ``target``: the repository or SR.

    ``written``: the data arrived, even where a health check failed afterwards. ``sent_bytes``: as XO counts a transfer,
    before the repository compresses. ``full``: None where XO does not tell (mirror jobs).
    """

    target: Scope
    status: str
    times: Times
    written: bool
    sent_bytes: int
    full: bool | None
    causes: tuple[Cause, ...] = ()


class VmOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One VM of a run. ``attempts``: 1 and one for every retry. ``sent_bytes``: to all its targets together."""

    vm: Scope
    status: str
    times: Times
    attempts: int
    sent_bytes: int
    targets: tuple[TargetOutcome, ...]
    causes: tuple[Cause, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One run. ``unattempted``: ids of VMs the run named and never got to. ``causes``: of the whole run, in log order."""

    run: str
    job: Scope
    schedule: str
    status: str
    times: Times
    sent_bytes: int
    vms: tuple[VmOutcome, ...]
    unattempted: tuple[str, ...]
    causes: tuple[Cause, ...]


def outcome(log: BackupLog) -> Outcome:
    """Read one log. A task that was pending when XO stopped counts as interrupted, as its run does."""
    why = causes(log)
    told = _Told(why)
    vms = tuple(_vm(scope, task, log.status, told) for scope, task in _vm_tasks(log))
    seen = {one.vm.id for one in vms}
    return Outcome(
        run=log.id,
        job=job_scope(log),
        schedule=log.schedule_id or "",
        status=log.status,
        times=_times(log),
        sent_bytes=sum(one.sent_bytes for one in vms),
        vms=vms,
        unattempted=tuple(vm for vm in named_vms(log) if vm not in seen),
        causes=why,
    )


class _Told:
    """The causes of a run by VM and by copy, sorted out once: a run may have lost thousands of VMs."""

    def __init__(self, why: Iterable[Cause]) -> None:
        vms: dict[Scope, list[Cause]] = {}
        copies: dict[tuple[Scope, Scope], list[Cause]] = {}
        for one in why:
            vms.setdefault(one.scope, []).append(one)
            if one.target is not None:
                copies.setdefault((one.scope, one.target), []).append(one)
        self._vms = {scope: tuple(found) for scope, found in vms.items()}
        self._copies = {key: tuple(found) for key, found in copies.items()}

    def of_vm(self, vm: Scope) -> tuple[Cause, ...]:
        return self._vms.get(vm, ())

    def of_copy(self, vm: Scope, target: Scope) -> tuple[Cause, ...]:
        return self._copies.get((vm, target), ())


def _vm_tasks(log: BackupLog) -> list[tuple[Scope, LogTask]]:
    scoped = [(task_scope(task), task) for task in log.tasks or ()]
    return [(scope, task) for scope, task in scoped if scope is not None and scope.kind is ScopeKind.VM]


def _vm(scope: Scope, task: LogTask, run_status: str, told: _Told) -> VmOutcome:
    status = _status(task, run_status)
    by_target: dict[Scope, LogTask] = {}
    for child in task.tasks:
        target = task_scope(child)
        if child.message == "export" and target is not None:
            before = by_target.get(target)
            if before is None or before.status != "success":  # a retry comes later; one that worked stays
                by_target[target] = child
    targets = tuple(
        _target(target, export, status, run_status, told.of_copy(scope, target)) for target, export in by_target.items()
    )
    return VmOutcome(
        vm=scope,
        status=status,
        times=_times(task),
        attempts=1 + sum(map(is_retry, task.warnings or ())),
        sent_bytes=sum(one.sent_bytes for one in targets),
        targets=targets,
        causes=told.of_vm(scope),
    )


def _target(target: Scope, export: LogTask, vm_status: str, run_status: str, why: tuple[Cause, ...]) -> TargetOutcome:
    sizes = [_size(one) for one in export.tasks if one.message == "transfer" and one.status == "success"]
    status = _status(export, run_status)
    if status == "success" and not sizes and vm_status in ENDED_BADLY:
        status = vm_status  # nothing arrived: XO closes an export as a success when the VM fails around it
    data: Mapping[str, object] = export.data  # a Scope was read from it
    full = data.get("isFull")
    return TargetOutcome(
        target=target,
        status=status,
        times=_times(export),
        written=bool(sizes),
        sent_bytes=sum(sizes),
        full=full if isinstance(full, bool) else None,
        causes=why,
    )


def _status(task: LogTask, run_status: str) -> str:
    return "interrupted" if task.status == "pending" and run_status == "interrupted" else task.status


def _times(task: LogTask | BackupLog) -> Times:
    return Times(task.start or None, task.end or None)


def _size(transfer: LogTask) -> int:
    size = transfer.result.get("size") if isinstance(transfer.result, dict) else None
    return size if type(size) is int else 0


def named_vms(log: BackupLog) -> tuple[str, ...]:
    """The ids of the VMs that XO announced at the start of the run; () before that, and where it never did."""
    for info in log.infos or ():
        data = info.get("data") if isinstance(info, dict) and info.get("message") == "vms" else None
        if isinstance(data, dict) and isinstance(data.get("vms"), list):
            return tuple(vm for vm in data["vms"] if isinstance(vm, str))
    return ()
