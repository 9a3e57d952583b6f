"""Asks the root helper (guard/remedies/helper.py) over its socket."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from guard.errors import XoConfigBusyError, XoConfigError, XoConfigHelperError, XoConfigRefusedError
from guard.remedies.helper import Answer, Apply, Revert
from guard.remedies.xo_folder import spelled

LIMIT_S = 15.0
"""For the whole exchange. A helper that is started and writes takes less than a second."""
_MOST_BYTES = 64 * 1024
_ERRORS = {"refused": XoConfigRefusedError, "busy": XoConfigBusyError, "folder": XoConfigError}


async def ask(path: str, request: Apply | Revert, limit_s: float = LIMIT_S) -> Answer:
    """What the helper did. Raises what it raised, or XoConfigHelperError; after that one nobody knows what stands."""
    try:
        async with asyncio.timeout(limit_s):
            line = await _exchange(path, msgspec.json.encode(request) + b"\n")
    except TimeoutError:
        raise XoConfigHelperError(
            f"{path}: no answer within {limit_s:g} s; what stands is told by guard workaround show"
        ) from None
    except OSError as error:
        raise XoConfigHelperError(f"{path}: {_why(error)}") from None
    except ValueError:
        raise XoConfigHelperError(f"{path}: what answers there is not guard's helper") from None
    try:
        answer = msgspec.json.decode(line, type=Answer)
    except ValueError:
        told = "no answer, it must have failed" if not line else "an answer guard cannot read"
        raise XoConfigHelperError(f"{path}: {told}; see journalctl -u 'guard-workaround@*'") from None
    if not answer.ok:
        raise _ERRORS.get(answer.error or "", XoConfigHelperError)(answer.sentence)
    return answer


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such socket; start guard-workaround.socket (docs/workaround.md)"
        case ConnectionRefusedError():
            return "nobody listens there; start guard-workaround.socket (docs/workaround.md)"
        case PermissionError():
            return "guard's user may not open it; SocketUser= in guard-workaround.socket names who may"
        case _:
            return spelled(error)


async def _exchange(path: str, request: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path, limit=_MOST_BYTES)
    try:
        with suppress(ConnectionError):  # it may answer, and close, before it has read all
            writer.write(request)
            await writer.drain()
        with suppress(ConnectionError):
            return await reader.readline()
        return b""
    finally:
        writer.close()
