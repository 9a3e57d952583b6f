"""The world of the demo: a small company on the eve of a clock-change night, with one of every trouble planted.

States are planted, never findings: what guard says of them is guard's own work. ``PLANTED`` names, for each code, the
schedule whose due run must show it; the acceptance test holds guard against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from guard.simulator import demo_history, demo_misc, demo_pool, demo_repositories, demo_srs
from guard.simulator.live import Live
from guard.simulator.world import GIB, VmOutcome, World, XoObject

DEMO_NOW = datetime(2027, 3, 27, 18, 0, tzinfo=UTC)
TOKEN = "simulated-token"  # noqa: S105  opens a simulation only
PARIS = "Europe/Paris"
MIB = GIB // 1024
SLOW_SR, LOCAL_SR = "NFS old", "Local storage"
BASE_COPY = 10 * MIB
_DAILY = {"media-": 20 * GIB, "photos-": 30 * GIB, "files-": 10 * GIB}  # bytes a guest writes in a day; else 1 GiB
_HOURS_SINCE_BACKUP = 17
_PAIR_TAKES = timedelta(minutes=188)  # two pairs are merged soon after 1 o'clock, a few minutes after the run is due

_MIGRATION_TAKES = timedelta(minutes=20)  # over before the run of its VM is due

PLANTED: tuple[tuple[str, str], ...] = (
    ("CHAIN_UNHEALTHY", "web nightly"),
    ("CHAIN_UNHEALTHY", "legacy nightly"),
    ("SR_NO_SPACE", "archive nightly"),
    ("SR_NO_SPACE", "files nightly"),
    ("REPOSITORY_NO_SPACE", "media nightly"),
    ("REPOSITORY_NO_SPACE", "photos nightly"),
    ("REPOSITORY_UNREACHABLE", "branch nightly"),
    ("REPOSITORY_DISABLED", "retired nightly"),
    ("REPOSITORY_DISABLED", "two copies nightly"),
    ("NO_VM_MATCHES", "staging nightly"),
    ("SELECTION_SHRUNK", "shops nightly"),
    ("POOL_DISCONNECTED", "lyon nightly"),
    ("VM_UNKNOWN", "listed nightly"),
    ("SR_DETACHED", "local nightly"),
    ("JOB_RUNNING", "warehouse evening"),
    ("RUN_OVERLAP", "every two hours"),
    ("RUN_OVERLAP", "twin B"),
    ("RUNS_TWICE", "half past two"),
    ("DST_STORM", "storm"),
    ("SETTINGS_MISSING", "unsaved nightly"),
    ("NEXT_RUN_FULL", "two copies nightly"),
    ("REPOSITORY_MISCONFIGURED", "unsaved nightly"),
    ("PLATFORM_TOO_OLD", "retired nightly"),
    ("VENDOR_DEVICE_UNLICENSED", "retired nightly"),
    ("VM_MIGRATING", "warehouse evening"),
    ("CHAIN_TOO_LONG", "retired nightly"),
    ("COALESCE_STUCK", "retired nightly"),
    ("DISK_UNREADABLE", "retired nightly"),
    ("SNAPSHOT_UNSUPPORTED", "retired nightly"),
    ("USB_ATTACHED", "retired nightly"),
    ("PASSTHROUGH_ATTACHED", "retired nightly"),
    ("SNAPSHOT_BLOCKED", "retired nightly"),
    ("OWN_REPLICA", "retired nightly"),
    ("SR_UNKNOWN", "retired nightly"),
    ("HEALTH_CHECK_SR_MISSING", "retired nightly"),
    ("JOB_MISCONFIGURED", "retired nightly"),
    ("EXPORT_TOO_LONG", "retired nightly"),
    ("ENCRYPTION_LIMIT", "unsaved nightly"),
    *demo_history.PLANTED,
    *demo_misc.PLANTED,
    *demo_repositories.PLANTED,
    *demo_pool.PLANTED,
    *demo_srs.PLANTED,
)


def build(now: Callable[[], datetime]) -> World:
    """The world as it stands at ``DEMO_NOW``; the same one every time."""
    demo = _Demo(World(now, token=TOKEN))
    demo.healthy()
    demo.chains()
    demo.space()
    demo.repositories()
    demo.selections()
    demo.overlaps()
    demo.clock_changes()
    demo.oddities()
    demo_history.plant(demo.world)
    demo_misc.plant(demo.world)
    demo_repositories.plant(demo.world)
    demo_srs.plant(demo.world, DEMO_NOW)
    return demo.world


class _Demo:
    """Builders with the demo's habits: nightly delta jobs, a week of past runs, one snapshot left as delta base."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.paris = world.add_pool("paris")
        self.host = world.add_host(self.paris, "xcp-paris-1")
        self.other_host = world.add_host(self.paris, "xcp-paris-2")
        self.san = world.add_sr(self.paris, "SAN LUN 1", SR_type="lvmoiscsi", size=8000 * GIB)
        self.nfs = world.add_sr(self.paris, "NFS store", SR_type="nfs", size=6000 * GIB)
        self.nas = world.add_repository("nas", "nfs://nas.example:/backups", size=20000 * GIB, available=9000 * GIB)

    def vms(self, names: Sequence[str], sr: XoObject, tags: Iterable[str] = (), size: int = 20 * GIB) -> list[XoObject]:
        found = []
        for name in names:
            vm = self.world.add_vm(self.paris, name, tags=list(tags), host=self.host)
            self.world.add_disk(vm, sr, size=size)
            found.append(vm)
        return found

    def nightly(
        self,
        name: str,
        vms: Iterable[XoObject] | XoObject,
        cron: str = "0 1 * * *",
        remotes: Sequence[XoObject] | None = None,
        suffix: str = " nightly",
        enabled: bool = True,
        with_settings: bool = True,
    ) -> XoObject:
        """A delta job with one schedule, named after it with ``suffix``."""
        job = self.world.add_job(name, mode="delta", vms=vms, remotes=[self.nas] if remotes is None else remotes)
        return self.world.add_schedule(
            job, cron, timezone=PARIS, name=name + suffix, enabled=enabled, with_settings=with_settings
        )

    def week(
        self,
        schedule: XoObject,
        vms: Sequence[XoObject],
        delta: int = GIB,
        minutes: int = 20,
        hours_ago: int = 17,
        base: bool = True,
    ) -> None:
        """Seven past runs, the first a full; afterwards each VM keeps its exported snapshot as the base of the next."""
        job = self.world.jobs[schedule["jobId"]]
        for day in range(7, 0, -1):
            start = DEMO_NOW - timedelta(days=day - 1, hours=hours_ago)
            full = day == 7
            outcomes = {
                vm["id"]: VmOutcome(sizes=(12 * GIB if full else delta + (7 - day) * MIB), is_full=full) for vm in vms
            }
            self.world.add_run(schedule, start, start + timedelta(minutes=minutes, seconds=day), outcomes)
        for vm in vms if base else ():
            self.world.snapshot(vm, job, schedule, exported=True, at=DEMO_NOW - timedelta(hours=hours_ago))

    def healthy(self) -> None:
        for name, hour in (("mail", 22), ("erp", 23), ("dns", 0), ("print", 4), ("wiki", 5)):
            vms = self.vms([f"{name}-{number}" for number in (1, 2, 3)], self.nfs, tags=[name])
            schedule = self.nightly(name, {"tags": {"__or": [[name]]}}, cron=f"0 {hour} * * *")
            self.week(schedule, vms)

    def chains(self) -> None:
        web = self.vms(["web-1", "web-2", "web-3", "web-4"], self.san, tags=["web"])
        self.week(self.nightly("web", {"tags": {"__or": [["web"]]}}), web)
        self.world.add_base_copies(self.world.disks_of(web[1])[0], 3)
        legacy = self.vms(["legacy-1"], self.world.add_sr(self.paris, SLOW_SR, SR_type="nfs", size=2000 * GIB))
        self.week(self.nightly("legacy", legacy, cron="15 1 * * *"), legacy)
        self.world.add_base_copies(self.world.disks_of(legacy[0])[0], 4, usage=BASE_COPY)

    def space(self) -> None:
        full = self.world.add_sr(self.paris, "SAN LUN 2 (full)", SR_type="lvmoiscsi", size=500 * GIB)
        archive = self.vms(["archive-1"], full, size=100 * GIB)
        self.week(self.nightly("archive", archive), archive)
        full["physical_usage"] = full["size"] - 12 * MIB
        tight = self.world.add_sr(self.paris, "SAN LUN 3 (tight)", SR_type="lvmoiscsi", size=1000 * GIB)
        files = self.vms(["files-1", "files-2", "files-3", "files-4"], tight, size=100 * GIB)
        self.week(self.nightly("files", files, cron="30 1 * * *"), files, delta=10 * GIB)
        tight["physical_usage"] = tight["size"] - 25 * GIB

    def repositories(self) -> None:
        small = self.world.add_repository("usb-box", "smb://usb.example/b", size=400 * GIB, available=45 * GIB)
        media = self.vms(["media-1", "media-2", "media-3"], self.nfs)
        self.week(self.nightly("media", media, remotes=[small], cron="0 21 * * *"), media, delta=20 * GIB)
        drawer = self.world.add_repository("usb-drawer", "smb://usb.example/d", size=200 * GIB, available=12 * GIB)
        photos = self.vms(["photos-1"], self.nfs)
        self.week(self.nightly("photos", photos, remotes=[drawer], cron="15 21 * * *"), photos, delta=30 * GIB)
        broken = self.world.add_repository(
            "branch-nfs",
            "nfs://branch.example:/b",
            error={"code": "ETIMEDOUT", "message": "mount.nfs: Connection timed out"},
        )
        branch = self.vms(["branch-1"], self.nfs)
        self.week(self.nightly("branch", branch, remotes=[broken], cron="5 21 * * *"), branch)
        off = self.world.add_repository("old-nas", "nfs://old.example:/b", enabled=False)
        self.retired(off)
        copies = self.vms(["copies-1"], self.nfs)
        self.week(self.nightly("two copies", copies, remotes=[self.nas, off], cron="20 21 * * *"), copies, base=False)
        blind = self.world.add_repository("new-nfs", "nfs://new.example:/b")
        self.world.repository_info.pop(blind["id"], None)
        fresh = self.vms(["fresh-1"], self.nfs)
        self.week(self.nightly("no figures", fresh, remotes=[blind], cron="25 21 * * *"), fresh)
        cloud = self.world.add_repository("cloud", "s3://key@s3.example/bucket", size=None)
        offsite = self.vms(["offsite-1"], self.nfs)
        self.week(self.nightly("offsite", offsite, remotes=[cloud], cron="35 21 * * *"), offsite)

    def retired(self, off: XoObject) -> None:
        """A job nobody looked after for years: its target is gone, and each of its VMs has a trouble of its own."""
        attic = self.world.add_sr(self.paris, "NFS attic", SR_type="nfs", size=2000 * GIB)
        attic["other_config"]["gc"] = "false"
        names = ["retired-1", "deep-1", "lost-1", "raw-1", "dongle-1", "gpu-1", "pinned-1", "replica-1", "kiosk-1"]
        first, deep, lost, raw, dongle, gpu, pinned, replica, _ = vms = self.vms(names, attic)
        museum = self.world.add_pool("museum")
        xenserver = self.world.add_host(museum, "xs-museum-1")
        xenserver |= {"version": "6.2.0", "license_params": {"restrict_pci_device_for_auto_update": "true"}}
        antique = self.world.add_vm(museum, "antique-1")
        shelf = self.world.add_sr(museum, "Museum ext", SR_type="ext")
        self.world.add_disk(antique, shelf, size=GIB)
        schedule = self.nightly("retired", [*vms, antique], remotes=[off], cron="10 21 * * *")
        job = self.world.jobs[schedule["jobId"]]
        self.week(schedule, [first])
        self.world.add_base_copies(self.world.disks_of(deep)[0], 30, usage=BASE_COPY)
        self.world.disks_of(lost)[0]["missing"] = True
        self.world.disks_of(raw)[0]["image_format"] = "raw"
        self.world.add_vusb(dongle)
        gpu |= {"attachedPcis": ["0000:03:00.0"], "tags": ["xo-memory-backup"]}
        pinned["blockedOperations"] = {"snapshot": "database, ask first"}
        replica |= {"blockedOperations": {"start": "a replica"}, "other": {"xo:backup:job": job["id"]}}
        first["hasVendorDevice"] = True
        job["srs"] = {"id": {"__or": [self.world.new_id("SR", "forgotten"), shelf["id"]]}}
        job["settings"][schedule["id"]] |= {
            "healthCheckSr": self.world.new_id("SR", "forgotten too"),
            "longTermRetention": {"monthly": {"retention": 12, "settings": {}}},
            "maxExportRate": 10 * 1024,
        }

    def selections(self) -> None:
        staging = {"$pool": self.paris["id"], "tags": {"__or": [["staging"]]}}
        self.nightly("staging", staging, cron="40 20 * * *")
        shops = self.vms([f"shop-{number}" for number in range(1, 11)], self.nfs, tags=["shop"])
        self.week(self.nightly("shops", {"tags": {"__or": [["shop"]]}}, cron="45 20 * * *"), shops)
        for vm in shops[6:]:
            vm["tags"].remove("shop")
        lyon = self.world.add_pool("lyon")
        self.world.add_host(lyon, "xcp-lyon-1")
        away = self.world.add_vm(lyon, "lyon-1")
        self.world.add_disk(away, self.world.add_sr(lyon, "Local ext", SR_type="ext"), size=20 * GIB)
        self.week(self.nightly("lyon", {"$pool": lyon["id"]}, cron="50 20 * * *"), [away])
        server = self.world.server_of(lyon)
        self.world.disconnect(server, status="disconnected", error={"code": "EHOSTUNREACH", "address": "lyon.example"})
        listed = self.vms(["listed-1", "listed-2"], self.nfs)
        self.week(self.nightly("listed", listed, cron="55 20 * * *"), listed)
        self.world.remove_vm(listed[1])
        local = self.world.add_sr(self.paris, LOCAL_SR, SR_type="lvm", size=900 * GIB, shared=True)
        unplugged = self.vms(["local-1", "local-2"], local)
        self.week(self.nightly("local", unplugged, cron="0 20 * * *"), unplugged)
        unplugged[1]["$container"] = self.other_host["id"]
        self.world.unplug(local, self.other_host)

    def overlaps(self) -> None:
        warehouse = self.vms(["warehouse-1", "warehouse-2"], self.nfs)
        job = self.world.add_job("warehouse", vms=warehouse, remotes=[self.nas])
        evening = self.world.add_schedule(job, "30 19 * * *", timezone=PARIS, name="warehouse evening")
        self.week(evening, warehouse, minutes=120, hours_ago=23)
        self.world.start_run(evening, at=DEMO_NOW - timedelta(minutes=40))
        warehouse[1]["current_operations"] = {self.world.new_id("task", "migration"): "pool_migrate"}
        often = self.vms(["often-1"], self.nfs)
        job = self.world.add_job("often", vms=often, remotes=[self.nas])
        frequent = self.world.add_schedule(job, "0 8,10 * * *", timezone=PARIS, name="every two hours")
        self.week(frequent, often, minutes=150, hours_ago=10)
        twins = self.vms(["twin-1"], self.nfs)
        job = self.world.add_job("twins", vms=twins, remotes=[self.nas])
        first = self.world.add_schedule(job, "0 6 * * *", timezone=PARIS, name="twin A")
        self.world.add_schedule(job, "0 6 * * *", timezone=PARIS, name="twin B")
        self.week(first, twins)

    def clock_changes(self) -> None:
        for name, cron in (("half past two", "30 2 * * *"), ("storm", "0,30 2 * * *")):
            vms = self.vms([f"{name.replace(' ', '-')}-1"], self.nfs)
            schedule = self.nightly(name, vms, cron=cron, suffix="")
            self.week(schedule, vms, minutes=10)

    def oddities(self) -> None:
        unsaved = self.vms(["unsaved-1", "unsaved-2"], self.nfs)
        misfit = self.world.add_repository("proxy-nas", "nfs://far.example:/b", proxy=self.world.add_proxy("far"))
        schedule = self.nightly("unsaved", unsaved, "0 12 * * *", [self.nas, misfit], with_settings=False)
        self.world.jobs[schedule["jobId"]]["mode"] = "full"
        self.world.disks_of(unsaved[1])[0] |= {"size": 100 * GIB, "usage": 70 * GIB}
        self.world.repository_info[misfit["id"]]["encryption"] |= {"algorithm": "aes-256-gcm", "isLegacy": True}
        number = self.vms(["number-1"], self.nfs)
        job = self.world.add_job(123, vms=number, remotes=[self.nas])
        self.week(self.world.add_schedule(job, "0 13 * * *", timezone="Mars/Olympus", name="number"), number)
        metadata = self.world.add_job(
            "metadata", type="metadataBackup", remotes=[self.nas], pools={"id": self.paris["id"]}, xoMetadata=True
        )
        self.world.add_schedule(metadata, "0 14 * * *", timezone=PARIS, name="metadata")
        members = []
        for name in ("step one", "step two"):
            vms = self.vms([f"{name.replace(' ', '-')}-1"], self.nfs)
            member = self.nightly(name, vms, enabled=False, cron="0 0 1 jan *", suffix="")
            self.week(member, vms)
            members.append(member)
        self.world.add_sequence("sunday sequence", members, cron="0 15 * * *")


def awaken(world: World) -> Live:
    """The demo's world, from now on in driven time: its guests write as their past backups tell, and the collector of one
    SR is slow: what waits for it, waits past its due time.
    """
    live = Live(world)
    for vm in list(world.objects["VM"].values()):
        daily = next((size for prefix, size in _DAILY.items() if vm["name_label"].startswith(prefix)), GIB)
        for disk in world.disks_of(vm)[:1]:
            world.write(disk, daily * _HOURS_SINCE_BACKUP // 24)
        live.guests.set_rate(vm, daily / 86400)
        if vm["current_operations"]:
            live.timeline.after(_MIGRATION_TAKES.total_seconds(), vm["current_operations"].clear, live.outside)
    slow = _sr(world, SLOW_SR)
    live.collector.rates[slow["id"]] = BASE_COPY / _PAIR_TAKES.total_seconds()
    live.collector.kick(slow)
    demo_misc.settle(live)
    return live


def connect_local_storage(live: Live) -> None:
    """What the plan advises about ``local nightly``."""
    for identity in _sr(live.world, LOCAL_SR)["$PBDs"]:
        live.world.get("PBD", identity)["attached"] = True


def _sr(world: World, name: str) -> XoObject:
    return next(one for one in world.objects["SR"].values() if one["name_label"] == name)
