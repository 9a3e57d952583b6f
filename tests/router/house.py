"""The world that both serve: the demo's, with what the demo has no need of, and as JSON for the router's side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from guard.simulator import demo
from guard.simulator.world import GIB, VmOutcome, World, XoObject

NOW = demo.DEMO_NOW
ADMIN, READER = "simulated-token", "reader-token"
ALARM_BODY = (
    'value: {value}\nconfig:\n<variable>\n<name value="{name}"/>\n<alarm_trigger_level value="0.4"/>\n</variable>'
)
BASIC = "admin@example.org:simulated-password"


@dataclass
class House:
    """A world and the objects in it that requests name."""

    world: World
    odd: XoObject
    web: XoObject
    schedule: XoObject
    job: XoObject
    sequence: XoObject
    log: XoObject
    finished: XoObject
    repository: XoObject
    server: XoObject
    task: XoObject
    message: XoObject
    alarm: XoObject
    hidden: XoObject
    shelves: tuple[str, str]


def build() -> House:
    """The same world every time; no time goes by in it."""
    world = demo.build(lambda: NOW)
    world.add_user("reader@example.org", READER, permission="none", password="reader-password")
    pools = {pool["name_label"]: pool for pool in world.objects["pool"].values()}
    vms = {vm["name_label"]: vm for vm in world.objects["VM"].values()}
    srs = {sr["name_label"]: sr for sr in world.objects["SR"].values()}
    odd = world.add_vm(pools["paris"], 'Odd "one" (42) a/b * é', tags=["42", "customer=acme"], power_state="Halted")
    odd |= {"name_description": "first line\nsecond: line\n", "other": {"size": "2048", "xo:note": "deep [NOBAK]"}}
    odd |= {"snapshots": [], "startTime": None, "auto_poweron": True}
    world.add_disk(odd, srs["NFS store"], size=4 * GIB)
    world.add_cd(odd)
    world.add_cd(vms["web-1"])
    world.add_vusb(vms["web-2"])
    world.add_xapi_task(pools["paris"], "Garbage Collection", applies_to=srs["SAN LUN 1"])
    message = world.add_message(srs["SAN LUN 1"], "SR_GC_NO_SPACE", "not enough room")
    world.add_message(vms["web-1"], "ALARM", ALARM_BODY.format(value="0.912345", name="cpu_usage"))
    world.add_message(vms["web-2"], "ALARM", ALARM_BODY.format(value="NaN", name="physical_utilisation"))
    world.add_message(vms["web-3"], "BOND_STATUS_CHANGED", "The status of the eth0+eth1 bond is: 1/2 up")
    world.add_message(vms["web-4"], "ALARM", "what nobody can read")["$object"] = "gone"
    for reachable in (True, False):
        world.add_proxy(f"proxy-{reachable}".lower(), reachable=reachable)
    schedules = {one["name"]: one for one in world.schedules.values()}
    web = schedules["web nightly"]
    members = [vm for name, vm in vms.items() if name.startswith("web-")]
    finished = add_logs(world, web, members)
    task = add_xo_tasks(world)
    running = next(log for log in world.logs.values() if log["status"] == "pending")
    sequence = next(iter(world.call_jobs.values()))
    broken = next(one for one in world.repositories.values() if "error" in one)
    server = world.server_of(pools["lyon"])
    return House(
        world=world,
        odd=odd,
        web=members[0],
        schedule=web,
        job=world.jobs[web["jobId"]],
        sequence=sequence,
        log=running,
        finished=finished,
        repository=broken,
        server=server,
        task=task,
        message=message,
        alarm=next(one for one in world.objects["message"].values() if one["name"] == "ALARM"),
        hidden=vms["lyon-1"],
        shelves=add_archives(world, web, members),
    )


def add_archives(world: World, schedule: XoObject, vms: list[XoObject]) -> tuple[str, str]:
    """Backups on one repository, and another whose listing fails; returns their ids."""
    nas, other = list(world.repositories.values())[:2]
    for hours, immutable in ((30, True), (6, False)):
        for vm in vms[:2]:
            at = NOW - timedelta(hours=hours)
            world.add_archive(nas, vm, schedule, at, disks=world.disks_of(vm), immutable=immutable)
    world.add_archive(other, vms[0], schedule, NOW - timedelta(hours=6))
    world.unlisted_repositories.add(other["id"])
    return nas["id"], other["id"]


def add_logs(world: World, schedule: XoObject, vms: list[XoObject]) -> XoObject:
    """One log of each kind; returns the one with a failed, a skipped and a good VM."""
    chain, space = "unhealthy VDI chain", {"message": "no room", "code": "SR_BACKEND_FAILURE_44", "name": "XapiError"}
    outcomes = {
        vms[0]["id"]: VmOutcome(sizes=GIB),
        vms[1]["id"]: VmOutcome(error={"message": chain, "name": "Error"}, failed_at="snapshot"),
        vms[2]["id"]: VmOutcome(error=space, failed_at="snapshot"),
    }
    start = NOW - timedelta(hours=9)
    mixed = world.add_run(schedule, start, start + timedelta(minutes=7), outcomes)
    world.add_run(schedule, start + timedelta(hours=1), start + timedelta(hours=1), error="no VMs match this pattern")
    hour = start + timedelta(hours=2)
    world.add_run(schedule, hour, hour + timedelta(minutes=7), {vms[3]["id"]: VmOutcome()}, status="interrupted")
    # two runs of one millisecond: XO tells their ids apart by a suffix
    for _ in range(2):
        world.add_run(schedule, start, start + timedelta(minutes=1), {vms[3]["id"]: VmOutcome()})
    return mixed


def add_xo_tasks(world: World) -> XoObject:
    """XO's own tasks, one of each status; returns the pending one."""
    moment = world.milliseconds()
    rows = [
        ("0mtask001-pending0000", "pending", {"name": "Rolling pool update", "progress": 25}),
        ("0mtask002-success0000", "success", {"name": "REST API: rolling pool reboot", "objectType": "pool"}),
        ("0mtask003-failure0000", "failure", {"name": "API call: vm.start", "params": {"id": "x"}}),
        ("0mtask004-interrupted", "interrupted", {"name": "Schedule sequence", "type": "xo:schedule:sequence"}),
    ]
    for identity, status, properties in rows:
        task: XoObject = {"id": identity, "properties": properties, "start": moment, "status": status}
        if status in {"success", "failure"}:
            task |= {"end": moment + 1000, "updatedAt": moment + 1000}
        if status == "failure":
            task["result"] = {"message": "no room", "code": 24}
        world.xo_tasks[identity] = task
    return world.xo_tasks[rows[0][0]]


def by_vm(archives: list[XoObject]) -> dict[str, list[XoObject]]:
    found: dict[str, list[XoObject]] = {}
    for archive in archives:
        found.setdefault(archive["vm"]["uuid"], []).append(archive)
    return found


def dump(world: World, failures: dict[str, XoObject] | None = None) -> dict[str, Any]:
    """All that the router's side needs to know of a world. ``failures``: by schedule, how the whole run fails."""
    return {
        "objects": list(world.visible_of_all_types()),
        "jobs": [*world.jobs.values(), *world.call_jobs.values()],
        "schedules": list(world.schedules.values()),
        "repositories": list(world.repositories.values()),
        "servers": list(world.servers.values()),
        "proxies": list(world.proxies.values()),
        "archives": dict.fromkeys(world.unlisted_repositories)
        | {one: by_vm(found) for one, found in world.archives.items() if one not in world.unlisted_repositories},
        "logs": list(world.logs.values()),
        "tasks": list(world.xo_tasks.values()),
        "users": list(world.users.values()),
        "tokens": world.tokens,
        "passwords": [[name, secret, user] for (name, secret), user in world.passwords.items()],
        "failures": failures or {},
        "now": world.milliseconds(),
    }
