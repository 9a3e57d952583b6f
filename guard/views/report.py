"""The report for people and machines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import msgspec

from guard.lifecycle.in_force import TOO_OFTEN
from guard.lifecycle.remedy import Remedy
from guard.lifecycle.report import ENOUGH_RUNS, Report
from guard.mechanics.zones import zone_or_utc
from guard.units import format_time, plural, some_of
from guard.views.remedies import remedy_document, remedy_lines
from guard.views.story import outcome_sentence
from guard.views.text import wrap
from guard.views.zones import text_in_zone

MOST_YOUNG = 3


def report_text(
    report: Report,
    zone: tzinfo,
    remedies: Sequence[Remedy] = (),
    standing: Sequence[str] = (),
    idle: Sequence[str] = (),
) -> str:
    """Ends, what went wrong and why, what guard did about it, how good the predictions were, which schedules are ready.

    ``standing``: lines about what guard left standing for now; ``idle``: what of the policy does nothing.
    """
    done = ["What guard did so that runs can start:", *remedy_lines(remedies, zone)] if remedies else []
    sections = (
        _ends(report, zone),
        _failures(report, zone),
        [*done, *standing],
        _scores(report),
        _enforced(report),
        _ready(report),
        idle_lines(idle),
    )
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _ends(report: Report, zone: tzinfo) -> list[str]:
    told = [f"{count} {end}" for end, count in report.ends.items()] + [f"{report.open} open"] * bool(report.open)
    span = f"{format_time(report.since, zone)} to {format_time(report.until, zone)}"
    lines = wrap(f"{plural(report.due, 'due time')} from {span}: {', '.join(told) or 'nothing'}.", "  ", first="")
    if report.statuses:
        runs = ", ".join(f"{count} {status}" for status, count in sorted(report.statuses.items()))
        lines += wrap(f"XO's runs: {runs}.", "  ", first="")
    return lines


def _failures(report: Report, zone: tzinfo) -> list[str]:
    lines = ["What went wrong:"] if report.failed or report.causes else []
    for run in report.failed:
        head = f"{format_time(run.key.due, zone)}  {run.seen.job_name} / {run.seen.schedule_name}"
        head += ", by hand through guard" if run.is_asked_by_hand else ""
        lines += wrap(head, "      ", first="  ")
        if run.ended is not None and run.ended.reason:
            reason = text_in_zone(run.ended.reason, zone_or_utc(run.seen.zone), zone, run.key.due)
            lines += wrap(reason, "        ", first="      ")
        for attempt in run.attempts:
            if attempt.ended is not None and attempt.ended.outcome.status != "success":
                lines += wrap(outcome_sentence(attempt.ended.outcome), "        ", first="      ")
    return lines + [f"  {count:>4}  {code}" for code, count in report.causes.items()]


def _scores(report: Report) -> list[str]:
    if not report.tallies:
        return []
    lines = ["Predictions:              hit  miss  false alarm  wrong cause"]
    for code, tally in report.tallies.items():
        lines.append(f"  {code:<22}{tally.hits:>5}{tally.misses:>6}{tally.false_alarms:>13}{tally.wrong_causes:>13}")
    if report.wolves:
        text = f'These cry wolf: {", ".join(report.wolves)}. Tune their thresholds, or set effect = "warn".'
        lines += wrap(text, "  ", first="")
    return lines


def _enforced(report: Report) -> list[str]:
    held = {action: count for action, count in report.would_have.items() if action != "start"}
    if not held:
        return []
    told = ", ".join(f"{count} {action.replace('_', ' ')}" for action, count in sorted(held.items()))
    return wrap(f"Had it been enforced, guard would not have started whole: {told}.", "  ", first="")


def _ready(report: Report) -> list[str]:
    watched = [record for record in report.schedules if not record.enforced]
    enforced = len(report.schedules) - len(watched)
    told = [f"Enforced: {plural(enforced, 'schedule')}"] if enforced else []
    told += left_to_xo_lines(
        [f"{one.job_name} / {one.name}" for one in report.schedules if one.enforced and one.left_to_xo]
    )
    if not watched and enforced:
        return told
    ready = sum(1 for record in watched if not record.not_ready)
    lines = [*told, f"Ready to be enforced: {ready} of {plural(len(watched), 'schedule')}"]
    young = [record for record in watched if record.predicted < ENOUGH_RUNS]
    if len(young) > MOST_YOUNG:  # the first nights: every schedule would be told with the same reason
        lines.append(f"  not ready  {len(young)} schedules: fewer than {ENOUGH_RUNS} runs predicted and seen")
    for record in watched:
        if len(young) > MOST_YOUNG and record in young:
            continue
        word, why = ("not ready", f": {record.not_ready}") if record.not_ready else ("ready", "")
        lines += wrap(f"{word:<9}  {record.job_name} / {record.name}{why}", "             ", first="  ")
    return lines


def left_to_xo_lines(names: Sequence[str]) -> list[str]:
    """The enforced schedules that guard leaves to XO all the same."""
    if not names:
        return []
    return wrap(f"Enforced, but left to XO: {some_of(names)}. Why: {TOO_OFTEN}.", "  ", first="")


def idle_lines(entries: Sequence[str]) -> list[str]:
    """What of the policy does nothing, as of the daemon's last look."""
    return [line for one in entries for line in wrap(f"Note: {one}", "  ", first="")]


def report_document(report: Report, remedies: Sequence[Remedy] = (), idle: Sequence[str] = ()) -> dict[str, Any]:
    """The document ``guard.report/1``."""
    return {
        "schema": "guard.report/1",
        "since": report.since.isoformat(),
        "until": report.until.isoformat(),
        "due": report.due,
        "open": report.open,
        "ends": dict(report.ends),
        "statuses": dict(report.statuses),
        "causes": dict(report.causes),
        "score": {code: msgspec.structs.asdict(one) for code, one in report.tallies.items()},
        "would_have": dict(report.would_have),
        "cry_wolf": list(report.wolves),
        "schedules": [msgspec.structs.asdict(one) for one in report.schedules],
        "remedies": [remedy_document(one) for one in remedies],
        "idle_entries": list(idle),
    }
