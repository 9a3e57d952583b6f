"""One scenario: a world with one job that is due in ten minutes, what is planted in it, and what the engine must make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from guard.simulator.shapes import XoObject
from guard.simulator.world import GIB, World
from guard.simulator.xapi import Fault, XapiFace

MIB = 1024**2
BLOCK = 2 * MIB
NOW = datetime(2027, 1, 12, 2, 50, tzinfo=UTC)
EARLIER = NOW - timedelta(days=1)
"""What the engine's clock shows at the start, and the world's during the runs that come before the one that is judged."""
DISK = 8 * MIB
SUCCESS = "success"
THIN = ("ext", "nfs")
TYPES = ("ext", "nfs", "lvm", "lvmoiscsi")


@dataclass
class Target:
    """A backup repository as the engine finds it. ``room``: bytes until ENOSPC; ``path`` overrides the directory made."""

    room: int | None = None
    error: dict[str, Any] | None = None
    spoil: Callable[[Path], None] | None = None
    """What is done to its directory once the repository is there."""


@dataclass
class Stage:
    """Build with ``vm``, then say what is expected with ``plant``; VMs nothing is planted on must succeed.

    ``foreseeable`` False: nothing before the run shows it. ``earlier``: runs of the engine before the one that is judged,
    a day ago; ``meanwhile``: what happens after them. ``full``: for each VM named whether it must be sent whole.
    """

    family: str
    seed: str
    tolerance: int = 1
    mode: str = "delta"
    settings: dict[str, Any] = field(default_factory=dict)
    own_settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By VM: what the job sets for it alone."""
    foreseeable: bool = True
    earlier: int = 0
    meanwhile: Callable[[Stage, Mapping[str, Path]], None] | None = None
    faults: dict[str, list[Fault]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = Random(f"{self.family}/{self.seed}")
        self.clock = EARLIER if self.earlier else NOW
        self.world = World(lambda: self.clock)
        self.pool = self.world.add_pool("paris")
        self.world.add_host(self.pool, "xcp-1")
        self.faces = [XapiFace(self.world, self.pool)]
        self.vms: list[XoObject] = []
        self.gone: list[str] = []
        self.expected: dict[str, str] = {}
        self.full: dict[str, bool] = {}
        self.full_is_asked_for = False
        """By the job's own settings: no finding then."""
        self.targets: dict[str, Target] = {}
        self.lost_targets: dict[str, str] = {}
        """Repository id -> the code by which the run must lose it."""
        self.attempts: dict[str, int] = {}
        self.only_started = False
        """Whether the engine is given just the VMs that guard would start."""
        self.losses: int | None = None
        """How many VMs the run must lose at least, where which ones is a matter of XO's order; 0: none."""
        self._srs: dict[str, XoObject] = {}

    # --- the pool

    def sr(self, kind: str | None = None, **more: Any) -> XoObject:
        """The SR of a type, any when none is named. With figures of its own it is another one."""
        kind = kind or self.random.choice(TYPES)
        if more or kind not in self._srs:
            made = self.world.add_sr(self.pool, f"{kind} {len(self._srs)}", SR_type=kind, **more)
            if more:
                return made
            self._srs[kind] = made
        return self._srs[kind]

    def vm(
        self, sr: XoObject | None = None, disks: int = 1, size: int = DISK, state: str | None = None, **properties: Any
    ) -> XoObject:
        """A VM of the job with small disks that hold a block or more."""
        state = state or self.random.choice(("Running", "Running", "Halted"))
        vm = self.world.add_vm(self.pool, f"vm-{len(self.vms)}", power_state=state, **properties)
        for _ in range(disks):
            self.disk(vm, sr or self.sr(), size)
        self.vms.append(vm)
        self.expected[vm["id"]] = SUCCESS
        return vm

    def disk(self, vm: XoObject, sr: XoObject, size: int = DISK, **more: Any) -> XoObject:
        if sr["SR_type"] in THIN:
            more.setdefault("usage", self.random.randint(1, size // BLOCK) * BLOCK)
        else:
            more.setdefault("data", self.random.randint(1, size // BLOCK) * BLOCK)
        return self.world.add_disk(vm, sr, size=size, **more)

    def bystanders(self) -> None:
        """Healthy VMs beside the one in question: none of them may be blamed."""
        if self.random.random() < 0.4:
            self.vm()

    def plant(self, vm: XoObject, code: str) -> None:
        """The engine must lose this VM with this code."""
        self.expected[vm["id"]] = code

    # --- XO's configuration

    def target(self, name: str = "nas", *, known: bool = True, target: Target | None = None, **more: Any) -> XoObject:
        """A repository of the job; one that is not ``known`` is in the job only."""
        made = self.world.add_repository(name, url=f"file:///srv/{name}", size=1000 * GIB, **more)
        self.targets[made["id"]] = target or Target()
        if not known:
            del self.world.repositories[made["id"]], self.world.repository_info[made["id"]]
            del self.targets[made["id"]]
        return made

    def job(self, remotes: Iterable[XoObject] = (), **properties: Any) -> None:
        """The job of all VMs and its schedule, due at three."""
        found = list(remotes) or [self.target()]
        listed = [*(vm["id"] for vm in self.vms), *self.gone]
        pattern = {"id": listed[0] if len(listed) == 1 else {"__or": listed}}
        self.the_job = self.world.add_job(
            "nightly", self.mode, vms=pattern, remotes=found, settings=dict(self.own_settings), **properties
        )
        self.schedule = self.world.add_schedule(
            self.the_job, "0 3 * * *", settings={"exportRetention": 3, **self.settings}
        )

    def keep(self, vms: Iterable[str]) -> None:
        """The run is started for these VMs only."""
        kept = set(vms)
        self.vms = [vm for vm in self.vms if vm["id"] in kept]
        self.expected = {vm["id"]: SUCCESS for vm in self.vms}

    def listed(self) -> list[str]:
        return [*(vm["id"] for vm in self.vms), *self.gone]

    def base_copies(self, disk: XoObject, count: int) -> None:
        self.world.add_base_copies(disk, count, usage=BLOCK if self.world.sr_of(disk)["SR_type"] in THIN else 12 * MIB)

    def free(self, sr: XoObject, amount: int) -> None:
        """From now on the SR has just so many bytes free."""
        sr["size"] = sr["physical_usage"] + amount
