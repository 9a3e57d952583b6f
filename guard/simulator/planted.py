"""Planted faults: exports and snapshots of single VMs that go wrong a given number of times (failure-modes.md 3), hosts
that say nothing for a while, and what a client asks for and does not get.

::

    live.planted.fail_exports(vm, "Body Timeout Error", times=2, after=0.4)
    live.planted.fail_exports(vm, "stream has ended with not enough data (actual: 4096, expected: 2097152)")
    live.planted.hang_exports(vm)                      # a stuck run: nothing moves until XO is restarted
    live.planted.fail_snapshots(vm, {"code": "VM_SNAPSHOT_WITH_QUIESCE_FAILED", "message": "...", "name": "XapiError"})
    live.planted.silence(vm, 720)                      # or a host: nothing comes for 12 minutes in each export
    live.planted.refuse(sr, "SR_BACKEND_FAILURE_40", times=1)        # a scan
    live.planted.refuse(server, "SESSION_AUTHENTICATION_FAILED")     # a connection; or "EHOSTUNREACH"
    live.planted.refuse(pbd, "SR_BACKEND_FAILURE_73")                # a plug
    live.planted.refuse(repository, "EIO")                           # a test
    live.planted.hang(repository)                                    # any of them: never an answer
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from guard.simulator.runs import result_of
from guard.simulator.shapes import XoObject

TIMEOUTS = frozenset({"UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"})
PUT_TIMEOUT = "HTTP connection has timed out"
"""What a replication's write ends with; exports, which are read, end with undici's texts (failure-modes.md 3.12)."""
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


@dataclass(frozen=True)
class ExportFault:
    """``after``: which part of the bytes goes over first (0 to 1). ``silence``: seconds in which nothing comes then; a
    run that gives up earlier fails for it. ``error``: what the export ends with afterwards, None where it goes on."""

    error: XoObject | None
    after: float = 0.5
    silence: float = 0.0
    before_headers: bool = False
    hangs: bool = False


@dataclass
class Trouble:
    """What comes of something a client asks for. ``code`` and ``params``: of XAPI or of the operating system."""

    code: str = ""
    params: tuple[str, ...] = ()
    hangs: bool = False
    times: int | None = None


SAID_WITH: dict[str, tuple[str, ...]] = {
    "SR_BACKEND_FAILURE_40": ("", "The SR scan failed  [opterr=uuid=4ad03fcb-6fec-4e98-8987-2ede120f9599]", ""),
    "SR_BACKEND_FAILURE_47": ("", "The SR is not available [opterr=no such volume group]", ""),
    "SR_BACKEND_FAILURE_73": ("", "NFS mount error [opterr=mount failed with return code 32]", ""),
    "SESSION_AUTHENTICATION_FAILED": ("root", "Authentication failure"),
}
"""XAPI's code -> parameters seen with it (bug reports of XO and xcp-ng)."""


class Planted:
    """What shall go wrong, by VM."""

    def __init__(self) -> None:
        self._exports: dict[str, list[ExportFault]] = {}
        self._snapshots: dict[str, list[XoObject]] = {}
        self._silences: dict[str, ExportFault] = {}
        self._troubles: dict[str, Trouble] = {}

    def fail_exports(self, vm: XoObject, error: str | XoObject, times: int = 1, after: float = 0.5) -> None:
        """The next ``times`` exports of the VM fail. A timeout comes of a silence without end, however long XO waits; one
        of the headers before anything was sent."""
        found = error_of(error)
        code = found.get("code")
        silence = inf if code in TIMEOUTS or found["message"] == PUT_TIMEOUT else 0.0
        fault = ExportFault(found, after, silence, before_headers=code == "UND_ERR_HEADERS_TIMEOUT")
        self._exports.setdefault(vm["id"], []).extend([fault] * times)

    def silence(self, found: XoObject, seconds: float, *, after: float = 0.5, before_headers: bool = False) -> None:
        """In every export of a VM, or of the VMs on a host, and in every replication to a pool with this master, nothing
        comes for so long, once: ``before_headers``, or after the given part of the bytes. 0 takes it back. What goes
        over NBD knows nothing of it.
        """
        self._silences[found["id"]] = ExportFault(None, after, seconds, before_headers)

    def silence_of(self, *ids: str) -> ExportFault | None:
        """The longest that is planted for any of these VMs and hosts."""
        found = [self._silences[one] for one in ids if one in self._silences]
        return max(found, key=lambda one: one.silence, default=None)

    def refuse(self, found: XoObject, code: str, *params: str, times: int | None = None) -> None:
        """What a client asks for fails, ``times`` times: the scan of an SR, the connection of a server, the plug of a PBD,
        the test of a repository. ``code``: XAPI's or, for servers and repositories, the operating system's."""
        self._troubles[found["id"]] = Trouble(code, params or SAID_WITH.get(code, ()), times=times)

    def hang(self, found: XoObject, times: int | None = None) -> None:
        """The same, and it is never answered."""
        self._troubles[found["id"]] = Trouble(hangs=True, times=times)

    def next_trouble(self, identity: str) -> Trouble | None:
        found = self._troubles.get(identity)
        if found is None or found.times is None:
            return found
        found.times -= 1
        if found.times <= 0:
            del self._troubles[identity]
        return found

    def hang_exports(self, vm: XoObject, times: int = 1, after: float = 0.5) -> None:
        """The next ``times`` exports stop moving for good: XO has no limit on the length of a run."""
        fault = ExportFault(result_of("never told"), after, hangs=True)
        self._exports.setdefault(vm["id"], []).extend([fault] * times)

    def fail_snapshots(self, vm: XoObject, error: str | XoObject, times: int = 1) -> None:
        self._snapshots.setdefault(vm["id"], []).extend([error_of(error)] * times)

    def lift(self, vm: XoObject) -> None:
        """Nothing planted is left for the VM, or for whatever else it is."""
        self._exports.pop(vm["id"], None)
        self._snapshots.pop(vm["id"], None)
        self._silences.pop(vm["id"], None)
        self._troubles.pop(vm["id"], None)

    def next_export(self, vm_id: str) -> ExportFault | None:
        waiting = self._exports.get(vm_id)
        return waiting.pop(0) if waiting else None

    def next_snapshot_error(self, vm_id: str) -> XoObject | None:
        waiting = self._snapshots.get(vm_id)
        return waiting.pop(0) if waiting else None
