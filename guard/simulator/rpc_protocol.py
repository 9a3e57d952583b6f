"""JSON-RPC as XO speaks it: methods, their permissions and parameters, errors (xo-api.md 1.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from guard.simulator.shapes import XoObject

JsonValue = Any
ANY_PARAMETER = "*"
SERVER_ERROR = -32000  # any exception XO has no code for


class RpcError(Exception):
    """An error answer, with XO's code (packages/xo-common/api-errors.js) and data."""

    def __init__(self, code: int, message: str, data: JsonValue = None) -> None:
        super().__init__(message)
        self.body: XoObject = {"message": message, "code": code}
        if data is not None:
            self.body["data"] = data


@dataclass(eq=False)
class Session:
    """One socket, who signed in on it and by which token. ``gone``: set when xo-server has gone away under it."""

    user: XoObject | None = None
    token: str = ""
    gone: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Method:
    """``permission`` None: nobody need sign in; "": any user; else that permission. Optional parameters end with ?.

    ``writes``: it changes or starts something. A method whose result is a ``Run`` answers when that has ended.
    """

    call: Callable[[Session, XoObject], JsonValue]
    permission: str | None = "admin"
    params: tuple[str, ...] = ()
    writes: bool = False


def checked(params: Mapping[str, JsonValue], declared: tuple[str, ...]) -> XoObject:
    """The parameters a method knows; unknown ones are refused unless their name ends with a question mark."""
    if ANY_PARAMETER in declared:
        return dict(params)
    known = {name.rstrip("?") for name in declared}
    errors = [
        {
            "instancePath": "",
            "schemaPath": "#/additionalProperties",
            "keyword": "additionalProperties",
            "params": {"additionalProperty": name},
            "message": "must NOT have additional properties",
        }
        for name in params
        if name.rstrip("?") not in known and not name.endswith("?")
    ]
    given = {name.rstrip("?"): value for name, value in params.items() if name.rstrip("?") in known}
    errors += [
        {
            "instancePath": "",
            "schemaPath": "#/required",
            "keyword": "required",
            "params": {"missingProperty": name},
            "message": f"must have required property '{name}'",
        }
        for name in declared
        if not name.endswith("?") and name not in given
    ]
    if errors:
        raise RpcError(10, "invalid parameters", {"errors": errors})
    return given


def is_part(wanted: JsonValue, found: JsonValue) -> bool:
    """Every key of an object, however deep, is there with an equal value."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and is_part(wanted[key], found[key]) for key in wanted)
    return bool(wanted == found)


def looks_like_a_read(method: str) -> bool:
    """Whether a method's name promises to change nothing."""
    name = method.rpartition(".")[2]
    return name.startswith(("get", "list")) or method.startswith(("session.", "system."))
