"""One due run told from its events, now or a month later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from guard.decision.verdict import Action
from guard.finding import Fact, Level
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import (
    BY_HAND,
    Alarmed,
    AnyEvent,
    AttemptEnded,
    Decided,
    Ended,
    Seen,
    Started,
    Starter,
    Starting,
)
from guard.outcomes.outcome import Outcome
from guard.units import format_bytes, format_duration, format_time, plural
from guard.views.deeds import STARTED_BY, deed_document, deed_sentence
from guard.views.documents import finding_document
from guard.views.findings import accepted_lines
from guard.views.text import wrap
from guard.views.zones import event_in_zone

WOULD = {
    Action.START: "start it whole",
    Action.START_SOME: "start some of it",
    Action.DEFER: "defer it",
    Action.REFUSE: "refuse it",
    Action.SKIP: "skip it",
}


def story_text(run: DueRun, events: Sequence[AnyEvent], zone: tzinfo) -> str:
    """Every event with its time, the findings of the prediction with their figures, the outcome per VM."""
    seen = run.seen
    by_hand = run.key.via == BY_HAND
    at = format_time(run.key.due, zone)
    began = f"began {at}, at no due time"
    when = f"started by hand through guard {at}" if run.is_asked_by_hand else began if by_hand else f"due {at}"
    lines = wrap(f"{seen.job_name} / {seen.schedule_name}, {when}", "  ", first="")
    through = f", through {run.key.via}" if run.key.via and not by_hand else ""
    lines += wrap(f"cron {seen.cron} in {seen.zone}{through}", "  ")
    for event in (event_in_zone(one, run, zone) for one in events):
        lines += _event(event, zone)
        if isinstance(event, Starting) and run.is_asked_by_hand:
            lines += wrap(event.reason, "      ")
    return "\n".join(lines) + "\n"


def _event(event: AnyEvent, zone: tzinfo) -> list[str]:
    at = format_time(event.at, zone)
    match event:
        case Seen(late=late):
            text = "entered after it was due, too late to predict it" if late else "entered"
            return wrap(f"{at}  {text}", "      ", first="  ")
        case Decided():
            return _decided(event, at, zone)
        case Started(run=run, began=began, by=by):
            told = "XO runs it" if by is Starter.XO else f"{STARTED_BY[by]}; XO runs it"
            return wrap(f"{at}  {told} since {format_time(began, zone)} (log {run})", "      ", first="  ")
        case Alarmed(code=code, text=text):
            return wrap(f"{at}  alarm {code}: {text}", "      ", first="  ")
        case AttemptEnded(outcome=outcome):
            return [*wrap(f"{at}  {outcome_sentence(outcome)}", "      ", first="  "), *_vms(outcome)]
        case Ended():
            why = f": {event.reason}" if event.reason else ""
            return wrap(f"{at}  {event.end.value}{why}", "      ", first="  ")
        case _:
            return wrap(f"{at}  {deed_sentence(event, zone)}", "      ", first="  ")


def _decided(event: Decided, at: str, zone: tzinfo) -> list[str]:
    verdict = event.verdict
    age = format_duration((event.at - event.facts_at).total_seconds())
    does = "will" if event.acts else "would"
    head = (
        f"{at}  on facts {age} old guard {does} {WOULD[verdict.action]}: {verdict.sentence} {verdict.clears}".rstrip()
    )
    lines = wrap(head, "      ", first="  ")
    if event.aside:
        lines += wrap(f"it is left to XO: {event.aside}.", "      ")
    for finding in verdict.findings:
        if finding.level is Level.OK:
            continue
        lines += wrap(f"- {finding.level.value} {finding.code}: {finding.summary}", "        ", first="      ")
        figures = [f"{fact.name} {_figure(fact)} ({fact.source})" for fact in finding.facts]
        lines += wrap("; ".join(figures), "          ") if figures else []
        lines += accepted_lines(finding, "        ")
        lines += wrap(f"> {finding.remedy}", "          ", first="        ")
    return lines


def _figure(fact: Fact) -> str:
    """A figure with its unit, as a person reads it; the document has it as it is."""
    match fact.value, fact.unit:
        case None, _:
            return "unknown"
        case bool(value), _:
            return "yes" if value else "no"
        case int(value), "bytes":
            return format_bytes(value)
        case int(value) | float(value), "s":
            return format_duration(float(value))
        case _:
            return f"{fact.value} {fact.unit}".rstrip()


def outcome_sentence(outcome: Outcome) -> str:
    """How a run of XO's ended, in one sentence."""
    good = sum(1 for one in outcome.vms if one.status == "success")
    took = outcome.times.duration_s
    if outcome.status == "unknown":
        return "how it ended is unknown: XO's list of logs no longer holds it."
    told = f"it ended as {outcome.status}"
    if took is not None:
        told += f" after {format_duration(took)}"
    if outcome.vms:
        told += f": {good} of {plural(len(outcome.vms), 'VM')} backed up, {format_bytes(outcome.sent_bytes)} sent"
    codes = ", ".join(dict.fromkeys(cause.code for cause in outcome.causes))
    return told + (f"; {codes}" if codes else "") + "."


def _vms(outcome: Outcome) -> list[str]:
    lines: list[str] = []
    for cause in outcome.causes:
        lines += wrap(
            f'- {cause.scope.name or cause.scope.id}: {cause.code}, "{cause.text}"', "        ", first="      "
        )
    return lines


def story_document(run: DueRun, events: Sequence[AnyEvent], now: datetime) -> dict[str, Any]:
    """The document ``guard.story/1``."""
    return {
        "schema": "guard.story/1",
        "schedule": {"id": run.key.schedule, "name": run.seen.schedule_name},
        "job": {"id": run.seen.job, "name": run.seen.job_name},
        "due": run.key.due.isoformat(),
        "via": run.key.via or None,
        "end": run.ended.end.value if run.ended is not None else None,
        "events": [_document(event, now) for event in events],
    }


def _document(event: AnyEvent, now: datetime) -> dict[str, Any]:
    base: dict[str, Any] = {"at": event.at.isoformat(), "event": type(event).__name__.lower()}
    match event:
        case Seen():
            return base | {"expected_at": event.expected_at.isoformat(), "late": event.late}
        case Decided():
            verdict = event.verdict
            return base | {
                "facts_at": event.facts_at.isoformat(),
                "verdict": verdict.action.value,
                "reason": verdict.sentence,
                "held_vms": [{"id": one.vm, "name": one.name, "codes": list(one.codes)} for one in verdict.held],
                "findings": [finding_document(one, now) for one in verdict.findings],
            }
        case Started():
            return base | {"run": event.run, "began": event.began.isoformat(), "by": event.by.value}
        case Alarmed():
            return base | {"code": event.code, "text": event.text}
        case AttemptEnded():
            return (
                base
                | {"run": event.run, "status": event.outcome.status}
                | {
                    "vms": [
                        {"id": one.vm.id, "name": one.vm.name, "status": one.status, "sent_bytes": one.sent_bytes}
                        for one in event.outcome.vms
                    ],
                    "causes": [
                        {
                            "scope": {"kind": one.scope.kind.value, "id": one.scope.id, "name": one.scope.name},
                            "code": one.code,
                            "text": one.text,
                        }
                        for one in event.outcome.causes
                    ],
                }
            )
        case Ended():
            return base | {"end": event.end.value, "code": event.code or None, "reason": event.reason or None}
        case _:
            return base | deed_document(event)
