"""One small reading of XO: what a scope that a person typed may name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from guard.errors import XoTimeoutError
from guard.estate import xo_records as records
from guard.estate.estate import Estate, Part, PartName
from guard.http import Http, tls_context
from guard.xo.client import XoSettings
from guard.xo.live import LiveXo, read_list
from guard.xo.token import Token

LONGEST_S = 10.0
"""A person waits for it, and what was asked for is done already."""
_COLLECTIONS: dict[str, tuple[PartName, str, type[records.Record], str]] = {
    "pool": (PartName.POOLS, "pools", records.Pool, "id,name_label"),
    "sr": (PartName.SRS, "srs", records.Sr, "id,name_label"),
    "repository": (PartName.REPOSITORIES, "backup-repositories", records.Repository, "id,name"),
    "vm": (PartName.VMS, "vms", records.Vm, "id,name_label"),
}


async def read_named(settings: XoSettings, token: Token, kind: str, *, clock: Callable[[], datetime]) -> Estate:
    """Schedules, jobs and call jobs, with the ids and names of all things of a kind. Raises XoError, PolicyError."""
    short = replace(settings, call_timeout_s=min(settings.call_timeout_s, LONGEST_S), total_timeout_s=LONGEST_S)
    try:
        async with asyncio.timeout(LONGEST_S):
            estate = await LiveXo(lambda: short, lambda: token, clock=clock).setup()
            if kind not in _COLLECTIONS:
                return estate
            name, path, record, fields = _COLLECTIONS[kind]
            tls = tls_context(short.ca_file, verify=short.verify)
            async with Http(
                short.url, token.reveal, tls=tls, timeout_s=short.call_timeout_s, server_name=short.server_name
            ) as http:
                found = await read_list(http, path, record, fields=fields)
    except TimeoutError as error:
        raise XoTimeoutError(f"XO at {settings.url} did not answer within {LONGEST_S:g} s") from error
    part = Part(name=name, source=f"GET /rest/v0/{path}", read_at=clock())
    more: dict[str, Any] = {name.value: found}
    return replace(estate, parts={**estate.parts, name: part}, **more)
