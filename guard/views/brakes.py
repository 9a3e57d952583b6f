"""What persons said by hand, in words and as a document."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from guard.decision.brakes import Brake
from guard.units import format_time
from guard.views.text import clean


def brakes_line(brakes: Sequence[Brake], zone: tzinfo) -> str:
    """One line of all that are in force."""
    if not brakes:
        return "No hold and no bypass is in force."
    return "In force now: " + "; ".join(brake_text(one, zone) for one in brakes) + "."


def brake_text(brake: Brake, zone: tzinfo) -> str:
    """One brake as a person reads it, without a full stop."""
    end = f"un{brake.kind} {shlex.quote(brake.scope)}"
    until = f"until {format_time(brake.until, zone)}" if brake.until is not None else f"until guard {end}"
    return clean(f"{brake.kind} of {brake.scope} {until}, by {brake.by}: {brake.reason.rstrip('.')}")


def brake_document(brake: Brake) -> dict[str, Any]:
    """One brake's part of ``guard.status/1``; ``until`` null: until a person ends it."""
    return {
        "kind": brake.kind,
        "scope": brake.scope,
        "until": brake.until.isoformat() if brake.until is not None else None,
        "reason": brake.reason,
        "since": brake.since.isoformat(),
        "by": brake.by,
        "undo": f"guard un{brake.kind} {shlex.quote(brake.scope)}",
    }
