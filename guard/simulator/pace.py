"""How fast the simulated world is: seconds of a run's steps, bytes/s of hosts and jobs, bytes/s that guests write."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from guard.simulator.runs import Runs
from guard.simulator.shapes import XoObject

MIB = 1024**2


@dataclass
class Pace:
    """Seconds. As recorded with a real xo-server in front of a simulated host; a real host takes longer."""

    clean: float = 0.06
    prepare: float = 0.13
    check: float = 0.03
    snapshot: float = 0.4
    delete: float = 0.1
    connect: float = 0.02


class Rates:
    """Bytes/s of transfers. A host's and a job's rate is shared by what they transfer at the moment."""

    def __init__(self) -> None:
        self.default_host_rate = 100.0 * MIB
        self.hosts: dict[str, float] = {}
        """By host id."""
        self.jobs: dict[str, float] = {}
        """By job id (``maxExportRate``); a job that is missing here has no limit."""
        self._active: Counter[str] = Counter()

    def begin(self, vm: XoObject, job_id: str) -> None:
        self._active.update((vm["$container"], job_id))

    def end(self, vm: XoObject, job_id: str) -> None:
        self._active.subtract((vm["$container"], job_id))

    def forget(self) -> None:
        """Nothing is transferred any more: xo-server is gone."""
        self._active.clear()

    def speed(self, vm: XoObject, job_id: str) -> float:
        """What one VM gets now."""
        host = self.hosts.get(vm["$container"], self.default_host_rate) / max(1, self._active[vm["$container"]])
        if job_id in self.jobs:
            return min(host, self.jobs[job_id] / max(1, self._active[job_id]))
        return host


class Guests:
    """What guests write while time goes by: bytes/s by VM id, onto the VM's first disk."""

    def __init__(self, world: Runs) -> None:
        self._world = world
        self._rates: dict[str, tuple[float, float]] = {}  # VM id -> (bytes/s, when it was last accounted for)

    def set_rate(self, vm: XoObject, bytes_per_second: float) -> None:
        self.write(vm)
        self._rates[vm["id"]] = bytes_per_second, self._world.now().timestamp()

    def write(self, vm: XoObject) -> None:
        """Account for what the guest wrote since the last time."""
        rate, since = self._rates.get(vm["id"], (0.0, 0.0))
        now = self._world.now().timestamp()
        disks = self._world.disks_of(vm)
        if rate and disks:
            self._world.write(disks[0], int(rate * (now - since)))
            self._rates[vm["id"]] = rate, now

    def write_all(self) -> None:
        for identity in list(self._rates):
            vm = self._world.objects["VM"].get(identity)
            if vm is None:
                del self._rates[identity]
            else:
                self.write(vm)
