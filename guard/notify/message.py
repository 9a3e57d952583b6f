"""What is told: one message, its JSON form ``guard.message/1``, and its text made harmless.

Names in a message come from XO, where anybody may write them.
"""

from __future__ import annotations

import hashlib
import textwrap
import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

SCHEMA = "guard.message/1"
WIDTH = 76
MOST_TITLE = 200  # characters
MOST_TEXT = 100_000  # characters
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Tier(StrEnum):
    """For people. ``page``: act now; ``digest``: the nightly mail; ``record``: nobody is told."""

    PAGE = "page"
    DIGEST = "digest"
    RECORD = "record"


class Event(StrEnum):
    """For machines: what happened. ``digest``: the message that the nightly digest itself is."""

    START = "start"
    SUCCESS = "success"
    FAIL = "fail"
    LOG = "log"
    ALARM = "alarm"
    DIGEST = "digest"


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """``at``: when it happened; ``schedule``: the schedule's id, None for guard itself; ``due``: the run's due time."""

    tier: Tier
    event: Event
    title: str
    text: str
    at: _Moment
    schedule: str | None = None
    due: _Moment | None = None
    code: str | None = None


def named(message: Message) -> Message:
    """The message with its code in its title, by which a person finds the page of the runbook: ``XO cannot be read
    (XO_UNREADABLE)``. A digest stands for many.
    """
    if message.code is None or message.code in one_line(message.title) or message.event is Event.DIGEST:
        return message
    told = f" ({message.code})"
    return msgspec.structs.replace(message, title=one_line(message.title, MOST_TITLE - len(told)) + told)


def to_bytes(message: Message) -> bytes:
    """The JSON document, the same bytes for the same message; title and text made harmless and cut to their most."""
    return msgspec.json.encode(
        msgspec.structs.replace(
            message,
            title=one_line(message.title),
            text=lines(message.text),
            schedule=None if message.schedule is None else one_line(message.schedule),
            code=None if message.code is None else one_line(message.code),
        )
    )


def from_bytes(data: bytes) -> Message:
    """Raises ValueError for anything but a ``guard.message/1``. Keys this guard does not know are passed over."""
    return msgspec.json.decode(data, type=Message)


def key(message: Message) -> str:
    """32 hex digits that stay the same however often the message is sent, so that a receiver can tell repetitions."""
    return hashlib.sha256(to_bytes(message)).hexdigest()[:32]


def one_line(text: str, most: int = MOST_TITLE) -> str:
    """No line break, escape, direction override or lone surrogate is left; at most ``most`` characters."""
    spaced = " ".join(_harmless(line) for line in text.replace("\t", " ").splitlines())
    return spaced if len(spaced) <= most else spaced[: most - 1] + "…"


def lines(text: str, most: int = MOST_TEXT) -> str:
    """Line breaks stay, as plain newlines; otherwise as harmless as ``one_line``; at most ``most`` characters."""
    kept = "\n".join(_harmless(line) for line in text.replace("\t", " ").splitlines())
    return kept if len(kept) <= most else kept[: most - 1] + "…"


def folded(text: str, width: int = WIDTH) -> str:
    """The text in lines of at most ``width`` characters, indented as they were, each ended by a newline."""
    found: list[str] = []
    for line in lines(text).split("\n"):
        indent = line[: min(len(line) - len(line.lstrip()), width // 2)]
        found += textwrap.wrap(
            line.strip(), width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        ) or [""]
    return "\n".join(found) + "\n"


def _harmless(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(one) in _HARMFUL else one for one in line)
