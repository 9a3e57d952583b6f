"""The text of guard's httpInactivityTimeout file: written, and read back."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import tomli

from guard.errors import XoConfigRefusedError
from guard.estate.workaround import OwnFile
from guard.mechanics.xo_config import KEY, SECTION, XO_DEFAULT_MS
from guard.units import format_duration

MOST_MS = 6 * 3600 * 1000
"""The largest that a policy may allow."""
MOST_DAYS = 400
MOST_REASON = 500
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_FIELD = re.compile(r"# (reason|asked by|written|until): (.+)")
_CHECKSUM = re.compile(r"^# checksum: sha256 ([0-9a-f]{64})\n", re.MULTILINE)


class Wanted(NamedTuple):
    """What the file shall say. ``reason`` names the schedules too; ``by``: who asks."""

    value_ms: int
    until: datetime
    reason: str
    by: str


def check(wanted: Wanted, now: datetime, most_ms: int = MOST_MS) -> None:
    """Raises XoConfigRefusedError naming what is wrong; nothing that passes can break out of its comment."""
    value_ms, until, reason, by = wanted
    if not XO_DEFAULT_MS < value_ms <= min(most_ms, MOST_MS):
        right = f"more than {XO_DEFAULT_MS} ms, XO's own limit, and at most {min(most_ms, MOST_MS)} ms"
        raise XoConfigRefusedError(f"{KEY} = {value_ms}: guard writes {right}")
    if until.tzinfo is None:
        raise XoConfigRefusedError(f"the end {until.isoformat()} has no zone")
    if not now < until <= now + timedelta(days=MOST_DAYS):
        raise XoConfigRefusedError(
            f"the end {until.isoformat()}: expected a time to come, at most {MOST_DAYS} days ahead"
        )
    for name, text in (("reason", reason), ("name of who asks", by)):
        if not text.strip() or not text.isprintable() or len(text) > MOST_REASON:
            raise XoConfigRefusedError(
                f"the {name} must be one line of 1 to {MOST_REASON} characters, without control characters"
            )


def one_line(text: str) -> str:
    """Any text as ``check`` lets it pass, unless it is empty: names in it come from XO, where anybody may write them."""
    line = " ".join(text.split())
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in line)[:MOST_REASON]


def render(wanted: Wanted, written_at: datetime) -> str:
    """The whole file, in TOML; ``wanted`` has passed ``check``."""
    told = format_duration(wanted.value_ms / 1000)
    head = (
        "# Written by guard, which watches over this XO's backup schedules.\n"
        f"# XO waits up to {told} for a host that is slow to answer, instead of {format_duration(XO_DEFAULT_MS / 1000)}. "
        "This is for all runs of this XO.\n"
        "# It hides the cause: find out why the host (its dom0) is slow.\n"
        f"# reason: {wanted.reason}\n"
        f"# asked by: {wanted.by}\n"
        f"# written: {_spell(written_at)}\n"
        f"# until: {_spell(wanted.until)}\n"
        "# To take it back: guard workaround revert, or delete this file. XO reads the folder anew by itself.\n"
        "# Guard neither changes nor removes this file once a person has edited it.\n"
    )
    body = f"\n[{SECTION}]\n{KEY} = {wanted.value_ms}\n"
    return f"{head}# checksum: sha256 {_checksum(head + body)}\n{body}"


def read_back(text: str) -> OwnFile:
    """``intact`` when every sign is as guard wrote it, else ``edited`` with what can still be read."""
    fields = {found[1]: found[2] for line in text.splitlines() if (found := _FIELD.fullmatch(line))}
    known = _CHECKSUM.search(text)
    own = OwnFile(
        state="edited",
        value_ms=_value(text),
        until=_time(fields.get("until", "")),
        reason=fields.get("reason", ""),
        written_at=_time(fields.get("written", "")),
        by=fields.get("asked by", ""),
    )
    is_intact = known is not None and known[1] == _checksum(text[: known.start()] + text[known.end() :])
    if not is_intact or own.value_ms is None or own.until is None:
        return own
    return OwnFile(
        state="intact",
        value_ms=own.value_ms,
        until=own.until,
        reason=own.reason,
        written_at=own.written_at,
        by=own.by,
    )


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _spell(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(_TIME)


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def _value(text: str) -> int | None:
    try:
        section = tomli.loads(text).get(SECTION)
    except (ValueError, RecursionError):
        return None
    value = section.get(KEY) if isinstance(section, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
