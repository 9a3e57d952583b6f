"""The way of guard's writes to XO: a socket of their own for each (JSON-RPC), opened before anything is sent.

What an error says of a write: XoNotSentError, XO surely knows nothing of it; XoAnswerError, XO refused it; any other
XoError, nobody can tell whether XO took it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec

from guard.errors import PolicyError, XoAnswerError, XoAuthError, XoError, XoNotSentError
from guard.xo.client import XoSettings
from guard.xo.live import LiveXo
from guard.xo.rpc import Rpc
from guard.xo.token import Token


class SendingXo(LiveXo):
    """One XO that can be written to."""

    def _access(self) -> tuple[XoSettings, Token]:
        """Raises XoNotSentError where the token cannot be read."""
        try:
            return self._settings(), self._token_of()
        except PolicyError as error:
            raise unsent(error) from error

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Rpc]:
        """A socket on which XO knows guard. Raises XoNotSentError where there is none."""
        async with self._opened_with(*self._access()) as rpc:
            yield rpc

    @asynccontextmanager
    async def _opened_with(self, settings: XoSettings, token: Token) -> AsyncIterator[Rpc]:
        async with AsyncExitStack() as stack:
            try:
                rpc = await stack.enter_async_context(self._signed_in(settings, token))
            except (XoError, PolicyError) as error:
                raise unsent(error) from error
            yield rpc


def unsent(error: Exception) -> XoNotSentError:
    return XoNotSentError(f"Nothing was sent to XO: {error}")


async def sent(rpc: Rpc, method: str, params: dict[str, Any]) -> msgspec.Raw:
    """A write's answer. Raises XoAnswerError for every refusal, that of the right to do it included."""
    try:
        return await rpc.call(method, params)
    except XoAuthError as error:
        raise XoAnswerError(str(error)) from error
