"""What both are asked: every request guard makes, and what else a client may send or get wrong."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from guard.estate import xo_records as records
from guard.simulator.serve import Simulator, serve
from guard.simulator.world import World
from guard.xo import reads, writes
from guard.xo.client import XoSettings
from guard.xo.live import LiveXo
from guard.xo.token import Token
from starlette.types import Receive, Scope, Send
from tests.router.house import ADMIN, BASIC, NOW, READER, House

UNKNOWN = "00000000-0000-4000-8000-000000000000"
AS_ADMIN = {"cookie": f"authenticationToken={ADMIN}"}
AS_READER = {"cookie": f"authenticationToken={READER}"}
AS_NOBODY: dict[str, str] = {}


def basic(text: str, scheme: str = "Basic ") -> dict[str, str]:
    return {"authorization": scheme + base64.b64encode(text.encode()).decode()}


@dataclass(frozen=True)
class Question:
    """One request below ``/rest/v0``. ``path`` goes over the wire as it is."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=lambda: AS_ADMIN)
    who: str = "admin"

    @property
    def name(self) -> str:
        who = "" if self.who == "admin" else f" as {self.who}"
        return f"{self.method} {self.path}{who}"


def ask(path: str, **query: Any) -> Question:
    return Question(path + ("?" + urlencode(query) if query else ""))


def all_questions(house: House) -> list[Question]:
    found = [
        *guards_own(house),
        *lists(),
        *filters(house),
        *archives(house),
        *options(),
        *single_objects(house),
        *credentials(house),
        *without_privileges(house),
        *routes(house),
    ]
    return list({one.name: one for one in found}.values())


def guards_own(house: House) -> Iterator[Question]:
    """What guard/xo sends, as heard on the wire; and how it looks for runs, with ids of this world."""
    for path in heard(house.world):
        yield Question(path)
    logs = [log["id"] for log in house.world.logs.values()]
    for ids in (logs[:3], logs[-1:], [UNKNOWN, logs[0]]):
        yield ask("/backup-logs", fields=reads.fields_of(records.BackupLog), filter=reads.id_filters(ids)[0])
    jobs = reads.id_filters([house.job["id"], house.log["jobId"]])[0]
    for wanted in (jobs, ""):
        yield ask("/backup-jobs", fields=reads.fields_of(writes._Running), filter=wanted)


def heard(world: World) -> list[str]:
    """The paths below the base of every GET of guard's three readings, in the order they came."""
    simulator, paths = Simulator(world), []

    async def listening(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            query = scope["query_string"].decode()
            paths.append(scope["path"].removeprefix("/rest/v0") + (f"?{query}" if query else ""))
        await simulator(scope, receive, send)

    async def read() -> None:
        async with serve(listening) as url:
            settings = XoSettings(url=url)
            xo = LiveXo(lambda: settings, lambda: Token(ADMIN), clock=lambda: NOW)
            await xo.estate()
            await xo.setup()
            await xo.logs(NOW - timedelta(days=2), ())
            await xo.rolling_updates()

    asyncio.run(read())
    return paths


COLLECTIONS = (
    *("backup-jobs", "backup-logs", "backup-repositories", "hosts", "networks", "pbds", "pools", "proxies"),
    *("schedules", "servers", "sms", "srs", "tasks", "vbds", "vdi-snapshots", "vdis", "vm-snapshots", "vms"),
    *("alarms", "messages"),
)


def lists() -> Iterator[Question]:
    for collection in COLLECTIONS:
        yield ask(f"/{collection}")
        yield ask(f"/{collection}", fields="*")
    for collection in ("vms", "backup-logs", "schedules", "vdis"):
        yield ask(f"/{collection}", fields="*", ndjson="true")
        yield ask(f"/{collection}", ndjson="true")
        yield ask(f"/{collection}", fields="id,nope", ndjson="true", limit=2)


def archives(house: House) -> Iterator[Question]:
    """Backups are only listed of the repositories asked for; of one that cannot be listed nothing is told."""
    nas, unlisted = house.shelves
    fields = reads.fields_of(records.Archive)
    for asked in ((), ("*",), (nas,), (nas, unlisted), (unlisted,), (UNKNOWN,), (nas, UNKNOWN), ("",)):
        for more in ((), (("fields", "*"),), (("fields", fields), ("filter", "mode:/^delta$/")), (("filter", "(("),)):
            sent = [("backup-repository", one) for one in asked]
            yield Question("/backup-archives?" + urlencode([*sent, *more]))
    yield Question(
        "/backup-archives?" + urlencode([("backup-repository", nas), ("backup-repository", nas), ("limit", "1")])
    )
    for headers, who in ((AS_READER, "reader"), (AS_NOBODY, "nobody")):
        for asked in (nas, UNKNOWN):
            yield Question(f"/backup-archives?backup-repository={asked}", headers=headers, who=who)
    yield ask("/backup-archives/nope")


def filters(house: House) -> Iterator[Question]:
    for collection, texts in FILTERS.items():
        for text in texts_of(texts, house):
            yield ask(f"/{collection}", fields="id", filter=text)
    yield ask("/vms", fields="id", filter="  web  ")
    for text in texts_of(NO_FILTERS, house):
        yield ask("/vms", fields="id", filter=text)
    for collection in ("tasks", "backup-logs", "alarms"):
        yield ask(f"/{collection}", filter="((")


def texts_of(block: str, house: House) -> list[str]:
    """The filters of a block, which three blanks or a line end keep apart; ``<name>`` stands for something of this world."""
    known = {
        "vm": house.web["id"],
        "unknown": UNKNOWN,
        "host": house.web["$container"],
        "sr": next(iter(house.world.objects["SR"])),
        "job": house.job["id"],
        "schedule": house.schedule["id"],
        "repository": house.repository["id"],
        "log": house.finished["id"],
        "start": house.finished["start"],
    }
    for name, value in known.items():
        block = block.replace(f"<{name}>", str(value))
    return re.split(r"\s*\n\s*|   +", block.strip())


FILTERS = {
    "vms": r"""
        web   WEB   web-1   web mail   w*1   web*1   /^web/   /^WEB-\d$/   /^WEB-\d$/i   name_label:/^web-1$/
        id:/^<vm>$/   id:<vm>   uuid:<vm>   |(id:/^<vm>$/ id:/^<unknown>$/)   !(id:<vm>)
        power_state:Running   power_state:/^Halted$/   power_state:running tags:web   tags:web   tags:/^we/   tags:42   42
        memory:size:2147483648   memory:size:>2000000000   memory:size:<=2147483648   memory:size:>2e9   memory:size:>.5
        memory:size:>0x10   memory:size:<Infinity   memory:size:>-1   memory:dynamic:0:>1   memory:>0   tags:>0
        CPUs:number:2   CPUs:number:>=2   CPUs:2   CPUs:number:0x2   CPUs:number:2.0   CPUs:number:002   CPUs:number:-2
        CPUs:number:2.   2e9   auto_poweron?   !auto_poweron?   auto_poweron:>0   tags?   mainIpAddress?   !mainIpAddress?
        nope?   nope:x   !nope:x   !nope:!x   os_version:name:debian   os_version:distro:debian   startTime:<1   startTime:>0
        "Odd \"one\""   "odd"   name_label:é   É   name_description:line   "a/b"   other:deep   "xo:note":x
        other:"xo:note":deep   other:size:2048   other:size:>2047   other:size:/48$/   tags:0:web   tags:0:42
        "$container":<host>   $container:<host>   |(web mail)   |(web (mail !mail-1))   (web)   ((web))   | ( web mail )
        ! web   |(web)   !!web   tags:|(web mail)   tags:(web)   tags:!web   snapshots:length:>0   snapshots:length:0
        $VBDs:length:2   $VBDs:length?   snapshots:length?   name_label:length:5   name_label:0:w   $VBDs:x?   length?
        tags:length:1   constructor:x   id?   high_availability?   blockedOperations?   power_state?   name_label:*   *
        tags:*   a.b   _   $   -   name_label:/e$/   name_label:/1$/   name_description:/line$/   name_description:/line\n$/
        name_description:first*second   name_description:/first.*second/   name_description:/first[^]*second/
        name_label:/w.b/   name_label:/\Aweb/   name_label:/we\b/   name_label:/b-1\Z/   name_label:/[[]/   name_label:/[.]/
        name_label:/^\S+$/   name_label:/\(42\)/   name_label:/a\/b/   name_label:/[$]/   name_label:/(w)eb/   name_label:/é/i
    """,
    "backup-logs": """
        status:failure   status:/^success$/   status:pending   jobId:<job>   end?   !end?   tasks:message:x
        scheduleId:/^<schedule>$/ status:failure   tasks:status:failure   result?   result:message:match
        tasks:0:status:skipped   SR_BACKEND_FAILURE_44   data:mode:delta   id:<log>   id:/^<log>$/   start:<start>
        start:>=<start>   start:<<start> status:success   start:>1 end:<1
    """,
    "backup-jobs": """
        type:backup   type:/^backup$/   type:metadataBackup   runId?   !runId?   mode:delta   name:123   123
        settings:exportRetention:7   remotes:id:<repository>   vms:id:__or?   vms:tags?
    """,
    "schedules": 'enabled?   !enabled?   name:web   timezone:/Paris/   cron:"0 1 * * *"   cron:/^0 1 /',
    "servers": "status:connected   status:/^connected$/   error?   error:code:EHOSTUNREACH   poolId?",
    "backup-repositories": "enabled?   !enabled?   url:nfs   url:/^nfs:/   error?   error:code:ETIMEDOUT",
    "vdis": '$SR:<sr>   "$SR":/^<sr>$/   size:>21474836480   size:21474836480   $snapshot_of?',
    "vbds": "VM:<vm>   is_cd_drive?   !is_cd_drive? attached?   position:0   VDI?   !VDI?",
    "pbds": "attached?   !attached?",
    "srs": "SR_type:lvm   SR_type:/^lvm$/   shared?   size:>physical_usage   content_type:user",
    "tasks": "status:success   properties:name:rolling   properties:name:/^Rolling pool/   result:code:24",
    "messages": "name:SR_GC   $object?   name:ALARM",
    "alarms": "body:name:cpu   object:type:/^VM$/   object:type:unknown   name:bond",
}
NO_FILTERS = r"""
    ((   web (   web )   |(   |(web   |web   !   !(   a b (c   ((x)   ()   a:()   a ?   a : b   a :b   a: b   :x   x:   x:y:
    /open   /x/g   name:/(/   name:/[/   name:/*/   name:/)/   name:/a**/   name:/[z-a]/   name:/a{2,1}/   name:
    size:>many   size:>   size:<=x   <5   >=   >5 web   a,b   a=b   a;b   it's   "   "open   ?   %   \   [x]   {}   ٣   x²
"""
"""Mostly texts that XO cannot read."""


def options() -> Iterator[Question]:
    for limit in (
        *("0", "1", "2", "3.0", "1.5", "0.5", "-1", "-2.5", "1e1", "1E1", "+2", " 2", "abc", "", "0x2", "Infinity"),
        *("NaN", "2abc", ".5", "2.", "-0", "1e400", "99999999999", "1,5", "-", "."),
    ):
        yield ask("/vms", limit=limit)
    for flag in ("1", "0", "", "false", "TRUE", "True", "yes", "true "):
        yield ask("/vms", ndjson=flag, limit=1)
    yield ask("/vms", limit="abc", ndjson="1")
    yield ask("/vms", limit="abc", ndjson="1", filter="((", fields="id")
    yield ask("/vms", limit=1, filter="web", fields="name_label")
    yield ask("/backup-logs", limit=2, fields="id,start")
    yield ask("/tasks", limit=1)
    yield ask("/backup-jobs", limit=1, filter="type:backup")
    for fields in (
        *("", "id", "id,id", "nope", "id,", ",", "*,id", "id,name_label", " id", "ID", "href", "memory.size"),
        *("memory", "memory.size,memory.dynamic", "memory.dynamic.0", "memory.dynamic[0]", "memory.nope", "tags.0"),
        *("name_label.length", "tags.length", "boot.nope.deep", "memory.size.x", "memory,memory.size", "type,$pool"),
        *("memory.size,memory", "['id']", "id.", ".id", "$VBDs[1]", "memory.dynamic.1,memory.size"),
    ):
        yield ask("/vms", fields=fields, limit=3)
    yield ask("/backup-logs", fields="id,result.message,result.code,tasks.0.status,data.mode")
    yield Question("/vms?fields")
    yield Question("/vms?ndjson")
    yield Question("/vms?filter")
    yield Question("/vms?filter=")
    yield Question("/vms?limit")
    yield Question("/vms?fields=id&fields=name_label")
    yield Question("/vms?limit=1&limit=2")
    yield Question("/vms?filter=web&filter=mail")
    yield Question("/vms?ndjson=true&ndjson=true")
    yield Question("/vms?unknown=1&limit=1")
    yield Question("/vms?fields=id&filter=web+mail")
    yield Question("/vms?fields=id&filter=%22web-1%22")
    yield Question("/vms?fields=id&limit=2&")
    yield Question("/vms?&&limit=2")
    yield Question("/vms?fields=id&filter=%zz")


def single_objects(house: House) -> Iterator[Question]:
    world = house.world
    for collection, found in {
        "vms": house.odd,
        "hosts": world.get("host", house.web["$container"]),
        "pools": next(iter(world.objects["pool"].values())),
        "srs": next(iter(world.objects["SR"].values())),
        "vdis": next(iter(world.objects["VDI"].values())),
        "vdi-snapshots": next(iter(world.objects["VDI-snapshot"].values())),
        "vm-snapshots": next(iter(world.objects["VM-snapshot"].values())),
        "vbds": next(iter(world.objects["VBD"].values())),
        "pbds": next(iter(world.objects["PBD"].values())),
        "networks": next(iter(world.objects["network"].values())),
        "sms": next(iter(world.objects["SM"].values())),
        "messages": house.message,
        "servers": house.server,
        "backup-jobs": house.job,
        "backup-logs": house.finished,
        "backup-repositories": house.repository,
        "proxies": next(iter(world.proxies.values())),
        "schedules": house.schedule,
        "tasks": house.task,
    }.items():
        yield ask(f"/{collection}/{found['id']}")
        yield ask(f"/{collection}/{UNKNOWN}")
    yield ask(f"/alarms/{UNKNOWN}")
    yield ask(f"/alarms/{house.alarm['id']}")
    yield ask(f"/alarms/{house.message['id']}")
    yield ask(f"/messages/{house.alarm['id']}")
    yield ask(f"/vms/{house.web['$container']}")
    yield ask(f"/vms/{house.hidden['id']}")
    yield ask(f"/pools/{house.hidden['$pool']}")
    yield ask(f"/backup-jobs/{house.sequence['id']}")
    yield ask(f"/vdis/{next(iter(world.objects['VDI-unmanaged']))}")
    yield ask(f"/vms/{house.odd['id']}", fields="id")
    yield ask(f"/vms/{house.odd['id']}", limit="abc")
    yield ask(f"/backup-logs/{house.log['id']}")
    yield ask("/vms/a%20b")
    yield ask("/vms/a%2Fb")
    yield ask("/vms/%C3%A9")
    yield ask("/vms/%E0%A4%A")


def credentials(house: House) -> Iterator[Question]:
    ways = {
        "nobody": AS_NOBODY,
        "a bad token": {"cookie": "authenticationToken=wrong"},
        "an empty token": {"cookie": "authenticationToken="},
        "the other cookie": {"cookie": f"token={ADMIN}"},
        "both cookies": {"cookie": f"authenticationToken={ADMIN}; token=wrong"},
        "both cookies, wrong": {"cookie": f"token={ADMIN}; authenticationToken=wrong"},
        "both cookies, empty": {"cookie": f"token={ADMIN}; authenticationToken="},
        "basic": basic(BASIC),
        "basic, wrong": basic("admin@example.org:wrong"),
        "basic, no colon": basic("admin@example.org"),
        "basic, third part": basic(BASIC + ":more"),
        "basic, lower case": basic(BASIC, "basic "),
        "a scheme of its own": basic(BASIC, "Whatever "),
        "bearer": {"authorization": f"Bearer {ADMIN}"},
        "a scheme without words": {"authorization": "Basic"},
        "two blanks": basic(BASIC, "Basic  "),
        "not base64": {"authorization": "Basic !!!"},
        "base64 without padding": {"authorization": basic(BASIC)["authorization"].rstrip("=")},
        "token and basic": AS_ADMIN | basic(BASIC),
        "bad token and basic": {"cookie": "authenticationToken=wrong"} | basic(BASIC),
    }
    for who, headers in ways.items():
        for path in ("/vms?limit=1", "/ping", f"/vms/{UNKNOWN}", "/nothing", "/docs/swagger.json"):
            yield Question(path, headers=headers, who=who)
    for path in ("/vms?limit=abc", "/vms?filter=((", f"/schedules/{house.schedule['id']}", "/tasks", ""):
        yield Question(path, headers=AS_NOBODY, who="nobody")
    run = f"/schedules/{house.schedule['id']}/actions/run"
    yield Question(run, "POST", AS_NOBODY, "nobody")
    yield Question(run, "POST", {"cookie": "token=wrong"}, "a bad token")


def without_privileges(house: House) -> Iterator[Question]:
    def reader(path: str, method: str = "GET") -> Question:
        return Question(path, method, AS_READER, "reader")

    for collection in COLLECTIONS:
        yield reader(f"/{collection}")
    yield reader("/vms?fields=*&filter=web&limit=2")
    yield reader("/vms?ndjson=true")
    yield reader("/vms?filter=((")
    yield reader("/vms?limit=abc")
    for question in single_objects(house):
        if "?" not in question.path:
            yield reader(question.path)
    yield reader("/ping")
    yield reader("/nothing")
    for identity in (house.schedule["id"], UNKNOWN):
        for query in ("", "?sync=true", "?sync=abc"):
            yield reader(f"/schedules/{identity}/actions/run{query}", "POST")
    yield Question("/vms", headers=basic("reader@example.org:reader-password"), who="reader, basic")


def routes(house: House) -> Iterator[Question]:
    for path in (
        *(
            "",
            "/",
            "/nothing",
            "/vms/",
            "/vms/?limit=1",
            "/VMS?limit=1",
            "/Vms",
            "/Backup-Jobs?limit=1",
            "//vms",
            "/vms//",
        ),
        *("/vdi-unmanaged", "/vusbs", "/jobs", "/<script>", "/nothing?x=1", "/vms/a/b/c", "/no%20where", "/PING"),
        *("/PING/", "/docs/swagger.json", "/backup-jobs/x/y", "/schedules/x/actions/run", "/schedules/x/actions"),
        *("/tasks/x/nope", "/n%C3%B6", "/a%2Fb", "/a'b", '/a"b', "/a&b", "/vms;x", "/vms%2F"),
    ):
        yield Question(path)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("/vms", "/nothing", f"/schedules/{house.schedule['id']}", "/schedules", "/backup-jobs"):
            yield Question(path, method)
    yield Question(f"/backup-jobs/{house.job['id']}", "DELETE")
    for path in ("/vms", "/ping", "/nothing", f"/vms/{house.odd['id']}", f"/vms/{UNKNOWN}", "/vms?limit=abc"):
        yield Question(path, "HEAD")
    yield from refused_starts(house)


def refused_starts(house: House) -> Iterable[Question]:
    """Starts that begin nothing."""
    known, unknown = f"/schedules/{house.schedule['id']}/actions/run", f"/schedules/{UNKNOWN}/actions/run"
    for path in (
        *(unknown, unknown + "?sync=true", unknown + "?sync=abc", known + "?sync=1", known + "?sync", known + "?sync="),
        *(known + "?sync=yes", known + "/x", known[:-3] + "stop"),
    ):
        yield Question(path, "POST")
