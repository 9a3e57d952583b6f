"""What guard release did, or would undo."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from guard.lifecycle.due_run import DueRun
from guard.mechanics.fallback import FallbackKind, Placed
from guard.views.deeds import HOW
from guard.views.doings import (
    DROP_UNDO,
    Doings,
    Expected,
    claim_text,
    claim_undo,
    deferral_text,
    doings_lines,
    fallback_text,
    name_of,
)
from guard.views.text import wrap


def released_lines(
    runs: Sequence[tuple[DueRun, DueRun]],
    left: Sequence[Placed],
    dropped: Sequence[Placed],
    acting: Doings,
    zone: tzinfo,
) -> list[str]:
    """Each claim (as it stood, as it is) and what became of it; fallbacks deleted and left; what waits on."""
    lines: list[str] = []
    if not runs:
        lines.append("Nothing is claimed: every schedule is XO's.")
    for _, now in runs:
        lines += wrap(f"{name_of(now, zone)}: {_became(now)}.", "  ", first="")
    for one in dropped:
        lines += wrap(f"Deleted in XO: {one.fallback.name}.", "  ", first="")
    expected = {one.fallback.name: one for one in acting.fallbacks}
    for one in left:
        lines += wrap(f"Left in XO: {_placed(one, expected, zone)}. Undo: {DROP_UNDO}.", "  ", first="")
    for waiting in acting.deferrals:
        lines += wrap(f"Waits for guard daemon: {deferral_text(waiting, zone)}.", "  ", first="")
    return lines


def dry_run_lines(acting: Doings, placed: Sequence[Placed] | None, zone: tzinfo) -> list[str]:
    """What stands and how each is undone. ``placed``: this guard's fallbacks in XO, None where XO could not be read."""
    if placed is None:
        return doings_lines(acting, zone) or ["The ledger knows of nothing that guard changed in XO."]
    lines: list[str] = []
    for run in acting.claimed:
        lines += wrap(f"Claimed: {claim_text(run, zone)}. Undo: {claim_undo(run)}.", "  ", first="")
    expected = {one.fallback.name: one for one in acting.fallbacks}
    for one in placed:
        lines += wrap(f"In XO: {_placed(one, expected, zone)}. Undo: {DROP_UNDO}.", "  ", first="")
    for waiting in acting.deferrals:
        lines += wrap(f"Deferred: {deferral_text(waiting, zone)}. Undo: run it in XO.", "  ", first="")
    return lines or ["Nothing: guard holds nothing in XO."]


def _became(run: DueRun) -> str:
    claim = run.claim
    if claim is None or claim.released is None:
        return "still claimed: the schedule may be off in XO; enable it there, or run guard release again"
    return HOW[claim.released.how] + (f": {claim.released.reason.rstrip('.')}" if claim.released.reason else "")


def _placed(one: Placed, expected: dict[str, Expected], zone: tzinfo) -> str:
    known = expected.get(one.fallback.name)
    if known is not None:
        return fallback_text(known, zone)
    does = "starts the schedule" if one.fallback.kind is FallbackKind.START else "enables the schedule"
    when = (
        f" at {one.fallback.cron!r} (XO's cron, UTC)" if one.armed and one.fallback.cron else ", never: it is not armed"
    )
    return f"{one.fallback.name} {does}{when}"
