"""XO's REST API over a world: ``/rest/v0`` as a real xo-server answers it (xo-api.md 1 and 2)."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Iterable, Iterator

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from guard.simulator import answers
from guard.simulator.answers import RestError, json_response, no_such
from guard.simulator.filters import FilterError, compile_filter, to_number
from guard.simulator.shapes import XoObject
from guard.simulator.world import World

BASE = "/rest/v0"
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
    "alarms": "alarm",
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
}
"""Collection -> (XO's word in its 404s, records by id) of what is XO's own."""

SYSTEM_MESSAGES = {
    "EACCES": "permission denied",
    "ECONNREFUSED": "connection refused",
    "EIO": "i/o error",
    "ENOENT": "no such file or directory",
    "ENOTDIR": "not a directory",
    "ESTALE": "stale file handle",
    "ETIMEDOUT": "connection timed out",
}


class RestApi:
    """The request handler of one world; ``handle`` is a Starlette endpoint."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def handle(self, request: Request) -> Response:
        accepts = request.headers.get("accept-encoding", "")
        path = request.url.path
        parts = path.removeprefix(BASE).strip("/").split("/")
        with self.world.turn():
            try:
                answer = self._open_route(request, parts, accepts) or self._closed_route(request, parts, accepts)
            except RestError as error:
                return json_response(error.body, accepts, error.status, error.headers)
            finally:
                if request.method not in READING:
                    self.world.record_write("rest", f"{request.method} {path}", {})
        return answer or answers.unknown_route(request.method, path)

    # --- routes

    def _open_route(self, request: Request, parts: list[str], accepts: str) -> Response | None:
        if request.method != "GET":
            return None
        match parts:
            case [""]:
                return RedirectResponse(f"{BASE}/docs", 302)
            case ["ping"]:
                return json_response({"result": "pong", "timestamp": self.world.milliseconds()}, accepts)
            case ["docs", "swagger.json"]:
                return json_response(self._document(), accepts)
        return None

    def _closed_route(self, request: Request, parts: list[str], accepts: str) -> Response | None:
        if parts[0] not in POOL_COLLECTIONS and parts[0] not in XO_COLLECTIONS:
            return None
        match request.method, parts:
            case "GET", [collection]:
                return self._list(request, collection, accepts)
            case "GET", [collection, identity]:
                self._require_admin(request)
                return json_response(self._one(collection, identity), accepts)
            case "GET", ["backup-repositories", identity, "health"]:
                self._require_admin(request)
                return json_response(self._health(self._one("backup-repositories", identity)), accepts)
            case "POST", ["schedules", identity, "actions", "run"]:
                user = self._require_admin(request)
                task = self.world.request_start(self._one("schedules", identity), user["id"])
                location = {"location": f"{BASE}/tasks/{task['id']}"}
                return json_response({"taskId": task["id"]}, accepts, 202, location)
        return None

    def _document(self) -> XoObject:
        """Not XO's document, which has its own licence: only what a client looks at, for our own routes."""
        paths: XoObject = {f"/{name}": {"get": {}} for name in (*POOL_COLLECTIONS, *XO_COLLECTIONS)}
        paths |= {"/ping": {"get": {}}, "/schedules/{id}/actions/run": {"post": {}}}
        return {"openapi": "3.0.0", "info": {"title": "rest-api", "version": self.world.rest_version}, "paths": paths}

    # --- who asks

    def _user(self, request: Request) -> XoObject:
        cookies = request.cookies
        token = cookies.get("authenticationToken") or cookies.get("token")
        authorization = request.headers.get("authorization")
        if token and authorization:
            raise RestError(400, "Having multiple authentication methods is not supported, please choose one")
        user_id = self.world.tokens.get(token) if token else self._basic_user(authorization)
        if user_id is None:
            raise answers.unauthenticated()
        if self.world.refuses_once():
            raise answers.unauthenticated()
        return self.world.users[user_id]

    def _basic_user(self, authorization: str | None) -> str | None:
        """XO takes any scheme for basic, so a bearer token is decoded, makes no sense, and is refused."""
        try:
            decoded = base64.b64decode((authorization or "").partition(" ")[2]).decode("latin-1")
        except binascii.Error:
            return None
        name, _, rest = decoded.partition(":")
        return self.world.passwords.get((name, rest.split(":")[0]))

    def _require_admin(self, request: Request) -> XoObject:
        user = self._user(request)
        if user["permission"] != "admin":
            raise RestError(403, "not enough privileges", {"missingPrivileges": []})
        return user

    # --- lists and objects

    def _list(self, request: Request, collection: str, accepts: str) -> Response:
        user = self._user(request)
        limit, ndjson = read_options(request)
        found: Iterable[XoObject] = self._all(collection) if user["permission"] == "admin" else []
        rows = shape_rows(filtered(found, request.query_params.get("filter")), request, collection)
        picked = list(rows if limit is None else take(rows, limit))
        return answers.ndjson_response(picked) if ndjson else json_response(picked, accepts)

    def _all(self, collection: str) -> Iterable[XoObject]:
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
        if found is None:
            raise no_such(identity, kind)
        return found

    def _health(self, repository: XoObject) -> XoObject:
        if not repository["enabled"]:
            raise RestError(500, "remote is disabled")
        if "error" in repository:
            raise RestError(500, system_message(repository["error"]))
        return {"success": True}


def read_options(request: Request) -> tuple[float | None, bool]:
    """``limit`` and ``ndjson``. Raises 422 with XO's object of complaints."""
    problems = {}
    limit, ndjson = request.query_params.get("limit"), request.query_params.get("ndjson")
    number = None if limit is None else to_number(limit)
    if number is not None and math.isnan(number):
        problems["limit"] = {"message": "invalid float number", "value": limit}
    if ndjson not in {None, "true", "false"}:
        problems["ndjson"] = {"message": "invalid boolean value", "value": ndjson}
    if problems:
        raise RestError(422, problems, {})
    return number, ndjson == "true"


def filtered(found: Iterable[XoObject], text: str | None) -> Iterable[XoObject]:
    if not text:
        return found
    try:
        return filter(compile_filter(text), found)
    except FilterError as error:
        raise RestError(400, str(error), {"stringToParse": error.text}) from None


def shape_rows(found: Iterable[XoObject], request: Request, collection: str) -> Iterator[XoObject | str]:
    """Hrefs without ``fields``; else the whole objects or the asked properties, with their href."""
    fields = request.query_params.get("fields")
    prefix = f"{BASE}/{collection}/"
    if not fields:
        return (prefix + item["id"] for item in found)
    if fields == "*":
        return (item | {"href": prefix + item["id"]} for item in found)
    paths = [field.split(".") for field in fields.split(",")]
    return (answers.pick(item, paths) | {"href": prefix + item["id"]} for item in found)


def take(rows: Iterator[XoObject | str], limit: float) -> Iterator[XoObject | str]:
    """The first rows; a negative limit is none."""
    for number, row in enumerate(rows):
        if 0 <= limit <= number:
            return
        yield row


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
