"""What XAPI says and how: values, errors, and the two protocols that carry them (XML-RPC and JSON-RPC).

Inside the face a value is a str, int, float, bool, datetime, list or dict. XML-RPC carries integers as strings and
times as ``dateTime.iso8601``; JSON-RPC carries numbers and times as text (xapi-storage.md 8).
"""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import NAMESPACE_OID, uuid5
from xml.sax.saxutils import escape

import msgspec

Value = Any
"""Anything XAPI can answer."""
Record = dict[str, Value]

NULL = "OpaqueRef:NULL"
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class XapiError(Exception):
    """A failure as XAPI answers it: ``description`` is the code and its parameters, all of them strings."""

    def __init__(self, code: str, *params: str) -> None:
        super().__init__(f"{code}({', '.join(params)})")
        self.description = [code, *params]


@lru_cache(maxsize=400_000)
def ref_of(identity: str) -> str:
    """The reference of the object with this uuid: the same as ``_xapiRef`` of XO's record."""
    return f"OpaqueRef:{uuid5(NAMESPACE_OID, identity)}"


@lru_cache(maxsize=400_000)
def uuid_of(kind: str, owner: str) -> str:
    """The uuid of an object that XO has no record of, like the metrics of a VM."""
    return str(uuid5(NAMESPACE_OID, f"{kind}/{owner}"))


def stamp(moment: datetime) -> str:
    """A time as XAPI writes it."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H:%M:%SZ}"


# --- XML-RPC

XML_TYPE = "text/xml"  # like JSON_TYPE with nothing behind it: XO takes anything else for a host that speaks otherwise


def xml_call(body: bytes) -> tuple[str, list[Value]]:
    """Method and parameters of a request. Raises XapiError for something that is no call."""
    try:
        params, method = xmlrpc.client.loads(body)
    except Exception as error:
        raise XapiError("INTERNAL_ERROR", f"not an XML-RPC call: {error}") from error
    return method or "", list(params)


def xml_success(value: Value) -> bytes:
    return _xml({"Status": "Success", "Value": value})


def xml_failure(error: XapiError) -> bytes:
    return _xml({"Status": "Failure", "ErrorDescription": error.description})


def _xml(answer: Record) -> bytes:
    body = f"<methodResponse><params><param>{xml_value(answer)}</param></params></methodResponse>"
    return f"<?xml version='1.0'?>{body}".encode()


def xml_value(value: Value) -> str:
    """Without a blank between the tags and without a tag round texts, as XAPI writes: XO's reader needs it so."""
    match value:
        case bool():
            inner = f"<boolean>{value:d}</boolean>"
        case float():
            inner = f"<double>{value!r}</double>"
        case datetime():
            inner = f"<dateTime.iso8601>{stamp(value)}</dateTime.iso8601>"
        case list():
            inner = f"<array><data>{''.join(map(xml_value, value))}</data></array>"
        case dict():
            members = (f"<member><name>{escape(key)}</name>{xml_value(item)}</member>" for key, item in value.items())
            inner = f"<struct>{''.join(members)}</struct>"
        case _:
            inner = escape(str(value))
    return f"<value>{inner}</value>"


def task_result(value: Value) -> str:
    """What stands in ``result`` of a finished task: an XML-RPC value, nothing for a call that returns nothing."""
    return "" if value == "" else xml_value(value)


# --- JSON-RPC

JSON_TYPE = "application/json"


def json_call(body: bytes) -> tuple[Value, str, list[Value]]:
    """Id, method and parameters of a request. Raises XapiError for something that is no call."""
    try:
        call = msgspec.json.decode(body)
        return call.get("id"), str(call["method"]), list(call.get("params") or [])
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise XapiError("INTERNAL_ERROR", f"not a JSON-RPC call: {error}") from error


def json_success(identity: Value, value: Value) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": identity, "result": for_json(value)})


def json_failure(identity: Value, error: XapiError) -> bytes:
    code, *params = error.description
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "id": identity, "error": {"code": 1, "message": code, "data": params}}
    )


def for_json(value: Value) -> Value:
    match value:
        case datetime():
            return stamp(value)
        case list():
            return [for_json(item) for item in value]
        case Mapping():
            return {key: for_json(item) for key, item in value.items()}
        case _:
            return value
