"""The families of scenarios, each with both sides of its thresholds. Every one is seeded and builds the same world again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

from guard.simulator.xapi import Fault
from tests.engine.more_families import MORE
from tests.engine.stage import BLOCK, DISK, MIB, TYPES, Stage, Target

INSUFFICIENT = ["SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""]
IN_USE = ["VDI_IN_USE", "OpaqueRef:simulated", "snapshot"]


def healthy() -> Iterator[Stage]:
    for number in range(20):
        stage = Stage("healthy", str(number), mode="full" if number % 6 == 5 else "delta")
        for _ in range(stage.random.randint(1, 2)):
            vm = stage.vm(disks=stage.random.randint(1, 2), size=stage.random.choice((1, 3, 4, 7)) * BLOCK)
            if stage.random.random() < 0.4:
                stage.world.add_cd(vm)
            if stage.random.random() < 0.3:
                stage.world.snapshot(vm, name="by hand")
        stage.job([stage.target("nas"), stage.target("vault")] if number % 4 == 3 else ())
        yield stage


def unhealthy() -> Iterator[Stage]:
    """A disk on ``count`` + 1 base copies: the lowest holds only the leaf and never counts."""
    family = "unhealthy chain"
    for tolerance, over, kind in product(range(4), (False, True), TYPES):
        count = tolerance + over
        stage = Stage(family, f"tolerance {tolerance} count {count} {kind}", tolerance=tolerance)
        vm = stage.vm(stage.sr(kind), disks=stage.random.randint(1, 2))
        stage.base_copies(stage.random.choice(stage.world.disks_of(vm)), count + 1)
        if over:
            stage.plant(vm, "CHAIN_UNHEALTHY")
        stage.bystanders()
        stage.job()
        yield stage
    yield from _odd_chains(family)


def _odd_chains(family: str) -> Iterator[Stage]:
    for tolerance in range(2):
        stage = Stage(family, f"leaf-only base copies, tolerance {tolerance}", tolerance=tolerance)
        vm = stage.vm(disks=3)
        for disk in stage.world.disks_of(vm):
            stage.base_copies(disk, 1)
        stage.job()
        yield stage

        stage = Stage(family, f"a little on each of three disks, tolerance {tolerance}", tolerance=tolerance)
        vm = stage.vm(disks=3)
        for disk in stage.world.disks_of(vm):
            stage.base_copies(disk, tolerance + 1)
        stage.job()
        yield stage

        for over in (False, True):
            stage = Stage(family, f"a disk in the CD drive, tolerance {tolerance} over {over}", tolerance=tolerance)
            vm = stage.vm(stage.sr("nfs"), state="Running")
            other = stage.world.add_vm(stage.pool, "owner", power_state="Halted")
            disk = stage.disk(other, stage.sr("nfs"))
            stage.base_copies(disk, tolerance + over + 1)
            stage.world.add_cd(vm, disk)
            if over:
                stage.plant(vm, "CHAIN_UNHEALTHY")
            stage.job()
            yield stage

            stage = Stage(family, f"a [NOBAK] disk, tolerance {tolerance} over {over}", tolerance=tolerance)
            vm = stage.vm(stage.sr("ext"))
            disk = stage.disk(vm, stage.sr("ext"), name="[NOBAK] scratch")
            stage.base_copies(disk, tolerance + over + 1)
            if over:
                stage.plant(vm, "CHAIN_UNHEALTHY")
            stage.job()
            yield stage

            stage = Stage(family, f"below a snapshot by hand, tolerance {tolerance} over {over}", tolerance=tolerance)
            vm = stage.vm(stage.sr("ext"))
            (disk,) = stage.world.disks_of(vm)
            if tolerance + over:
                stage.base_copies(disk, tolerance + over)
            stage.world.snapshot(vm, name="by hand")  # its base copy is below the others: the lowest of them counts too
            if over:
                stage.plant(vm, "CHAIN_UNHEALTHY")
            stage.job()
            yield stage

    for state, mode in product(("Halted", "Running"), ("full",)):
        stage = Stage(family, f"{mode} backup of a {state} VM", mode=mode)
        vm = stage.vm(stage.sr("ext"), state=state)
        stage.base_copies(stage.world.disks_of(vm)[0], 3)
        if state == "Running":
            stage.plant(vm, "CHAIN_UNHEALTHY")
        stage.job()
        yield stage


def bypassed() -> Iterator[Stage]:
    for number in range(8):
        stage = Stage("bypassVdiChainsCheck", str(number), tolerance=number % 2)
        one, two = stage.vm(disks=2), stage.vm()
        for vm in (one, two):
            stage.base_copies(stage.world.disks_of(vm)[0], 3 + stage.random.randint(0, 3))
        if number < 4:
            stage.settings["bypassVdiChainsCheck"] = True
        else:
            stage.own_settings[one["id"]] = {"bypassVdiChainsCheck": True}
            stage.plant(two, "CHAIN_UNHEALTHY")
        stage.job()
        yield stage


def no_space() -> Iterator[Stage]:
    """Thick LVM. Exact where XO shows what the leaf holds: one whose volume is not inflated needs its whole size."""
    family = "SR_BACKEND_FAILURE_44"
    for kind, over, number in product(("lvm", "lvmoiscsi"), (-8, -4, 0, 4), range(2)):
        stage = Stage(family, f"deflated leaf {kind} {over:+} MiB, {number}")
        sr = stage.sr(kind, size=10_000 * MIB)
        size = stage.random.choice((2, 4, 6, 16)) * BLOCK
        vm = stage.vm(sr, disks=0)
        stage.disk(vm, sr, size=size, usage=DISK, data=0)
        stage.free(sr, _extents(size) + 24 * MIB + over * MIB)
        if over < 0:
            stage.plant(vm, "SR_NO_SPACE")
        elif stage.random.random() < 0.5:
            stage.vm(stage.sr("nfs"))
        stage.job()
        yield stage
    for kind, over in product(("lvm", "lvmoiscsi"), (-8, -4)):
        stage = Stage(family, f"empty disk {kind} {over:+} MiB")
        sr = stage.sr(kind, size=10_000 * MIB)
        vm = stage.vm(sr, disks=0)
        stage.disk(vm, sr, size=16 * BLOCK, data=0)
        stage.free(sr, (24 + over) * MIB)
        stage.plant(vm, "SR_NO_SPACE")
        stage.bystanders()
        stage.job()
        yield stage
    for kind, over in product(("lvm", "lvmoiscsi"), (0, 4)):
        stage = Stage(family, f"written to its end {kind} {over:+} MiB")
        sr = stage.sr(kind, size=10_000 * MIB)
        vm = stage.vm(sr, disks=0)
        stage.disk(vm, sr, size=4 * BLOCK, data=4 * BLOCK)
        stage.free(sr, 4 * BLOCK + (24 + over) * MIB)
        stage.bystanders()
        stage.job()
        yield stage


def _extents(size: int) -> int:
    return -(-size // (4 * MIB)) * 4 * MIB


def space_unshown() -> Iterator[Stage]:
    """Between the bounds only the guest knows what it wrote: guard must not be sure."""
    for number, (data, over) in enumerate(product((0, 4, 12), (-4, 0))):
        stage = Stage("44, data not shown", str(number))
        sr = stage.sr("lvm", size=10_000 * MIB)
        vm = stage.vm(sr, disks=0)
        stage.disk(vm, sr, size=16 * BLOCK, data=data * MIB)
        stage.free(sr, (data + 24 + over) * MIB)
        if over < 0:
            stage.plant(vm, "SR_NO_SPACE")
        stage.job()
        yield stage


def too_long() -> Iterator[Stage]:
    """A leaf on 28 nodes is the 29th and takes a snapshot; on 29 it is the 30th and does not."""
    family = "SR_BACKEND_FAILURE_109"
    for above, kind in product((27, 28, 29, 30), TYPES):
        stage = Stage(family, f"{above} base copies {kind}", settings={"bypassVdiChainsCheck": True})
        vm = stage.vm(stage.sr(kind), disks=stage.random.randint(1, 2))
        stage.base_copies(stage.world.disks_of(vm)[-1], above)
        if above >= 29:
            stage.plant(vm, "CHAIN_TOO_LONG")
        stage.bystanders()
        stage.job()
        yield stage
    for above, kind in product((28, 29), ("ext", "nfs")):
        stage = Stage(family, f"{above} snapshots by hand {kind}")
        vm = stage.vm(stage.sr(kind))
        for number in range(above):
            stage.world.snapshot(vm, name=f"by hand {number}")
        if above >= 29:
            stage.plant(vm, "CHAIN_TOO_LONG")
        stage.job()
        yield stage
    stage = Stage(family, "a [NOBAK] disk is left out", settings={"bypassVdiChainsCheck": True})
    vm = stage.vm(stage.sr("ext"))
    stage.base_copies(stage.disk(vm, stage.sr("ext"), name="[NOBAK] scratch"), 30)
    stage.job()
    yield stage
    stage = Stage(family, "full backup of a halted VM", mode="full", settings={"bypassVdiChainsCheck": True})
    vm = stage.vm(stage.sr("ext"), state="Halted")
    stage.base_copies(stage.world.disks_of(vm)[0], 30)
    stage.job()
    yield stage


def retried() -> Iterator[Stage]:
    """A snapshot that fails so many times; XO tries again as often as it is told."""
    codes = {"SR_NO_SPACE": INSUFFICIENT, "SNAPSHOT_STUCK": IN_USE}
    for (code, error), times, retries in product(codes.items(), (1, 2), (0, 1, 2)):
        stage = Stage(
            "nRetriesVmBackupFailures", f"{code} {times} times, {retries} retries", foreseeable=times <= retries
        )
        vm = stage.vm()
        stage.settings["nRetriesVmBackupFailures"] = retries
        stage.faults["VM.snapshot"] = [Fault(error=error, times=times)]
        if times > retries:
            stage.plant(vm, code)
        stage.attempts[vm["id"]] = min(times, retries) + 1
        stage.job()
        yield stage
    for retries in (1, 2):
        stage = Stage("nRetriesVmBackupFailures", f"unhealthy all the time, {retries} retries")
        vm = stage.vm()
        stage.settings["nRetriesVmBackupFailures"] = retries
        stage.base_copies(stage.world.disks_of(vm)[0], 4)
        stage.plant(vm, "CHAIN_UNHEALTHY")
        stage.attempts[vm["id"]] = retries + 1
        stage.job()
        yield stage


def repository_full() -> Iterator[Stage]:
    """A full writes the blocks that hold data; XO looks at no figures first, the repository just ends.

    Just too small by what is written, just large enough with the margin that guard asks for.
    """
    for number in range(16):
        fits = number % 2 == 1
        stage = Stage(
            "ENOSPC", f"{number} {'fits' if fits else 'does not'}", mode="full" if number % 8 > 5 else "delta"
        )
        data = stage.random.randint(2, 8) * BLOCK
        vm = stage.vm(stage.sr("ext"), disks=0, state="Running" if stage.mode == "full" else None)
        stage.disk(vm, stage.sr("ext"), size=8 * BLOCK, usage=data)
        room = data + data // 10 + MIB // 2 if fits else data - 4096
        nas = stage.target("nas", target=Target(room=room), available=room)
        if number % 4 < 2:
            stage.job([nas])
            if not fits:
                stage.plant(vm, "REPOSITORY_NO_SPACE")
        else:
            stage.job([nas, stage.target("vault")])
            if not fits:
                stage.lost_targets[nas["id"]] = "REPOSITORY_NO_SPACE"
        yield stage


def missing_vm() -> Iterator[Stage]:
    for number in range(10):
        stage = Stage("missing VM", str(number))
        for _ in range(stage.random.randint(0, 2)):
            stage.vm()
        for lost in range(stage.random.randint(1, 2)):
            identity = stage.world.new_id("VM", "deleted", lost)
            stage.gone.append(identity)
            stage.expected[identity] = "VM_UNKNOWN"
        if number >= 7:
            _in_another_pool(stage)
        stage.job()
        yield stage


def _in_another_pool(stage: Stage) -> None:
    """A VM whose pool XO has lost is as missing as one that is gone."""
    pool = stage.world.add_pool("lyon")
    vm = stage.world.add_vm(pool, "far away")
    stage.world.add_disk(vm, stage.world.add_sr(pool, "far", "ext"), size=DISK)
    stage.world.disconnect(stage.world.server_of(pool))
    stage.gone.append(vm["id"])
    stage.expected[vm["id"]] = "VM_UNKNOWN"


def missing_remote() -> Iterator[Stage]:
    for number in range(12):
        stage = Stage("missing remote", str(number))
        vms = [stage.vm() for _ in range(stage.random.randint(1, 2))]
        gone = [stage.target(f"gone {one}", known=False) for one in range(1 + number % 2)]
        left = [] if number < 6 else [stage.target(f"nas {one}") for one in range(1 + number % 3 // 2)]
        for repository in gone:
            stage.lost_targets[repository["id"]] = "REPOSITORY_DISABLED"
        if not left:
            for vm in vms:
                stage.plant(vm, "REPOSITORY_DISABLED")
        stage.job([*gone, *left])
        yield stage


def broken_remote() -> Iterator[Stage]:
    """The share is not there: a file where its directory should be."""
    for number in range(6):
        stage = Stage("broken remote", str(number))
        vm = stage.vm()
        error = {"code": "EEXIST", "message": "EEXIST: file already exists, mkdir", "syscall": "mkdir"}
        broken = stage.target("broken", target=Target(spoil=_by_a_file), error=error)
        stage.lost_targets[broken["id"]] = "REPOSITORY_UNREACHABLE"
        if number % 2:
            stage.plant(vm, "REPOSITORY_UNREACHABLE")
            stage.job([broken])
        else:
            stage.job([broken, stage.target("nas")])
        yield stage


def _by_a_file(directory: Path) -> None:
    directory.rmdir()
    directory.write_text("a file\n")


def migrating() -> Iterator[Stage]:
    for number in range(10):
        stage = Stage("migrating VM", str(number), mode="full" if number == 9 else "delta")
        vm = stage.vm(state="Running")
        operation = ("migrate_send", "pool_migrate")[number % 2] if number < 6 or number == 9 else "snapshot"
        if number != 8:
            vm["current_operations"] = {f"OpaqueRef:{stage.world.new_id('task', number)}": operation}
        if operation != "snapshot":
            stage.plant(vm, "VM_MIGRATING")
        stage.bystanders()
        stage.job()
        yield stage


def own_replica() -> Iterator[Stage]:
    for number in range(12):
        stage = Stage("own replica", str(number), mode="full" if number % 5 == 4 else "delta")
        stage.vm()
        vm = stage.vm(state="Halted")
        stage.job()
        mark = stage.the_job["id"] if number < 8 else stage.world.new_id("job", "another")
        blocked = number < 6 or number > 9
        if number != 6:
            vm["other"] = {**vm["other"], "xo:backup:job": mark}
        if blocked or number == 6:
            vm["blockedOperations"] = {
                "start": "Start operation for this vm is blocked, clone it if you want to use it."
            }
        if number < 6:
            stage.plant(vm, "OWN_REPLICA")
        yield stage


def cut() -> Iterator[Stage]:
    """A stream that ends too early, or breaks: before its table of blocks is read, XO has not begun to transfer."""
    for lost, after in product((False, True), (0, 700, 3000, BLOCK, 5 * BLOCK)):
        stage = Stage("cut export", f"{'broken' if lost else 'ends'} after {after}", foreseeable=False)
        vm = stage.vm(stage.sr("ext"), disks=0)
        stage.disk(vm, stage.sr("ext"), size=8 * BLOCK, usage=6 * BLOCK)
        stage.faults["/export_raw_vdi/"] = [Fault(cut_after=after, lost=lost, times=None)]
        stage.plant(vm, "NETWORK_LOST" if lost and after < 1536 else "EXPORT_INCOMPLETE")
        stage.job()
        yield stage


def refused_export() -> Iterator[Stage]:
    for number, mode in enumerate(("delta", "delta", "delta", "full")):
        stage = Stage("HTTP 500", f"{number} {mode}", mode=mode, foreseeable=False)
        vm = stage.vm(state="Running")
        stage.faults["/export/" if mode == "full" else "/export_raw_vdi/"] = [Fault(status=500, times=None)]
        stage.plant(vm, "EXPORT_INCOMPLETE")
        stage.job()
        yield stage


def detached() -> Iterator[Stage]:
    for number in range(6):
        stage = Stage("detached SR", str(number))
        sr = stage.sr("ext", size=1000 * 1024 * MIB)
        vm = stage.vm(sr)
        if number < 4:
            stage.world.unplug(sr)
            stage.plant(vm, "SR_DETACHED")
        stage.vm(stage.sr("nfs"))
        stage.job()
        yield stage


# --- full where delta was expected


def unexpected_full() -> Iterator[Stage]:
    ways: dict[str, tuple[Callable[..., None] | None, bool, dict[str, Any]]] = {
        "nothing happened": (None, False, {}),
        "guest wrote": (_wrote, False, {}),
        "base snapshot gone": (_without_base, True, {}),
        "base copied and its mark lost": (_unmarked, True, {}),
        "archive gone": (_without_archives, True, {}),
        "full interval reached": (None, True, {"fullInterval": 2}),
        "full interval not reached": (None, False, {"fullInterval": 3}),
        "snapshot of another job": (_another_jobs, False, {}),
    }
    for number, ((name, (happens, full, settings)), earlier) in enumerate(product(ways.items(), (1, 2))):
        if "interval" in name and earlier == 1:
            continue
        kind = TYPES[number % len(TYPES)]
        stage = Stage("full instead of delta", f"{name}, after {earlier} runs, {kind}", earlier=earlier)
        vm = stage.vm(stage.sr(kind), disks=1 + stage.random.randint(0, 1))
        stage.vm(stage.sr(kind))
        stage.settings |= settings
        stage.full_is_asked_for = bool(settings)
        stage.meanwhile = happens
        stage.full = {one["id"]: full and (one is vm or "interval" in name) for one in stage.vms}
        stage.job()
        yield stage


def _wrote(stage: Stage, _directories: Any) -> None:
    stage.world.write(stage.world.disks_of(stage.vms[0])[0], BLOCK)


def _without_base(stage: Stage, _directories: Any) -> None:
    for identity in list(stage.vms[0]["snapshots"]):
        stage.world.delete_snapshot(stage.world.get("VM-snapshot", identity))
    for sr in stage.world.objects["SR"].values():
        stage.world.coalesce(sr)


def _unmarked(stage: Stage, _directories: Any) -> None:
    """As after a transfer that failed: the newest snapshot has no mark of success."""
    for identity in stage.vms[0]["snapshots"]:
        snapshot = stage.world.get("VM-snapshot", identity)
        for record in (snapshot["other"], *(disk["other_config"] for disk in stage.world.disks_of(snapshot))):
            record.pop("xo:backup:exported", None)


def _without_archives(stage: Stage, directories: Any) -> None:
    for directory in directories.values():
        for file in sorted(directory.rglob("*"), reverse=True):
            if stage.vms[0]["id"] in str(file) and file.is_file():
                file.unlink()


def _another_jobs(stage: Stage, _directories: Any) -> None:
    other = stage.world.add_job("other", vms=[stage.vms[0]])
    stage.world.snapshot(stage.vms[0], other, stage.world.add_schedule(other, "0 5 1 1 *", enabled=False))


def stages() -> list[Stage]:
    """All scenarios, built anew."""
    return [stage for family in FAMILIES for stage in family()]


FAMILIES: tuple[Callable[[], Iterator[Stage]], ...] = (
    healthy,
    unhealthy,
    bypassed,
    no_space,
    space_unshown,
    too_long,
    retried,
    repository_full,
    missing_vm,
    missing_remote,
    broken_remote,
    migrating,
    own_replica,
    cut,
    refused_export,
    detached,
    unexpected_full,
    *MORE,
)
CERTAIN = frozenset(
    {
        "healthy",
        "unhealthy chain",
        "SR_BACKEND_FAILURE_44",
        "SR_BACKEND_FAILURE_109",
        "missing VM",
        "missing remote",
        "migrating VM",
        "own replica",
    }
)
"""Families in which every finding must be certain, and nothing missed."""
