"""XO's own side of the world: users, backup repositories, jobs, schedules, sequences and proxies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from guard.simulator import shapes
from guard.simulator.collector import Collector
from guard.simulator.shapes import GIB, XoObject

Pattern = Mapping[str, Any]


def id_pattern(targets: Iterable[XoObject] | Pattern) -> XoObject:
    """How XO writes a choice of objects: one id, or ``__or`` of several. A pattern is taken as it is."""
    if isinstance(targets, Mapping):
        return dict(targets)
    ids = [target["id"] for target in targets]
    return {"id": ids[0] if len(ids) == 1 else {"__or": ids}}


class Backups(Collector):
    """What an administrator has set up in XO."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.repositories: dict[str, XoObject] = {}
        self.repository_info: dict[str, XoObject] = {}
        self.jobs: dict[str, XoObject] = {}
        self.call_jobs: dict[str, XoObject] = {}
        self.schedules: dict[str, XoObject] = {}
        self.on_schedule_added: Callable[[XoObject], None] = lambda _schedule: None  # XO sets its timer then
        self.archives: dict[str, list[XoObject]] = {}
        """Repository id -> the backups that were there before the world began."""
        self.unlisted_repositories: set[str] = set()
        """Ids of the repositories whose backups XO cannot list, which it keeps to itself."""
        self.proxies: dict[str, XoObject] = {}
        self.users: dict[str, XoObject] = {}
        self.tokens: dict[str, str] = {}
        """Token -> user id."""
        self.token_records: dict[str, XoObject] = {}
        """Token -> what XO keeps of it; one without a record never runs out (guard.simulator.tokens)."""
        self.passwords: dict[tuple[str, str], str] = {}
        """(email, password) -> user id, for HTTP basic."""

    def add_user(self, email: str, token: str, permission: str = "admin", password: str | None = None) -> XoObject:
        """A user with a token. ``permission``: admin or none."""
        user: XoObject = {"id": self.new_id("user", email), "email": email, "permission": permission}
        self.users[user["id"]] = user
        self.tokens[token] = user["id"]
        if password is not None:
            self.passwords[email, password] = user["id"]
        return user

    def add_repository(
        self,
        name: str,
        url: str | None = None,
        size: int | None = 1000 * GIB,
        available: int | None = None,
        enabled: bool = True,
        error: object = None,
        proxy: XoObject | None = None,
    ) -> XoObject:
        """A backup repository and what ``df`` says of it; ``size`` None: an object store, which has no figures.

        ``error``: the object XO keeps of the last failed mount or test. Without a word about ``available`` it is
        half of ``size``. A disabled repository has no figures at all.
        """
        repository: XoObject = {
            "enabled": enabled,
            "name": name,
            "id": self.new_id("remote", name),
            "url": url or f"file:///srv/backups/{name}",
        }
        if error is not None:
            repository["error"] = error
        if proxy is not None:
            repository["proxy"] = proxy["id"]
        self.repositories[repository["id"]] = repository
        if enabled:
            self.set_repository_space(repository, size, available)
        return repository

    def set_repository_space(self, repository: XoObject, size: int | None, available: int | None = None) -> None:
        """What ``remote.getAllInfo`` says from now on (bytes)."""
        encryption = {"algorithm": "none", "isLegacy": False, "recommendedAlgorithm": "chacha20-poly1305"}
        info: XoObject = {"encryption": encryption}
        if size is not None:
            free = size // 2 if available is None else available
            info = {"size": size, "used": size - free, "available": free, "encryption": encryption}
        self.repository_info[repository["id"]] = info

    def add_archive(
        self,
        repository: XoObject,
        vm: XoObject,
        schedule: XoObject,
        at: datetime,
        size: int = GIB,
        disks: Iterable[XoObject] = (),
        immutable: bool = False,
    ) -> XoObject:
        """A backup of a VM on a repository, made from these snapshot VDIs."""
        found = shapes.archive(
            repository["id"],
            vm["id"],
            at,
            job_id=schedule["jobId"],
            schedule_id=schedule["id"],
            mode=self.jobs[schedule["jobId"]]["mode"],
            size=size,
            disks=[disk["id"] for disk in disks],
            immutable=immutable,
        )
        self.archives.setdefault(repository["id"], []).append(found)
        return found

    def add_job(
        self,
        name: object,
        mode: str = "delta",
        vms: Iterable[XoObject] | Pattern = (),
        remotes: Iterable[XoObject] | Pattern = (),
        srs: Iterable[XoObject] | Pattern = (),
        settings: Mapping[str, Any] | None = None,
        type: str = "backup",  # noqa: A002 - XO's own word
        **properties: object,
    ) -> XoObject:
        """A backup job. ``vms``, ``remotes`` and ``srs``: objects, or a pattern as XO stores it.

        ``settings``: merged over ``{"": {"reportWhen": "failure"}}``. ``properties``: any other key (``pools``,
        ``proxy``, ``compression``). Keys without targets are left out, as XO does.
        """
        job: XoObject = {"name": name}
        if type != "metadataBackup":
            job["mode"] = mode
        if type == "backup":
            job["vms"] = id_pattern(vms) if vms else {"id": {"__or": []}}
        job["settings"] = {"": {"reportWhen": "failure"}, **(settings or {})}
        if remotes:
            job["remotes"] = id_pattern(remotes)
        if srs:
            job["srs"] = id_pattern(srs)
        job |= {"type": type, "id": self.new_id("job", name), **properties}
        self.jobs[job["id"]] = job
        return job

    def add_schedule(
        self,
        job: XoObject,
        cron: str = "0 3 * * *",
        timezone: str | None = None,
        enabled: bool = True,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        with_settings: bool = True,
    ) -> XoObject:
        """A schedule of a job, and its part of the job's settings (``exportRetention`` 7) unless told not to.

        ``timezone`` None leaves the key out, which XO takes as UTC.
        """
        schedule: XoObject = {
            "cron": cron,
            "enabled": enabled,
            "jobId": job["id"],
            "name": f"{job['name']} schedule" if name is None else name,
        }
        if timezone is not None:
            schedule["timezone"] = timezone
        schedule["id"] = self.new_id("schedule", job["id"], cron)
        if with_settings and "settings" in job:
            job["settings"][schedule["id"]] = {"exportRetention": 7, "snapshotRetention": 0, **(settings or {})}
        self.schedules[schedule["id"]] = schedule
        self.on_schedule_added(schedule)
        return schedule

    def add_sequence(
        self,
        name: str,
        schedules: Iterable[XoObject],
        cron: str = "0 1 * * *",
        timezone: str | None = None,
        enabled: bool = True,
    ) -> tuple[XoObject, XoObject]:
        """A sequence: a job of type ``call`` and its schedule, returned as (job, schedule)."""
        ids = [schedule["id"] for schedule in schedules]
        job = self.add_call_job(name, "schedule.runSequence", [{"schedules": ids}])
        return job, self.add_schedule(job, cron, timezone, enabled, name=name)

    def add_call_job(self, name: str, method: str, values: list[XoObject]) -> XoObject:
        """A job of type ``call``: XO calls its own method once for each of ``values``."""
        job: XoObject = {
            "id": self.new_id("job", name),
            "key": "genericTask",
            "method": method,
            "name": name,
            "paramsVector": {"type": "crossProduct", "items": [{"type": "set", "values": values}]},
            "type": "call",
            "userId": next(iter(self.users), ""),
        }
        self.call_jobs[job["id"]] = job
        return job

    def add_proxy(self, name: str, reachable: bool = True) -> XoObject:
        """A backup proxy. An unreachable one has no ``version``. Its URL holds a token, as in XO."""
        identity = self.new_id("proxy", name)
        url = f"https://simulated-token@{name}.example/"
        proxy: XoObject = {"id": identity, "name": name, "vmUuid": self.new_id("VM", "proxy", name), "url": url}
        if reachable:
            proxy["version"] = "0.29.60"
        self.proxies[identity] = proxy
        return proxy
