"""How XO words its HTTP answers: indented JSON, gzip above 1 kB, ndjson never compressed, its error bodies."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping
from html import escape
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from guard.simulator.filters import MISSING, is_index, member
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


def no_privilege(identity: str, action: str, resource: str) -> RestError:
    missing = {"objectId": identity, "action": action, "resource": resource}
    return RestError(403, "not enough privileges", {"missingPrivileges": [missing]})


def invalid(problems: Mapping[str, tuple[str, JsonValue]]) -> RestError:
    """A query that is not understood. ``problems``: parameter -> (complaint, what was sent)."""
    return RestError(422, {name: {"message": said, "value": sent} for name, (said, sent) in problems.items()}, {})


def redirect(to: str) -> Response:
    return Response(f"Found. Redirecting to {to}", 302, {"location": to, "content-type": "text/plain; charset=utf-8"})


def unknown_route(method: str, path: str) -> Response:
    """What Express says when no route matches. ``path``: as it was sent, percent signs and all."""
    shown = re.sub("%(?![0-9A-Fa-f]{2})", "%25", quote(path, safe="!#$%&'()*+,/:;=?@[\\]^|~"))
    body = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n<body>\n'
        f"<pre>Cannot {method} {escape(shown).replace('&#x27;', '&#39;')}</pre>\n</body>\n</html>\n"
    )
    return Response(body, 404, {"content-type": "text/html; charset=utf-8"})


def path_of(field: str) -> list[str]:
    """The steps of one of the ``fields``: ``a.b``, ``a[0]``, ``a['b']``, ``['a']``."""
    steps = re.sub(r"""\[(?:(-?[0-9]+)|(["'])(.*?)\2)\]""", lambda found: "." + (found[1] or found[3] or ""), field)
    return steps.removeprefix(".").split(".") if field.startswith("[") else steps.split(".")


def pick(found: XoObject, fields: Mapping[str, list[str]]) -> XoObject:
    """The asked properties only, as lodash picks them: paths reach into objects, arrays and texts, what is missing is
    left out. ``fields``: as they were asked for -> ``path_of`` them.
    """
    picked: XoObject = {}
    for field, path in fields.items():
        if field in found:
            picked[field] = found[field]
        elif path != [field]:
            copy_path(found, picked, path)
    return picked


def copy_path(source: XoObject, target: XoObject, path: list[str]) -> None:
    value: JsonValue = source
    for name in path:
        value = member(value, name)
        if value is MISSING:
            return
    inside: JsonValue = target
    for name, following in pairwise(path):
        known = member(inside, name)
        if not isinstance(known, list | dict):
            known = [] if is_index(following) else {}
            put(inside, name, known)
        inside = known
    put(inside, path[-1], value)


def put(container: JsonValue, name: str, value: JsonValue) -> None:
    """``container[name] = value``; an array grows as far as it has to."""
    if isinstance(container, dict):
        container[name] = value
    elif is_index(name):
        container.extend([None] * (int(name) + 1 - len(container)))
        container[int(name)] = value
