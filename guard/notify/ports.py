"""What notifications need of others: a durable outbox below, channels at the far end."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from guard.notify.message import Message


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """One message that waits for one channel. ``tries``: failures so far; ``created``: the ``at`` of its ``put``."""

    id: int
    channel: str
    message: bytes
    tries: int
    created: datetime


class Outbox(Protocol):
    """A durable list of messages to send. Every call is durable when it returns. Raises LedgerError."""

    async def put(self, channel: str, message: bytes, at: datetime) -> None:
        """Add a message that becomes due at ``at``."""
        ...

    async def due(self, now: datetime, limit: int) -> tuple[Queued, ...]:
        """Up to ``limit`` rows whose time is ``now`` or earlier, the longest due first."""
        ...

    async def done(self, id: int) -> None:  # noqa: A002  the port's own word
        """It was sent: forget it. An unknown id is no error."""
        ...

    async def failed(self, id: int, next_try_at: datetime, error: str) -> None:  # noqa: A002
        """It was not sent: count the try, and let it become due again at ``next_try_at``."""
        ...

    async def waiting(self) -> int:
        """How many rows are neither sent nor dropped."""
        ...

    async def drop(self, id: int, error: str) -> None:  # noqa: A002
        """It will never be sent."""
        ...


class Channel(Protocol):
    """One way to somebody. ``send`` returns when the other side has taken the message.

    It may be called again with a message that was taken (the answer was lost, guard died): at least once is promised,
    once is not. Raises NotifyError, and PartlyToldError where trying again would tell some people twice.
    """

    @property
    def name(self) -> str:
        """The channel's name in the policy and in the outbox."""
        ...

    async def send(self, message: Message) -> None: ...
