"""Planted faults of single VMs: exports and snapshots that go wrong a given number of times (failure-modes.md 3).

::

    live.planted.fail_exports(vm, "Body Timeout Error", times=2, after=0.4)
    live.planted.fail_exports(vm, "stream has ended with not enough data (actual: 4096, expected: 2097152)")
    live.planted.hang_exports(vm)                      # a stuck run: nothing moves until XO is restarted
    live.planted.fail_snapshots(vm, {"code": "VM_SNAPSHOT_WITH_QUIESCE_FAILED", "message": "...", "name": "XapiError"})
"""

from __future__ import annotations

from dataclasses import dataclass

from guard.simulator.runs import result_of
from guard.simulator.shapes import XoObject

INACTIVITY = 300.0
"""Seconds: ``httpInactivityTimeout`` as XO comes."""

SOCKET = {
    "localAddress": "192.0.2.2",
    "localPort": 36_680,
    "remoteAddress": "192.0.2.81",
    "remotePort": 443,
    "remoteFamily": "IPv4",
    "bytesWritten": 13_124,
    "bytesRead": 5_167_121,
}
KNOWN: dict[str, XoObject] = {
    "Headers Timeout Error": {"name": "HeadersTimeoutError", "code": "UND_ERR_HEADERS_TIMEOUT"},
    "Body Timeout Error": {"name": "BodyTimeoutError", "code": "UND_ERR_BODY_TIMEOUT"},
    "other side closed": {"name": "SocketError", "code": "UND_ERR_SOCKET", "socket": SOCKET},
    "VDI_IO_ERROR(Device I/O errors)": {
        "name": "XapiError",
        "code": "VDI_IO_ERROR",
        "params": ["Device I/O errors"],
    },
}
"""Message -> what XO logs with it."""


def error_of(text: str | XoObject) -> XoObject:
    """The whole error of a known text; ``VDI_IO_ERROR`` may be given as the code alone."""
    if isinstance(text, dict):
        return dict(text)
    message = "VDI_IO_ERROR(Device I/O errors)" if text == "VDI_IO_ERROR" else text
    return {"message": message, **KNOWN[message]} if message in KNOWN else result_of(message)


@dataclass
class ExportFault:
    """``after``: which part of the bytes goes over first (0 to 1); ``silence``: seconds until XO notices."""

    error: XoObject
    after: float = 0.5
    silence: float = 0.0
    before_headers: bool = False
    hangs: bool = False


class Planted:
    """What shall go wrong, by VM."""

    def __init__(self) -> None:
        self._exports: dict[str, list[ExportFault]] = {}
        self._snapshots: dict[str, list[XoObject]] = {}

    def fail_exports(self, vm: XoObject, error: str | XoObject, times: int = 1, after: float = 0.5) -> None:
        """The next ``times`` exports of the VM fail. A timeout shows after 300 s of silence; one of the headers comes
        before anything was sent."""
        found = error_of(error)
        code = found.get("code")
        silence = INACTIVITY if code in {"UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"} else 0.0
        fault = ExportFault(found, after, silence, before_headers=code == "UND_ERR_HEADERS_TIMEOUT")
        self._exports.setdefault(vm["id"], []).extend([fault] * times)

    def hang_exports(self, vm: XoObject, times: int = 1, after: float = 0.5) -> None:
        """The next ``times`` exports stop moving for good: XO has no limit on the length of a run."""
        fault = ExportFault(result_of("never told"), after, hangs=True)
        self._exports.setdefault(vm["id"], []).extend([fault] * times)

    def fail_snapshots(self, vm: XoObject, error: str | XoObject, times: int = 1) -> None:
        self._snapshots.setdefault(vm["id"], []).extend([error_of(error)] * times)

    def lift(self, vm: XoObject) -> None:
        """Nothing planted is left for the VM."""
        self._exports.pop(vm["id"], None)
        self._snapshots.pop(vm["id"], None)

    def next_export(self, vm_id: str) -> ExportFault | None:
        waiting = self._exports.get(vm_id)
        return waiting.pop(0) if waiting else None

    def next_snapshot_error(self, vm_id: str) -> XoObject | None:
        waiting = self._snapshots.get(vm_id)
        return waiting.pop(0) if waiting else None
