"""The nightly digest: when the next one is, and many messages as one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo

from guard.notify.message import Event, Message, Tier
from guard.units import format_time, plural

MOST_ENTRIES = 200


def next_digest(now: datetime, at: time, zone: tzinfo) -> datetime:
    """The first instant after ``now`` at which the clocks of ``zone`` show ``at``, in UTC.

    Where clocks jump over it, as much later; where they show it twice, the first one.
    """
    day = now.astimezone(zone).date()
    moments = (datetime.combine(day + timedelta(days=ahead), at, zone).astimezone(UTC) for ahead in range(3))
    return next(moment for moment in moments if moment > now)


def collected(messages: Sequence[Message], at: datetime, zone: tzinfo, unreadable: int = 0) -> Message:
    """One message of many: what failed first, then the rest, each in the order of their times; what was told in the same
    words several times stands once. Heads (event ``digest``: how the night went, up to their ``at``) come before all;
    without anything else they are the whole message.

    ``at``: the digest's own time; ``unreadable``: how many more could not be read back.
    """
    heads = list(dict.fromkeys((one.title, one.text) for one in messages if one.event is Event.DIGEST))
    counted = max((one.at for one in messages if one.event is Event.DIGEST), default=None)
    messages = [one for one in messages if one.event is not Event.DIGEST]
    if heads and not messages and not unreadable:
        text = "\n".join(text for _, text in heads)
        title = "; ".join(dict.fromkeys(title for title, _ in heads))  # a quiet night must not hide the one before
        return Message(tier=Tier.DIGEST, event=Event.DIGEST, title=title, text=text, at=at)
    told: dict[tuple[str, str], list[Message]] = {}
    for message in sorted(messages, key=lambda one: (one.event is not Event.FAIL, one.at)):
        told.setdefault((message.title, message.text), []).append(message)
    late = sum(one.event is Event.FAIL and counted is not None and one.at > counted for one in messages)
    parts = [f"{title}\n{text}\n" for title, text in heads]
    if late:
        parts.append(f"{_came_later(late)}\n")
    parts += [_entry(same, zone) for same in list(told.values())[:MOST_ENTRIES]]
    if len(told) > MOST_ENTRIES:
        parts.append(f"And {len(told) - MOST_ENTRIES} more, which `guard report` lists.\n")
    if unreadable:
        parts.append(f"{plural(unreadable, 'message')} could not be read back; another version of guard wrote them.\n")
    codes = {message.code for message in messages}
    count = plural(len(messages) + unreadable, "message")
    head = heads[0][0] if len(heads) == 1 and not late else count
    return Message(
        tier=Tier.DIGEST,
        event=Event.DIGEST,
        title=f"Digest of {at.astimezone(zone):%Y-%m-%d}: {head}",
        text="\n".join(parts),
        code=codes.pop() if len(codes) == 1 else None,
        at=at,
    )


def _came_later(count: int) -> str:
    if count == 1:
        return "After this was counted, 1 more message of what did not go well came in; it is below."
    return f"After this was counted, {count} more messages of what did not go well came in; they are below."


def _entry(same: Sequence[Message], zone: tzinfo) -> str:
    first, last = same[0], same[-1]
    often = f" ({len(same)} times, last {format_time(last.at, zone)})" if len(same) > 1 else ""
    text = "".join(f"  {line}\n" for line in first.text.splitlines())
    return f"{format_time(first.at, zone)}: {first.title}{often}\n{text}"
