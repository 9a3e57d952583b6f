"""What is told of a channel that fails, through the others. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from guard.notify.message import Event, Message, Tier
from guard.outcomes.alarms import NOTIFY_DROPPED, NOTIFY_FAILING
from guard.units import format_duration, format_time, plural

MOST_TITLES = 20
APPRISE = "apprise-"  # what the names of Apprise's targets begin with


def dropped(name: str, lost: Sequence[Message | None], error: str, now: datetime) -> Message | None:
    """Messages that one channel will never deliver; a page if one of them was. None for nothing worth telling:

    that such a message itself was dropped is not told again, or two dead channels would tell each other for ever.
    """
    lost = [message for message in lost if message is None or message.code != NOTIFY_DROPPED.id]
    if not lost:
        return None
    titles = [message.title for message in lost if message is not None]
    shown = "".join(f"  {title}\n" for title in titles[:MOST_TITLES])
    if len(lost) > len(titles[:MOST_TITLES]):
        shown += f"  and {len(lost) - len(titles[:MOST_TITLES])} more\n"
    return Message(
        tier=Tier.PAGE if any(message is not None and message.tier is Tier.PAGE for message in lost) else Tier.DIGEST,
        event=Event.ALARM,
        code=NOTIFY_DROPPED.id,
        title=f"{plural(len(lost), 'message')} could not be delivered by {name}",
        text=f"Dropped for good:\n{shown}Last error: {error}\n{_what_to_do(name)}",
        at=now,
    )


def failing(name: str, since: datetime, error: str, give_up_after: timedelta, now: datetime, zone: tzinfo) -> Message:
    """Nothing got through for a while."""
    return Message(
        tier=Tier.DIGEST,
        event=Event.ALARM,
        code=NOTIFY_FAILING.id,
        title=f"Nothing gets through by {name}",
        text=f"Since {format_time(since, zone)}: {error}\nguard goes on trying, each message for up to "
        f"{format_duration(give_up_after.total_seconds())}.\n{_what_to_do(name)}",
        at=now,
    )


def section_of(name: str) -> str:
    """The policy's section of a channel; Apprise's targets (``apprise-slack``) share one."""
    return f"[notify.{'apprise' if name.startswith(APPRISE) else name}]"


def _what_to_do(name: str) -> str:
    return f"Check {section_of(name)} in the policy and run: guard notify test"
