"""Reads the backup proxies that jobs run on: their names, and what XO says of their health (xo-api.md 3.11)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from guard.errors import XoAnswerError, XoTimeoutError
from guard.estate.xo_records import Job, Proxy
from guard.http import Http
from guard.xo import reads
from guard.xo.rpc import Rpc
from guard.xo.together import gathered

FIELDS = "id,name,vmUuid,address,version"
"""Of a proxy; never ``url``, which holds its token."""

_NO_SUCH_OBJECT = 1
_USER_OF_URL = re.compile("://[^/@\\s]*@")


class _Health(msgspec.Struct, frozen=True):
    """The answer of ``proxy.checkHealth``. ``error``: why it has no success, in whatever shape."""

    success: bool
    error: Any = None


def used_proxies(jobs: Iterable[Job]) -> tuple[str, ...]:
    """Ids of the proxies that jobs run on, in the order of the jobs."""
    return tuple(dict.fromkeys(job.proxy for job in jobs if job.proxy))


def source_of(ids: Iterable[str]) -> str:
    """What is asked for these proxies."""
    return "GET /rest/v0/proxies, proxy.checkHealth" if any(ids) else "not asked: no job runs on a proxy"


async def read_proxies(http: Http, rpc: Rpc, ids: tuple[str, ...]) -> tuple[Proxy, ...]:
    """The used proxies, all asked about at once; nothing is asked when there are none.

    XO answers a question only once the proxy has, or after a minute. What guard gave up on, or XO answered with an error,
    leaves ``healthy`` unset with the reason in ``error``; a proxy without an answered name goes by its id.
    Raises XoUnreachableError, and XoAuthError where the token may not ask.
    """
    if not ids:
        return ()
    named: dict[str, Proxy]
    named, *checked = await gathered([_named(http), *(_health(rpc, one) for one in ids)])
    return tuple(
        msgspec.structs.replace(named.get(one, Proxy(id=one, name=one)), healthy=healthy, error=error)
        for one, (healthy, error) in zip(ids, checked, strict=True)
    )


async def _named(http: Http) -> dict[str, Proxy]:
    """Names and VMs; XO contacts every proxy for it, so one that is away can cost all their names."""
    try:
        body = await http.get("/rest/v0/proxies", {"fields": FIELDS})
        found: tuple[Proxy, ...] = reads.decode_list(body, Proxy)
    except (XoAnswerError, XoTimeoutError, msgspec.MsgspecError):
        return {}
    return {one.id: msgspec.structs.replace(one, name=one.name or one.id) for one in found}


async def _health(rpc: Rpc, identity: str) -> tuple[bool | msgspec.UnsetType, str]:
    try:
        told: _Health = reads.decode(await rpc.call("proxy.checkHealth", {"id": identity}), _Health)
    except XoAnswerError as error:
        return (False if error.code == _NO_SUCH_OBJECT else msgspec.UNSET), str(error)
    except XoTimeoutError as error:
        return msgspec.UNSET, str(error)
    except msgspec.MsgspecError as error:
        return msgspec.UNSET, f"XO's answer to proxy.checkHealth has not the expected shape: {error}"
    return told.success, "" if told.success else _text(told.error)


def _text(error: object) -> str:
    """XO's words without the token of the proxy's address."""
    message = error.get("message") if isinstance(error, dict) else error
    return _USER_OF_URL.sub("://", message) if isinstance(message, str) else ""
