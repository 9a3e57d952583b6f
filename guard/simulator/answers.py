"""How XO words its HTTP answers: indented JSON, gzip above 1 kB, ndjson never compressed, its error bodies."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from guard.simulator.shapes import XoObject

JSON_TYPE = "application/json; charset=utf-8"
COMPRESS_FROM = 1024
JsonValue = Any
"""Anything JSON can say."""


class RestError(Exception):
    """An answer that is not 2xx. ``error`` is a text, or an object for 422."""

    def __init__(
        self, status: int, error: JsonValue, data: JsonValue = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(str(error))
        self.status = status
        self.body: XoObject = {"error": error} if data is None else {"error": error, "data": data}
        self.headers = dict(headers or {})


def no_such(identity: str, kind: str) -> RestError:
    return RestError(404, f"no such {kind} {identity}", {"id": identity, "type": kind})


def unauthenticated() -> RestError:
    return RestError(401, "invalid credentials", headers={"www-authenticate": 'Basic realm="xo"'})


def json_response(
    body: JsonValue, accepts: str = "", status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """``accepts``: the request's Accept-Encoding."""
    content = msgspec.json.format(msgspec.json.encode(body), indent=2)
    extra = dict(headers or {}) | {"content-type": JSON_TYPE, "vary": "Accept-Encoding"}
    if len(content) >= COMPRESS_FROM and "gzip" in accepts:
        content = gzip.compress(content, compresslevel=6)
        extra["content-encoding"] = "gzip"
    return Response(content, status, extra)


def ndjson_response(rows: Iterable[JsonValue]) -> Response:
    content = msgspec.json.Encoder().encode_lines(rows)
    return Response(content, 200, {"content-type": "application/x-ndjson"})


def unknown_route(method: str, path: str) -> Response:
    """What Express says when no route matches."""
    body = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n<body>\n'
        f"<pre>Cannot {method} {path}</pre>\n</body>\n</html>\n"
    )
    return Response(body, 404, {"content-type": "text/html; charset=utf-8"})


def pick(found: XoObject, fields: list[list[str]]) -> XoObject:
    """The asked properties only; ``a.b`` reaches into objects, what is missing is left out."""
    picked: XoObject = {}
    for path in fields:
        if len(path) == 1 and path[0] in found:
            picked[path[0]] = found[path[0]]
        elif len(path) > 1:
            copy_path(found, picked, path)
    return picked


def copy_path(source: XoObject, target: XoObject, path: list[str]) -> None:
    value: JsonValue = source
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return
        value = value[name]
    for name in path[:-1]:
        target = target.setdefault(name, {})
    target[path[-1]] = value
