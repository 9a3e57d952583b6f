"""More families: what else the records of a VM show, what the run itself changes first, and VMs that take room from others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from guard.simulator.shapes import XoObject
from tests.engine.stage import BLOCK, DISK, MIB, TYPES, Stage


def blocked() -> Iterator[Stage]:
    """Operations that somebody blocked; only the one that the backup needs matters."""
    for needed, operation, mode in product(
        ("snapshot", "checkpoint"), ("snapshot", "checkpoint", "destroy"), ("delta", "full")
    ):
        if needed == "checkpoint" and operation != "checkpoint":
            continue  # it would send the memory, hundreds of MB
        stage = Stage("blocked operations", f"needs {needed}, {operation} is blocked, {mode}", mode=mode)
        stage.settings["checkpointSnapshot"] = needed == "checkpoint"
        vm = stage.vm(stage.sr("ext"), state="Running")
        vm["blockedOperations"] = {operation: "by hand"}
        if needed == operation:
            stage.plant(vm, "SNAPSHOT_BLOCKED")
        if needed == "snapshot":
            stage.bystanders()
        stage.job()
        yield stage


def devices() -> Iterator[Stage]:
    for state, given in product(("Running", "Halted"), (True, False)):
        stage = Stage("USB device", f"{state} given {given}")
        vm = stage.vm(stage.sr("ext"), state=state)
        stage.bystanders()
        if given:
            stage.world.add_vusb(vm, attached=state == "Running")
        if given and state == "Running":
            stage.plant(vm, "USB_ATTACHED")
        stage.job()
        yield stage


def unsupported() -> Iterator[Stage]:
    """Disks that take no snapshot, and the same ones left out of the backup by their name."""
    for kind, left_out in product(("udev", "iso", "raw lvm", "raw ext"), (False, True)):
        stage = Stage("unsupported disk", f"{kind} left out {left_out}")
        vm = stage.vm(stage.sr("nfs"), state="Halted")
        raw = {"image_format": "raw"} if kind.startswith("raw") else {}
        stage.disk(vm, stage.sr(kind.split()[-1]), name="[NOBAK] stick" if left_out else "stick", **raw)
        if not left_out:
            stage.plant(vm, "SNAPSHOT_UNSUPPORTED")
        stage.bystanders()
        stage.job()
        yield stage


def busy() -> Iterator[Stage]:
    """Operations that keep XAPI from a snapshot. A real one waits for their end for hours, so that they foretell nothing."""
    for operation in ("clean_reboot", "suspend", "snapshot", "checkpoint"):
        refused = operation not in ("snapshot", "checkpoint")
        stage = Stage("busy VM", operation, foreseeable=not refused)
        vm = stage.vm(stage.sr("ext"), state="Running")
        vm["current_operations"] = {f"OpaqueRef:{stage.world.new_id('task', operation)}": operation}
        if refused:
            stage.plant(vm, "VM_BUSY")
        stage.job()
        yield stage


def pruned() -> Iterator[Stage]:
    """Retention was lowered: the run deletes its own old snapshots before XO looks at the chain, and each leaves a copy."""
    for tolerance, kept in product((0, 1, 2), (0, 1, 2)):
        stage = Stage(
            "own snapshots removed first", f"tolerance {tolerance} kept {kept}", tolerance=tolerance, earlier=3
        )
        stage.settings["snapshotRetention"] = 3
        vm = stage.vm(stage.sr("ext"))
        stage.meanwhile = _lowered(kept)
        # three snapshots, and their base copies one above the other; the newest stays as the base of the delta
        removed = 3 - max(kept, 1)
        if removed > tolerance:
            stage.plant(vm, "CHAIN_UNHEALTHY")
        stage.job()
        yield stage


def _lowered(kept: int) -> Callable[[Stage, Any], None]:
    def happens(stage: Stage, _directories: Any) -> None:
        stage.the_job["settings"][stage.schedule["id"]]["snapshotRetention"] = kept

    return happens


def together() -> Iterator[Stage]:
    """Several VMs on one thick SR: each fits, all of them do not. Which one XO fails is a matter of its order.

    Below what they need at least, and from what they need at most: between the two only their guests know.
    """
    for over, count, kind, rest in product((-4, 0, 4), (2, 3), ("lvm",), (False, True)):
        stage = Stage("44 of several VMs", f"{count} VMs {kind} {over:+} MiB{', those guard starts' if rest else ''}")
        stage.settings["concurrency"] = 1
        sr = stage.sr(kind, size=10_000 * MIB)
        at_least, at_most = 16 * MIB, 8 * MIB
        for _ in range(count):
            size = stage.random.choice((2, 4, 6)) * BLOCK
            vm = stage.vm(sr, disks=0)
            stage.disk(vm, sr, size=size, usage=DISK, data=0)
            at_least += size + 8 * MIB
            at_most += size + 16 * MIB
        stage.free(sr, (at_least if over < 0 else at_most) + over * MIB)
        stage.only_started = rest
        stage.losses = 0 if over >= 0 or rest else 1
        stage.job()
        yield stage


def mixed() -> Iterator[Stage]:
    """Whatever comes together by chance, each VM by itself."""
    ways = (_nothing, _nothing, _chain, _deep, _moving, _replica, _unplugged, _vusb)
    for number in range(20):
        stage = Stage("mixed", str(number), tolerance=0)
        stage.tolerance = stage.random.randint(0, 2)
        chosen = [stage.random.choice(ways) for _ in range(stage.random.randint(2, 4))]
        for way in chosen:
            way(stage, stage.vm(disks=stage.random.randint(1, 2), state="Running"))
        if stage.random.random() < 0.3:
            identity = stage.world.new_id("VM", "deleted")
            stage.gone.append(identity)
            stage.expected[identity] = "VM_UNKNOWN"
        stage.job()
        for vm in stage.vms:
            if vm["other"].get("xo:backup:job") == "":
                vm["other"]["xo:backup:job"] = stage.the_job["id"]
        yield stage


def _nothing(_stage: Stage, _vm: XoObject) -> None:
    pass


def _chain(stage: Stage, vm: XoObject) -> None:
    over = stage.random.randint(0, 1)
    stage.base_copies(stage.world.disks_of(vm)[0], stage.tolerance + over + 1)
    if over:
        stage.plant(vm, "CHAIN_UNHEALTHY")


def _deep(stage: Stage, vm: XoObject) -> None:
    above = stage.random.choice((28, 29))
    for number in range(above):
        stage.world.snapshot(vm, name=f"by hand {number}")
    if above == 29:
        stage.plant(vm, "CHAIN_TOO_LONG")


def _moving(stage: Stage, vm: XoObject) -> None:
    vm["current_operations"] = {f"OpaqueRef:{stage.world.new_id('task', vm['id'])}": "pool_migrate"}
    stage.plant(vm, "VM_MIGRATING")


def _replica(stage: Stage, vm: XoObject) -> None:
    vm["other"] = {**vm["other"], "xo:backup:job": ""}
    vm["blockedOperations"] = {"start": "a replica"}
    stage.plant(vm, "OWN_REPLICA")


def _unplugged(stage: Stage, vm: XoObject) -> None:
    sr = stage.sr(stage.random.choice(TYPES), size=1000 * 1024 * MIB)
    stage.disk(vm, sr)
    stage.world.unplug(sr)
    stage.plant(vm, "SR_DETACHED")


def _vusb(stage: Stage, vm: XoObject) -> None:
    stage.world.add_vusb(vm)
    stage.plant(vm, "USB_ATTACHED")


MORE: tuple[Callable[[], Iterator[Stage]], ...] = (
    blocked,
    devices,
    unsupported,
    busy,
    pruned,
    together,
    mixed,
)
