"""How each notification channel fares, as the ledger remembers it. Data only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec


class ChannelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One channel, for ``guard status`` and metrics. ``failed`` counts tries, ``sent`` and ``dropped`` messages.

    ``failing_since``: the first failure since the last success. ``told``: the other channels know of it. ``waiting``: of the
    name ``digest``, what waits for the next digest.
    """

    name: str
    sent: int = 0
    failed: int = 0
    dropped: int = 0
    waiting: int = 0
    last_sent_at: datetime | None = None
    last_error: str = ""
    last_error_at: datetime | None = None
    failing_since: datetime | None = None
    told: bool = False


def write_channels(channels: Iterable[ChannelStatus]) -> bytes:
    """The document that ``read_channels`` reads."""
    return msgspec.json.encode(tuple(channels))


def read_channels(document: bytes | None) -> tuple[ChannelStatus, ...]:
    """What was remembered; () for nothing, and for what another version of guard wrote in a way of its own."""
    try:
        return msgspec.json.decode(document or b"[]", type=tuple[ChannelStatus, ...])
    except msgspec.MsgspecError:
        return ()
