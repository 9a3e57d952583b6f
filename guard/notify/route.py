"""What the queue is told: which channel wants what, and how long is waited."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta, tzinfo

import msgspec

from guard.lifecycle.channels import ChannelStatus
from guard.notify.message import Event, Message, Tier
from guard.notify.ports import Channel

__all__ = ["DIGEST", "ChannelStatus", "Limits", "Route", "for_people"]

DIGEST = "digest"  # the outbox's name for messages that wait for the nightly digest; no channel may have it


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long is waited for what. ``time_limit_s``: seconds one message may take on one channel."""

    retry_first: timedelta = timedelta(minutes=1)
    retry_longest: timedelta = timedelta(hours=1)
    give_up_after: timedelta = timedelta(hours=24)
    time_limit_s: float = 10.0
    digest_at: time = time(7)
    zone: tzinfo = UTC

    def again(self, now: datetime, created: datetime, tries: int) -> datetime:
        """When to try once more after ``tries`` earlier failures: twice as far each time, the last time when time is up."""
        factor: int = 2 ** min(tries, 20)
        later = now + min(self.retry_first * factor, self.retry_longest)
        last = created + self.give_up_after
        return min(later, last) if last > now else later


class Route(msgspec.Struct, frozen=True):
    """A channel, and which messages it is given."""

    channel: Channel
    wants: Callable[[Message], bool]


def for_people(*, page: bool = True, digest: bool = True) -> Callable[[Message], bool]:
    """What a channel that people read wants: pages at once, and the digest as one message. Never a record."""

    def wants(message: Message) -> bool:
        return digest if message.event is Event.DIGEST else page and message.tier is Tier.PAGE

    return wants
