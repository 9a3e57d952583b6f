"""XO's next start dates of an expression, with clock changes in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from guard.mechanics.due import DueTime
from guard.units import format_time
from guard.views.text import wrap


def when_text(expression: str, zone_name: str, zone: tzinfo, dues: Sequence[DueTime], safer: Sequence[str]) -> str:
    """One line per due time: local time and UTC, double starts and storms in words."""
    lines = wrap(f"{expression} in {zone_name}:", "  ", first="")
    for due in dues:
        lines.append(f"  {format_time(due.at, zone)}   {_utc(due.at)}")
        if due.storm is not None:
            lines += wrap(f"start storm: XO would start it again and again until {_utc(due.storm.last)}", "    ")
        elif len(due.starts) > 1:
            times = " and ".join(map(_utc, due.starts))
            lines += wrap(f"the clocks change: XO starts it {len(due.starts)} times, at {times}", "    ")
    if any(due.storm is not None for due in dues) and safer:
        lines += wrap(f"Safer: {' or '.join(safer)}", "    ", first="  ")
    return "\n".join(lines) + "\n"


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
