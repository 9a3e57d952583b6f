"""Durations, bytes and times: read what people write, print what they read. Pure text and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB
_BEYOND = 2**80  # bytes; nothing holds as much, and much larger numbers fit no float

_TIME_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
_LONGEST = timedelta(days=3650)  # dates beyond what a plan can mean would overflow later, somewhere less telling
_LONGEST_TEXT = 10_000  # characters
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """``"90 s"``, ``"15 min"``, ``"2h 30min"``, ``"1 d"`` -> timedelta. ValueError names what would be right."""
    rest = text.strip() if len(text) <= _LONGEST_TEXT else "too long to be read"
    total = 0.0
    while rest:
        found = _DURATION.match(rest)
        if found is None:
            raise ValueError('a duration such as "90 s", "15 min", "2 h" or "1 d"')
        total += float(found[1]) * _TIME_UNITS[found[2]]
        rest = rest[found.end() :].lstrip()
    if text.strip() == "":
        raise ValueError('a duration such as "90 s", "15 min", "2 h" or "1 d"')
    if total > _LONGEST.total_seconds():
        raise ValueError(f"a duration of at most {_LONGEST.days} d")
    return timedelta(seconds=total)


def format_bytes(count: int) -> str:
    """1536 -> ``"1.5 KiB"``; exact below one KiB. Negative counts keep their sign."""
    if abs(count) < KIB:
        return f"{count} B"
    if abs(count) >= _BEYOND:
        return f"{'-' if count < 0 else ''}more than {_BEYOND // TIB} TiB"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= KIB
        if abs(value) < 1023.95:
            return f"{value:.1f} {unit}"
    return f"{value / KIB:.1f} TiB"


def format_duration(seconds: float) -> str:
    """Seconds -> ``"0.4 s"``, ``"42 s"``, ``"3 min"``, ``"2 h 10 min"``, ``"3 d 4 h"``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def format_time(moment: datetime, zone: tzinfo) -> str:
    """An instant in a zone, with its abbreviation: ``"Tue 24 Nov 02:00 CET"``."""
    return moment.astimezone(zone).strftime("%a %d %b %H:%M %Z")


def whole_ms(moment: datetime) -> datetime:
    """The moment as a key of the ledger: a whole millisecond, rounded down."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def some_of(names: Iterable[str], most: int = 3) -> str:
    """The first names, and how many more there are: ``"a, b, c and 2 more"``."""
    told = list(names)
    return ", ".join(told[:most]) + (f" and {len(told) - most} more" if len(told) > most else "")


def plural(count: int, one: str, many: str | None = None) -> str:
    """``plural(1, "VM")`` -> ``"1 VM"``; ``plural(2, "VM")`` -> ``"2 VMs"``."""
    return f"{count} {one if count == 1 else many or one + 's'}"
