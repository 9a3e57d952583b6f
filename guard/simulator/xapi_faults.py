"""What a pool master shall do wrong, by method (``VM.snapshot``, also for its ``Async`` form) or path (``/export/``). ::

face.faults["VM.snapshot"] = [Fault(error=["SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""])]
face.faults["host.get_all_records"] = [Fault(hangs=True, times=None)]        # every call, for good
face.faults["/export_raw_vdi/"] = [Fault(cut_after=3000), Fault(status=500)]   # the first is cut, the second refused
face.faults["/export/"] = [Fault(cut_after=0, error=["VDI_IO_ERROR", "Device I/O errors"])]   # and the task fails
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Fault:
    """``delay`` (seconds) comes first, then one of the others; with none of them the call works, only late."""

    error: list[str] = field(default_factory=list)
    """Code and parameters. For an export that is cut: what its task ends with."""
    status: int = 0
    """An HTTP status in place of an answer."""
    cut_after: int | None = None
    """An export ends after so many bytes, as it does when the sender dies: XAPI's bodies end where the connection does,
    so the client sees a stream that is too short. Its task ends with VDI_IO_ERROR unless ``error`` says otherwise."""
    lost: bool = False
    """The connection breaks there: the client sees that. The task stays pending unless there is an ``error``."""
    hangs: bool = False
    delay: float = 0.0
    times: int | None = 1
    """For so many calls; None: for all."""
    skip: int = 0
    """Calls that pass before it."""


Faults = dict[str, list[Fault]]


def take(faults: Faults, where: str) -> Fault | None:
    """The fault that is due now at this method or path."""
    waiting = faults.get(where)
    if not waiting:
        return None
    fault = waiting[0]
    if fault.skip:
        fault.skip -= 1
        return None
    if fault.times is not None:
        fault.times -= 1
        if fault.times <= 0:
            waiting.pop(0)
    return fault
