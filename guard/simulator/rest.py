"""XO's REST API over a world: ``/rest/v0`` as a real xo-server answers it (xo-api.md 1 and 2)."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote, unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response

from guard.simulator import answers
from guard.simulator.alarms import alarm_of, is_alarm
from guard.simulator.answers import RestError, json_response, no_such
from guard.simulator.archives import archives_in, asked_repositories
from guard.simulator.faults import until_gone
from guard.simulator.rest_query import BASE, filtered, read_list_query, read_sync, sent_values, shape_rows
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import Steps
from guard.simulator.tokens import user_of
from guard.simulator.waiting import awaited
from guard.simulator.world import World

__all__ = ["BASE", "POOL_COLLECTIONS", "XO_COLLECTIONS", "RestApi", "shape_rows"]

ARCHIVES = "backup-archives"
"""Listed for the repositories that are asked for, and for none otherwise."""
REFUSED_BY = 0.02
"""Seconds after which a start that XO refuses has been refused."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})

POOL_COLLECTIONS = {
    "pools": "pool",
    "hosts": "host",
    "srs": "SR",
    "sms": "SM",
    "pbds": "PBD",
    "vms": "VM",
    "vm-snapshots": "VM-snapshot",
    "vdis": "VDI",
    "vdi-snapshots": "VDI-snapshot",
    "vbds": "VBD",
    "networks": "network",
    "messages": "message",
    "alarms": "message",
}
"""Collection -> XO type of what comes from the pools."""

XO_COLLECTIONS: dict[str, tuple[str, Callable[[World], dict[str, XoObject]]]] = {
    "servers": ("xenServer", lambda world: world.servers),
    "backup-jobs": ("job", lambda world: world.jobs),
    "schedules": ("schedule", lambda world: world.schedules),
    "backup-logs": ("log", lambda world: world.logs),
    "backup-repositories": ("remote", lambda world: world.repositories),
    "proxies": ("proxy", lambda world: world.proxies),
    "tasks": ("task", lambda world: world.xo_tasks),
    ARCHIVES: (
        "backup-archive",
        lambda world: {one["id"]: one for one in archives_in(world, list(world.repositories))},
    ),
}
"""Collection -> (XO's word in its 404s, records by id) of what is XO's own."""

NO_SUCH_OBJECT = 1
"""XO's code for an unknown id (xo-common)."""

SYSTEM_MESSAGES = {
    "EACCES": "permission denied",
    "ECONNREFUSED": "connection refused",
    "EIO": "i/o error",
    "ENOENT": "no such file or directory",
    "ENOTDIR": "not a directory",
    "ESTALE": "stale file handle",
    "ETIMEDOUT": "connection timed out",
}


@dataclass
class Started:
    """A start whose client waits for its end. ``ended``: set in the client's loop."""

    task: XoObject
    ended: asyncio.Future[None]


class RestApi:
    """The request handler of one world; ``handle`` is a Starlette endpoint."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def handle(self, request: Request) -> Response:
        accepts = request.headers.get("accept-encoding", "")
        try:
            with self.world.turn():
                try:
                    answer = self._answer(request, accepts)
                finally:
                    if request.method not in READING:
                        self.world.record_write("rest", f"{request.method} {request.url.path}", {})
            return await self._at_end(answer, request) if isinstance(answer, Started) else answer
        except RestError as error:
            return json_response(error.body, accepts, error.status, error.headers)

    # --- routes

    def _answer(self, request: Request, accepts: str) -> Response | Started:
        self._credentials(request)  # XO looks at them on every route, open and unknown ones too
        method = "GET" if request.method == "HEAD" else request.method
        path = path_as_sent(request)
        steps = steps_of(path)
        found = None if "" in steps else self._route(request, method, steps, accepts)
        return answers.unknown_route(request.method, path) if found is None else found

    def _route(self, request: Request, method: str, steps: list[str], accepts: str) -> Response | Started | None:
        """``steps``: as sent; Express takes the fixed ones in any case."""
        match [method, *(step.lower() for step in steps)]:
            case ["GET"]:
                return answers.redirect(f"{BASE}/docs")
            case ["GET", "ping"]:
                return json_response({"result": "pong", "timestamp": self.world.milliseconds()}, accepts)
            case ["GET", "docs", "swagger.json"]:
                return json_response(self._document(), accepts)
            case ["GET", collection] if is_collection(collection):
                return self._list(request, collection, accepts)
            case ["GET", collection, _] if is_collection(collection):
                return json_response(self._permitted(request, collection, parameter(steps[1])), accepts)
            case ["GET", "backup-repositories", _, "health"]:
                repository = self._permitted(request, "backup-repositories", parameter(steps[1]))
                return json_response(self._health(repository), accepts)
            case ["POST", "schedules", _, "actions", "run"]:
                return self._run(request, parameter(steps[1]), accepts)
        return None

    def _document(self) -> XoObject:
        """Not XO's document, which has its own licence: only what a client looks at, for our own routes."""
        paths: XoObject = {f"/{name}": {"get": {}} for name in (*POOL_COLLECTIONS, *XO_COLLECTIONS)}
        paths |= {"/ping": {"get": {}}, "/schedules/{id}/actions/run": {"post": {}}}
        return {"openapi": "3.0.0", "info": {"title": "rest-api", "version": self.world.rest_version}, "paths": paths}

    # --- who asks

    def _user(self, request: Request) -> XoObject:
        """Who asks. A booting XO refuses here: where nobody needs to be known it was seen to answer."""
        user = self._credentials(request)
        if user is None or self.world.refuses_once():
            raise answers.unauthenticated()
        return user

    def _credentials(self, request: Request) -> XoObject | None:
        """Who asks, None for nobody. Raises RestError where credentials are sent that are no good."""
        cookies = request.cookies
        token = cookies.get("authenticationToken", cookies.get("token"))  # an empty first one hides the second
        authorization = request.headers.get("authorization")
        if token and authorization:
            raise RestError(400, "Having multiple authentication methods is not supported, please choose one")
        if not token and not authorization:
            return None
        user_id = user_of(self.world, token) if token else self._basic_user(authorization or "")
        if user_id is None:
            raise answers.unauthenticated()
        return self.world.users[user_id]

    def _basic_user(self, authorization: str) -> str | None:
        """XO takes any scheme for basic, so a bearer token is decoded, makes no sense, and is refused."""
        words = authorization.split(" ")
        if len(words) == 1:
            raise RestError(400, "Malformed Authorization header")
        name, _, rest = decoded(words[1]).partition(":")
        return self.world.passwords.get((name, rest.split(":")[0]))

    def _permitted(self, request: Request, collection: str, identity: str, action: str = "read") -> XoObject:
        """One object, for a user who may do this with it. An unknown one is unknown to everybody."""
        user = self._user(request)
        found = self._one(collection, identity)
        if user["permission"] != "admin":
            raise answers.no_privilege(found["id"], action, singular(collection))
        return found

    # --- lists and objects

    def _list(self, request: Request, collection: str, accepts: str) -> Response:
        user = self._user(request)
        query = read_list_query(request)
        if collection == ARCHIVES:
            asked = asked_repositories(self.world, sent_values(request).get("backup-repository"))
            every: Iterable[XoObject] = archives_in(self.world, asked)
        else:
            every = self._all(collection)
        found = every if user["permission"] == "admin" else []
        rows = list(islice(shape_rows(filtered(found, query.filter), request, collection), query.limit))
        return answers.ndjson_response(rows) if query.ndjson else json_response(rows, accepts)

    def _all(self, collection: str) -> Iterable[XoObject]:
        if collection == "alarms":
            return [self._alarm(message) for message in self.world.visible("message") if is_alarm(message)]
        if collection == "messages":
            return [message for message in self.world.visible("message") if not is_alarm(message)]
        if collection in POOL_COLLECTIONS:
            return self.world.visible(POOL_COLLECTIONS[collection])
        if collection == "backup-logs":
            # xo-server sorts logs by their start, so REST's limit cuts off the newest ones
            return sorted(self.world.shown_logs(), key=lambda log: log["start"])
        return XO_COLLECTIONS[collection][1](self.world).values()

    def _one(self, collection: str, identity: str) -> XoObject:
        if collection in POOL_COLLECTIONS:
            kind = POOL_COLLECTIONS[collection]
            found = self.world.find(kind, identity)
        else:
            kind, records = XO_COLLECTIONS[collection]
            logs = collection == "backup-logs"
            found = self.world.shown_log(identity) if logs else records(self.world).get(identity)
        if found is None and collection == "backup-jobs" and identity in self.world.call_jobs:
            kind = "backup-job"  # it is a job, and none of those
        if found is not None and kind == "message" and is_alarm(found) != (collection == "alarms"):
            found, kind = None, singular(collection)
        if found is None:
            raise no_such(identity, kind)
        return self._alarm(found) if collection == "alarms" else found

    def _alarm(self, message: XoObject) -> XoObject:
        known = (self.world.find(kind, message["$object"]) for kind in self.world.objects)
        return alarm_of(message, next(filter(None, known), None))

    def _health(self, repository: XoObject) -> XoObject:
        if not repository["enabled"]:
            raise RestError(500, "remote is disabled")
        live = self.world.live
        error = repository.get("error") if live is None else live.shelf(repository["id"]).error
        if error is not None:
            raise RestError(500, system_message(error))
        return {"success": True}

    # --- starts

    def _run(self, request: Request, identity: str, accepts: str) -> Response | Started:
        schedule = self._permitted(request, "schedules", identity, "run")
        sync = read_sync(request)
        task = self.world.request_start(schedule, self._user(request)["id"])
        if sync:
            return Started(task, self._end_of(schedule, task))
        location = {"location": f"{BASE}/tasks/{task['id']}"}
        return json_response({"taskId": task["id"]}, accepts, 202, location)

    def _end_of(self, schedule: XoObject, task: XoObject) -> asyncio.Future[None]:
        """Done when the run has ended, whichever thread lets it end; at once in a world that moves no data."""
        future, tell = awaited()
        live = self.world.live
        if live is None:
            future.set_result(None)
            return future

        def steps() -> Steps:
            yield REFUSED_BY
            if task["status"] == "pending":
                yield live.jobs.running[schedule["jobId"]]
            tell()

        live.timeline.spawn(steps(), live.xo)
        return future

    async def _at_end(self, started: Started, request: Request) -> Response:
        """Raises RestError with what the run as a whole failed with; how the VMs fared is not told."""
        gone = asyncio.ensure_future(until_gone(request.receive))
        await asyncio.wait({started.ended, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        error = started.task.get("result")
        if error is None:
            return Response(status_code=204)
        raise RestError(404 if error.get("code") == NO_SUCH_OBJECT else 500, error["message"], error.get("data"))


def path_as_sent(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    return raw.decode("latin-1")


def steps_of(path: str) -> list[str]:
    """What a path has below the base; one slash at its end means nothing."""
    below = path.removeprefix(BASE).removesuffix("/")
    return below.split("/")[1:] if below else []


def parameter(step: str) -> str:
    """A step of the path as the id it spells. Raises RestError for what is no text in UTF-8."""
    try:
        text = unquote_to_bytes(step).decode()
    except UnicodeDecodeError:
        text = None
    if text is None or re.search("%(?![0-9A-Fa-f]{2})", step):
        raise RestError(500, f"Failed to decode param '{step}'")
    return text


def is_collection(name: str) -> bool:
    return name in POOL_COLLECTIONS or name in XO_COLLECTIONS


def singular(collection: str) -> str:
    """XO's name for one of them where it speaks of privileges."""
    return re.sub("ies$", "y", collection) if collection.endswith("ies") else collection.removesuffix("s")


def decoded(text: str) -> str:
    """Base64 as Node.js reads it: what is no letter of it is skipped, and what is missing at the end does not matter."""
    letters = re.sub("[^A-Za-z0-9+/]", "", text.partition("=")[0].replace("-", "+").replace("_", "/"))
    whole = letters[: len(letters) - (len(letters) % 4 == 1)]
    return base64.b64decode(whole + "=" * (-len(whole) % 4)).decode(errors="replace")


def system_message(error: object) -> str:
    """The message of a Node.js system error, rebuilt from the parts XO stored."""
    if not isinstance(error, dict):
        return str(error)
    if "message" in error:
        return str(error["message"])
    code = str(error.get("code", "unknown error"))
    if code not in SYSTEM_MESSAGES:
        return code
    where = f", {error['syscall']}" if "syscall" in error else ""
    return f"{code}: {SYSTEM_MESSAGES[code]}{where}" + (f" '{error['path']}'" if "path" in error else "")
