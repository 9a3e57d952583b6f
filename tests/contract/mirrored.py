"""A simulated world with the same pools, VMs, repositories and jobs as the recorded xo-server had."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from guard.simulator import shapes
from guard.simulator.world import VmOutcome, World, XoObject

GIB = 1024**3
MIB = 1024**2
NOW = datetime(2026, 11, 22, 21, 55, tzinfo=UTC)
LVM_HEADER = 8 * MIB


def mirrored_world() -> World:
    world = World(lambda: NOW)
    dr = world.add_pool("dr-pool")
    dr_host = world.add_host(dr, "dr-xcp1")
    dr_sr = world.add_sr(dr, "DR storage (ext)", "ext", size=1000 * GIB)
    lab = world.add_pool("lab-pool")
    first, second = world.add_host(lab, "lab-xcp1"), world.add_host(lab, "lab-xcp2")
    lvm = world.add_sr(lab, "Local storage (lvm)", "lvm", size=500 * GIB, host=first)
    small = world.add_sr(lab, "Small LVM almost full", "lvm", size=25 * GIB, host=first)
    ext = world.add_sr(lab, "Local storage (ext)", "ext", size=400 * GIB, host=second)
    nfs = world.add_sr(lab, "NFS vm store", "nfs", size=2000 * GIB)
    world.add_sr(lab, "XCP-ng Tools", "iso", size=0)
    for kind in ("lvm", "nfs", "iso"):
        world.add_object("SM", dr["id"], shapes.sm(kind), kind)

    world.add_disk(world.add_vm(dr, "dr-app", ["dr"], host=dr_host), dr_sr, 6 * GIB, usage=7 * MIB)
    vms = {
        "web-01": world.add_vm(lab, "web-01", ["prod", "web"], host=first),
        "web-02": world.add_vm(lab, "web-02", ["prod", "web"], host=second),
        "db-01": world.add_vm(lab, "db-01", ["prod", "db"], host=first),
        "batch-01": world.add_vm(lab, "batch-01", ["test"], power_state="Halted", host=second),
        "diskless-01": world.add_vm(lab, "diskless-01", ["test"], host=second),
        "chain-bad": world.add_vm(lab, "chain-bad", ["chain"], host=first),
        "thick-full": world.add_vm(lab, "thick-full", ["thick"], host=first),
        "nobak-01": world.add_vm(lab, "nobak-01", ["xo:no-bak=lab"], host=second),
    }
    world.add_disk(vms["web-01"], lvm, 10 * GIB)
    world.add_disk(vms["web-02"], ext, 10 * GIB, usage=13 * MIB)
    world.add_disk(vms["db-01"], nfs, 20 * GIB, usage=17 * MIB)
    world.add_disk(vms["db-01"], nfs, 50 * GIB, usage=21 * MIB)
    world.add_disk(vms["batch-01"], ext, 8 * GIB, usage=9 * MIB)
    world.add_base_copies(world.add_disk(vms["chain-bad"], lvm, 12 * GIB), 3)
    world.add_disk(vms["thick-full"], small, 15 * GIB)
    world.add_disk(vms["nobak-01"], ext, 4 * GIB, usage=5 * MIB)
    for vm in vms.values():
        world.add_cd(vm)
    add_backups(world, lab, dr_sr, vms)
    return world


def add_backups(world: World, lab: XoObject, dr_sr: XoObject, vms: dict[str, XoObject]) -> None:
    url = "file:///srv/lab/"
    world.add_repository("small", f"{url}remote-small", size=20 * MIB, available=20 * MIB - 4096)
    world.add_repository("r2", f"{url}remote2", size=252 * GIB)
    remote = world.add_repository("lab-file", f"{url}remote", size=252 * GIB)
    nowhere = {"errno": -20, "code": "ENOTDIR", "syscall": "mkdir", "path": "/srv/file/nope"}
    bad = world.add_repository("bad", "file:///srv/file/nope", error=nowhere)
    del world.repository_info[bad["id"]]

    quiet = {"": {"reportWhen": "never"}}
    webs = [vms["web-01"], vms["web-02"]]
    nightly = world.add_job("S01 delta web nightly", vms=webs, remotes=[remote], settings=quiet)
    replication = world.add_job("S06 replication", vms=[vms["web-01"]], srs=[dr_sr], settings=quiet)
    metadata = world.add_job(
        "S08 metadata",
        type="metadataBackup",
        remotes=[remote],
        pools={"id": lab["id"]},
        xoMetadata=True,
        userId=next(iter(world.users)),
    )
    schedule = world.add_schedule(nightly, timezone="Europe/Paris", enabled=False)
    world.add_schedule(replication, timezone="Europe/Paris", enabled=False, settings={"copyRetention": 2})
    world.add_schedule(metadata, "0 4 * * *", "Europe/Paris", enabled=False, name="meta")
    for vm, name in zip(webs, ("GATE claim", "GATE release"), strict=True):
        world.snapshot(vm, nightly, schedule, name=f"[XO Backup {name}] {vm['name_label']}")
    add_logs(world, schedule, vms)
    world.request_start(schedule, next(iter(world.users)))


def add_logs(world: World, schedule: XoObject, vms: dict[str, XoObject]) -> None:
    web, second = vms["web-01"]["id"], vms["web-02"]["id"]
    full = {"code": "SR_BACKEND_FAILURE_44", "params": ["", "There is insufficient space", ""], "name": "XapiError"}
    cut = {"code": "UND_ERR_SOCKET", "message": "other side closed", "name": "SocketError"}
    outcomes = [
        {web: VmOutcome(error="unhealthy VDI chain")},
        {web: VmOutcome(error=full)},
        {web: VmOutcome(error=cut, failed_at="transfer")},
    ]
    start = NOW - timedelta(hours=12)
    world.add_run(schedule, start, start, {web: VmOutcome(sizes=1)}, status="interrupted")
    for outcome in outcomes:
        start += timedelta(hours=1)
        world.add_run(schedule, start, start + timedelta(minutes=3), outcome)
    for error in ("no VMs match this pattern", f"the job ({schedule['jobId']}) is already running"):
        start += timedelta(hours=1)
        world.add_run(schedule, start, start, error=error)
    start += timedelta(hours=1)
    good = {web: VmOutcome(sizes=14 * MIB, is_full=True), second: VmOutcome(sizes=2 * MIB)}
    world.add_run(schedule, start, start + timedelta(minutes=3), good)
