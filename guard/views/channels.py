"""The notification channels in ``guard status``: what each took, and since when one takes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from guard.lifecycle.channels import ChannelStatus
from guard.units import format_duration, format_time, plural
from guard.views.text import clean, wrap

FAILING_LONG = timedelta(hours=1)  # a server that restarts is back by then
DIGEST = "digest"  # what waits for the next digest stands under this name; it is no channel


def failing_long(channels: Iterable[ChannelStatus], now: datetime) -> tuple[ChannelStatus, ...]:
    """Those by which nothing got through for an hour or longer, the longest first."""
    since = [(one.failing_since, one) for one in channels if one.failing_since is not None]
    return tuple(one for began, one in sorted(since, key=lambda pair: pair[0]) if now - began >= FAILING_LONG)


def failing_text(channel: ChannelStatus, now: datetime) -> str:
    """One channel that takes nothing, as a sentence for monitoring and the log."""
    since = channel.failing_since or now
    return (
        f"nothing gets through by {channel.name} for {format_duration(max(0.0, (now - since).total_seconds()))}: "
        f"{clean(channel.last_error)}"
    )


def channel_lines(channels: Sequence[ChannelStatus], zone: tzinfo) -> list[str]:
    """One entry per channel, folded; the digest's only when something waits for it."""
    found: list[str] = []
    for one in channels:
        if one.name != DIGEST:
            found += wrap(_told(one, zone), "  ", first="")
        elif one.waiting:
            found.append(f"Waiting for the digest: {plural(one.waiting, 'message')}.")
    return found


def channel_documents(channels: Iterable[ChannelStatus]) -> list[dict[str, Any]]:
    """Each channel for ``guard.status/1``; what waits for the digest under the name ``digest``."""
    return [
        {
            "name": one.name,
            "sent": one.sent,
            "failed": one.failed,
            "dropped": one.dropped,
            "waiting": one.waiting,
            "last_sent_at": _iso(one.last_sent_at),
            "last_error": one.last_error or None,
            "last_error_at": _iso(one.last_error_at),
            "failing_since": _iso(one.failing_since),
        }
        for one in channels
    ]


def _told(one: ChannelStatus, zone: tzinfo) -> str:
    last = f" (last {format_time(one.last_sent_at, zone)})" if one.last_sent_at is not None else ""
    figures = [f"{one.sent} sent{last}"]
    figures += [f"{plural(one.failed, 'try', 'tries')} failed"] if one.failed else []
    figures += [f"{one.waiting} waiting"] if one.waiting else []
    figures += [f"{one.dropped} dropped"] if one.dropped else []
    text = f"Channel {one.name}: {', '.join(figures)}."
    if one.failing_since is not None:
        return f"{text} Nothing gets through since {format_time(one.failing_since, zone)}: {one.last_error}"
    if one.last_error_at is not None:
        return f"{text} It works again; the last error, {format_time(one.last_error_at, zone)}: {one.last_error}"
    return text


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
