"""What persons said by hand, in words and as a document."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from guard.decision.brakes import Brake
from guard.policy.scopes import parse_scope
from guard.units import format_time
from guard.views.text import clean, wrap

_KINDS = {"vm": "VM", "sr": "SR", "repository": "backup repository"}


def brakes_text(brakes: Sequence[Brake], zone: tzinfo) -> str:
    """The same, folded, with its end of line."""
    return "".join(line + "\n" for line in wrap(brakes_line(brakes, zone), "  ", first=""))


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


def names_nothing_text(brake: Brake, near: Sequence[str]) -> str:
    """That XO does not show what a brake names. ``near``: names that a person may have meant."""
    kind, name = parse_scope(brake.scope)
    meant = " or ".join(shlex.quote(f"{kind}:{one}") for one in near)
    what = _KINDS.get(kind, kind)
    told = f"warning: XO shows no {what} of the name or id {name!r}; the {brake.kind} stands all the same"
    return clean(told + (f"; did you mean {meant}?" if near else ""))


def not_checked_text(brake: Brake, why: str) -> str:
    """That nobody can tell whether XO has what a brake names."""
    return clean(
        f"warning: whether XO has {brake.scope} could not be checked; the {brake.kind} stands all the same: {why}"
    )


def not_enforced_text(brake: Brake) -> str:
    """That a hold keeps nothing back."""
    told = 'no schedule that it names is enforced (gate = "enforce"): XO starts them all the same'
    return clean(f"warning: hold of {brake.scope}: {told}")


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
