"""The month of test_month: a company of two pools and 40 schedules, and what goes wrong there in spring 2027."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from guard.simulator.live import Live
from guard.simulator.shapes import XoObject
from guard.simulator.world import GIB, World

PARIS = "Europe/Paris"
FIRST = datetime(2027, 3, 8, 9, 10, 20, tzinfo=UTC)
DAYS = 30
LAST = FIRST + timedelta(days=DAYS)  # the clocks go forward on the 28th
MIB = GIB // 1024
LEAST_GUESTS, MEDIA = 48 * MIB, 320 * MIB  # what a guest writes in six hours


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """UTC; never on the minute, so that nothing planted meets a due time. Day 32 is the first of April."""
    return datetime(2027, 3, 1, hour, minute, 20, tzinfo=UTC) + timedelta(days=day - 1)


class Company:
    """The world as it stands at ``FIRST``. ``schedule``: by name. ``planted``: when something happens."""

    def __init__(self) -> None:
        self.world = world = World(lambda: FIRST)
        self.paris, self.lyon = world.add_pool("paris"), world.add_pool("lyon")
        self.hosts = {"paris": world.add_host(self.paris, "xcp-1"), "lyon": world.add_host(self.lyon, "xcp-9")}
        self.nfs = world.add_sr(self.paris, "NFS", "nfs", size=6000 * GIB)
        self.san = world.add_sr(self.paris, "SAN", "lvmoiscsi", size=4000 * GIB)
        self.lazy = world.add_sr(self.paris, "NFS whose chains stop coalescing", "nfs", size=2000 * GIB)
        self.local = world.add_sr(self.lyon, "Local", "ext", size=2000 * GIB)
        self.array = world.add_sr(self.lyon, "Failing array", "nfs", size=2000 * GIB)
        self.nas = world.add_repository("nas", "nfs://nas.example:/b", size=20000 * GIB, available=15000 * GIB)
        self.usb = world.add_repository("usb", "smb://usb.example/b", size=40 * GIB, available=40 * GIB)
        self.vault = world.add_repository("vault", "nfs://vault.example:/b", size=20000 * GIB, available=15000 * GIB)
        self.cloud = world.add_repository("cloud", "s3://key@s3.example/bucket", size=None)
        self.vms: dict[str, list[XoObject]] = {}
        self.schedule: dict[str, XoObject] = {}
        self.planted: list[datetime] = []
        self.nights()
        self.other_rhythms()
        self.live = Live(world)
        self.live.rates.default_host_rate = 400.0 * MIB
        for slow in ("big", "lyon slow"):
            self.live.rates.jobs[self.schedule[slow]["jobId"]] = 2.5 * MIB

    def guests(self, name: str, count: int, sr: XoObject, tag: str = "") -> list[XoObject]:
        pool = self.lyon if sr in (self.local, self.array) else self.paris
        made = [self.world.add_vm(pool, f"{name}-{number}", [tag] if tag else []) for number in range(1, count + 1)]
        for vm in made:
            if sr is self.san:
                self.world.add_disk(vm, sr, 8 * GIB, data=2 * GIB)
            else:
                self.world.add_disk(vm, sr, 8 * GIB, usage=2 * GIB)
        self.vms[name] = made
        return made

    def plan(self, name: str, cron: str, vms: Iterable[XoObject] | XoObject, *, mode: str = "delta", keep: int = 4,
             to: Iterable[XoObject] = (), enabled: bool = True) -> None:  # fmt: skip
        """A job with one schedule of its name."""
        job = self.world.add_job(name, mode=mode, vms=vms, remotes=list(to) or [self.nas])
        self.schedule[name] = self.world.add_schedule(
            job, cron, timezone=PARIS, name=name, enabled=enabled, settings={"exportRetention": keep}
        )

    def nights(self) -> None:
        for name in ("mail", "erp", "dns", "wiki"):
            self.guests(name, 2, self.nfs, tag=name)
            self.plan(name, "0 22 * * *", {"tags": {"__or": [[name]]}})
        self.plan("two copies", "0 22 * * *", self.guests("two copies", 1, self.nfs), to=[self.nas, self.cloud])
        for name in ("web", "files", "crm", "build"):
            self.plan(name, "0 23 * * *", self.guests(name, 2, self.san))
        for name in ("legacy", "old"):
            self.plan(name, "0 0 * * *", self.guests(name, 1, self.lazy))
        self.guests("lyon", 2, self.local, tag="lyon")
        self.plan("lyon smart", "0 1 * * *", {"$pool": {"__or": [self.lyon["id"]]}, "tags": {"__or": [["lyon"]]}})
        self.plan("lyon list", "0 1 * * *", self.guests("lyon list", 2, self.local))
        self.plan("lyon one", "0 1 * * *", self.guests("lyon one", 1, self.local))
        for name in ("array a", "array b"):
            self.plan(name, "0 1 * * *", self.guests(name, 1, self.array))
        self.plan("lyon slow", "30 20 * * *", self.guests("lyon slow", 1, self.local))
        self.plan("big", "30 1 * * *", self.guests("big", 2, self.nfs))
        self.plan("half past two", "30 2 * * *", self.guests("half past two", 1, self.nfs))
        self.plan("media", "0 3 * * *", self.guests("media", 2, self.nfs), to=[self.usb], keep=30)
        self.plan("archive", "0 3 * * *", self.guests("archive", 1, self.nfs), mode="full")
        for name in ("hung", "unarmed", "switched"):
            self.plan(name, "0 4 * * *", self.guests(name, 1, self.nfs))

    def other_rhythms(self) -> None:
        for name in ("hourly", "hourly too"):
            self.plan(name, "0 * * * *", self.guests(name, 1, self.nfs), keep=24)
        for day, name in enumerate(("monday", "tuesday", "thursday", "saturday", "sunday")):
            vms = self.guests(name, 1, self.san if day % 2 else self.nfs)
            self.plan(name, f"0 5 * * {name[:3]}", vms, mode="full" if day < 2 else "delta")
        for name in ("noon and midnight", "shifts", "ledgers"):
            self.plan(
                name, "0 0,12 * * *" if name.startswith("noon") else "0 6,18 * * *", self.guests(name, 1, self.nfs)
            )
        members = ("step one", "step two", "step three")
        for name in members:
            self.plan(name, "0 0 1 jan *", self.guests(name, 1, self.nfs), enabled=False)
        members = [self.schedule[name] for name in members]
        self.schedule["sequence"] = self.world.add_sequence("sequence", members, "0 21 * * *", PARIS)[1]
        mirror = self.world.add_job("mirror", type="mirrorBackup", remotes=[self.vault], sourceRemote=self.nas["id"])
        metadata = self.world.add_job(
            "metadata", type="metadataBackup", remotes=[self.nas], pools={"id": self.paris["id"]}, xoMetadata=True
        )
        for job, hour in ((mirror, 7), (metadata, 8)):
            self.schedule[job["name"]] = self.world.add_schedule(
                job, f"0 {hour} * * *", timezone=PARIS, name=job["name"]
            )

    # --- what happens

    def fate(self) -> None:
        """Plant the month: all of it happens by itself, at its time."""
        live, world = self.live, self.world
        server = world.server_of(self.lyon)
        for quarter in range(DAYS * 4):
            self.happens(FIRST + timedelta(hours=6 * quarter, minutes=35), self.guests_write)
        # an array that first gives read errors and then is gone
        for name in ("array a", "array b"):
            self.happens(at(10, 18), lambda vm=self.vms[name][0]: live.planted.fail_exports(vm, "VDI_IO_ERROR"))
        self.happens(at(11, 18), lambda: world.unplug(self.array))
        self.happens(at(14, 12), self.plug_array)
        # chains that stop coalescing
        self.happens(at(11, 12), lambda: live.collector.switch_off(self.lazy))
        self.happens(at(17, 12), lambda: live.collector.switch_on(self.lazy))
        # XO: killed in the middle of runs, down for half a night, restarted
        self.happens(at(13, 0, 34), live.restart_xo)
        self.happens(at(15, 22, 30), live.stop_xo)
        self.happens(at(16, 2, 45), live.start_xo)
        self.happens(at(23, 6, 20), live.restart_xo)
        # a pool lost for a night, in the middle of a run
        self.happens(at(17, 19, 36), lambda: live.lose_pool(server))
        self.happens(at(18, 6, 10), lambda: live.regain_pool(server))
        # persons
        self.happens(at(19, 10), lambda: live.set_schedule({"id": self.schedule["switched"]["id"], "enabled": False}))
        self.happens(at(22, 10), lambda: live.set_schedule({"id": self.schedule["switched"]["id"], "enabled": True}))
        self.happens(at(26, 12, 30), lambda: world.set_repository_space(self.usb, 400 * GIB, 360 * GIB))
        self.happens(at(27, 12, 30), lambda: world.remove_vm(self.vms["crm"][1]))
        for name, when in BY_HAND:
            self.happens(when, lambda name=name: live.jobs.run_schedule(self.schedule[name], "rpc"))
        # one that XO forgets to arm, one that hangs, a rolling pool update
        self.happens(at(20, 12, 30), lambda: live.scheduler.disarm(self.schedule["unarmed"]["id"]))
        self.happens(at(23, 2, 30), lambda: live.planted.hang_exports(self.vms["hung"][0]))
        self.happens(at(30, 12, 20), lambda: live.start_rpu(self.paris, timedelta(hours=3)))

    def happens(self, when: datetime, action: Callable[[], object]) -> None:
        def act() -> None:
            action()

        self.planted.append(when)
        self.live.timeline.at(when, act, self.live.outside)

    def guests_write(self) -> None:
        for name, vms in self.vms.items():
            for vm in vms:
                if vm["id"] in self.world.objects["VM"]:
                    self.world.write(
                        self.world.disks_of(vm)[0], MEDIA if name in ("media", "big", "lyon slow") else LEAST_GUESTS
                    )

    def plug_array(self) -> None:
        for identity in self.array["$PBDs"]:
            self.world.get("PBD", identity)["attached"] = True


BY_HAND = (
    ("mail", at(9, 14, 11)),
    ("web", at(12, 15, 13)),
    ("metadata", at(14, 9, 40)),
    ("switched", at(20, 11, 31)),  # while it is switched off
    ("step two", at(21, 14, 41)),  # a member of a sequence that went well the evening before
    ("big", at(25, 0, 20)),  # still going on when it is due
    ("lyon smart", at(29, 16, 5)),
    ("shifts", at(33, 1, 25)),  # in the night in which guard cannot reach XO
)
CUT = (at(32, 20, 30), at(33, 6))
"""Guard's way to XO is cut; XO itself runs."""
