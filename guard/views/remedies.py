"""What guard does by itself so that runs can start: what it would do, did, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from typing import Any

from guard.estate.workaround import State
from guard.finding import Fact
from guard.lifecycle.remedy import Effect, ForRun, Remedy, RemedyKind, Result, Wanted
from guard.units import format_bytes, format_duration, format_time, some_of
from guard.views.text import wrap

DOES: Mapping[RemedyKind, tuple[str, str]] = MappingProxyType(
    {
        RemedyKind.RESCAN: ("scan", "scanned"),
        RemedyKind.RECONNECT: ("reconnect", "reconnected"),
        RemedyKind.PLUG: ("plug", "plugged"),
        RemedyKind.PROBE: ("have XO write a small file to", "had XO write a small file to"),
        RemedyKind.TIMEOUT_FILE: (
            "write httpInactivityTimeout into",
            "wrote httpInactivityTimeout into",
        ),
        RemedyKind.TIMEOUT_FILE_BACK: (
            "take httpInactivityTimeout out of",
            "took httpInactivityTimeout out of",
        ),
    }
)
"""(what guard would do, what it did), before the name of the thing."""
GLOBAL = "It holds for all runs of this XO that begin while it stands."


def wanted_lines(wanted: Sequence[Wanted], zone: tzinfo) -> list[str]:
    """For the plan: what guard would do, and when; what it would not do, and why, with what a person does instead."""
    lines: list[str] = []
    for one in wanted:
        would, _ = DOES[one.kind]
        if one.aside:
            lines += wrap(
                _stopped(f"Would help, and guard does not do it: {would} {one.scope.name}. Why not: {one.aside}"),
                "      ",
                first="",
            )
        else:
            lines += wrap(f"Would do: {would} {one.scope.name} at {format_time(one.at, zone)}.", "      ", first="")
        lines += wrap(_stopped(f"Why: {one.reason}"), "      ")
        if one.kind is RemedyKind.TIMEOUT_FILE and one.until is not None and not one.aside:
            lines += wrap(f"{GLOBAL} guard takes it back after {format_time(one.until, zone)}.", "      ")
        if one.expected_at is not None and not one.aside:
            lines += wrap(
                f"By the rate guard has learned there, the last of them is merged by {format_time(one.expected_at, zone)}.",
                "      ",
            )
        for step in one.steps:
            lines += wrap(step, "        ")
    return lines


def standing_lines(state: State | None, zone: tzinfo) -> list[str]:
    """For the plan and the report: while the file stands, why it is needed is told each time."""
    text = standing_sentence(state, zone) if state is not None else ""
    return wrap(f"Note: {text}", "      ", first="") if text else []


def standing_sentence(state: State, zone: tzinfo) -> str:
    """The same as text; '' where the file does not stand."""
    if state.own.state not in ("intact", "edited"):
        return ""
    own = state.own
    told = format_duration(own.value_ms / 1000) if own.value_ms else "an unknown time"
    until = f" until {format_time(own.until, zone)}" if own.until is not None else ""
    edited = " Somebody edited it since, so guard leaves it alone." if own.state == "edited" else ""
    why = _stopped(own.reason or "no reason is told in it")
    return (
        f"The httpInactivityTimeout workaround stands{until}: XO may wait {told} for a host (file verified).{edited} {GLOBAL} It "
        f"was written because: {why} It hides that a host is slow: look at the load and the "
        "memory of its dom0, at what attaches disks there, and at how many exports it serves at once."
    )


def remedy_lines(remedies: Iterable[Remedy], zone: tzinfo) -> list[str]:
    """What was done, oldest first: why, what was seen before and after, what came of it."""
    lines: list[str] = []
    for one in remedies:
        head = f"{format_time(one.at, zone)}  {remedy_sentence(one, zone)}"
        lines += wrap(head, "        ", first="  ")
        lines += wrap(_stopped(f"why: {one.reason}"), "        ", first="      ")
        for word, facts in (("before", one.before), ("after", one.after)):
            if facts:
                lines += wrap(f"{word}: {', '.join(map(_fact, facts))}", "        ", first="      ")
        if one.runs:
            lines += wrap(f"for {_runs(one.runs, zone)}", "        ", first="      ")
    return lines


def lately_lines(remedies: Sequence[Remedy], zone: tzinfo) -> list[str]:
    """For guard status: one line each, the newest first."""
    lines = ["What guard did lately so that runs can start:"] if remedies else []
    for one in reversed(remedies):
        lines += wrap(f"{format_time(one.at, zone)}  {remedy_sentence(one, zone)}", "        ", first="  ")
    return lines


def remedy_sentence(one: Remedy, zone: tzinfo) -> str:
    """One remedy as one or two sentences."""
    would, did = DOES[one.kind]
    match one.result:
        case Result.OPEN:
            told = f"guard began to {would} {one.scope.name}; what came of it is not known yet."
        case Result.DONE:
            told = f"guard {did} {one.scope.name}. {one.text}".rstrip()
        case Result.FAILED:
            told = f"guard tried to {would} {one.scope.name}, and could not: {one.text}"
        case _:  # nobody knows
            told = f"guard tried to {would} {one.scope.name}. {one.text}".rstrip()
    return " ".join((told, *_effect(one, zone)))


def _effect(one: Remedy, zone: tzinfo) -> list[str]:
    told = []
    if one.effect is Effect.HELPED and one.effect_at is not None and one.kind is not RemedyKind.PROBE:
        took = format_duration(max(0.0, (one.effect_at - one.at).total_seconds()))
        told.append(f"It helped within {took}.")
    elif one.effect is Effect.HELPED and one.kind is RemedyKind.RESCAN:
        told.append("What waits there gets less.")
    elif one.effect is Effect.NOTHING and one.result is not Result.FAILED and one.kind is not RemedyKind.PROBE:
        told.append("It did not help.")
    if one.kind is RemedyKind.RESCAN and one.expected_at is not None:
        seen = format_time(one.effect_at, zone) if one.effect_at is not None else "not yet"
        told.append(f"Expected by the learned rate: {format_time(one.expected_at, zone)}; seen done: {seen}.")
    if one.until is not None and one.result is Result.DONE:
        told.append(f"It was written to stand until {format_time(one.until, zone)}.")
    return told


def _runs(runs: Sequence[ForRun], zone: tzinfo) -> str:
    return some_of(f"{run.name}, due {format_time(run.due, zone)}" for run in runs)


def _fact(fact: Fact) -> str:
    name, value = fact.name.replace("_", " "), fact.value
    if fact.unit.startswith("bytes") and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{name} {format_bytes(round(value))}{fact.unit.removeprefix('bytes')}"
    return f"{name} {'unknown' if value is None else value} {fact.unit}".rstrip()


def _stopped(text: str) -> str:
    """With a stop at its end; its head may be the name of something, and stays as it is."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def of_run(remedies: Iterable[Remedy], schedule: str, due: datetime) -> list[Remedy]:
    """Those that were done for one due run."""
    return [one for one in remedies if any((run.schedule, run.due) == (schedule, due) for run in one.runs)]


def wanted_document(one: Wanted) -> dict[str, Any]:
    """Part of ``guard.plan/1``."""
    return {
        "kind": one.kind.value,
        "scope": {"kind": one.scope.kind.value, "id": one.scope.id, "name": one.scope.name},
        "at": _utc(one.at),
        "reason": one.reason,
        "would_do": not one.aside,
        "aside": one.aside,
        "steps": list(one.steps),
        "for": _runs_document(one.runs),
        "until": _utc(one.until),
        "expected_at": _utc(one.expected_at),
        "before": _facts_document(one.before),
    }


def remedy_document(one: Remedy) -> dict[str, Any]:
    """Part of ``guard.why/1``, ``guard.report/1`` and ``guard.status/1``."""
    return {
        "kind": one.kind.value,
        "scope": {"kind": one.scope.kind.value, "id": one.scope.id, "name": one.scope.name},
        "at": _utc(one.at),
        "reason": one.reason,
        "for": _runs_document(one.runs),
        "result": one.result.value,
        "text": one.text,
        "ended_at": _utc(one.ended_at),
        "effect": one.effect.value,
        "effect_at": _utc(one.effect_at),
        "expected_at": _utc(one.expected_at),
        "until": _utc(one.until),
        "before": _facts_document(one.before),
        "after": _facts_document(one.after),
    }


def _runs_document(runs: Sequence[ForRun]) -> list[dict[str, Any]]:
    return [{"schedule": run.schedule, "name": run.name, "due": _utc(run.due)} for run in runs]


def _facts_document(facts: Sequence[Fact]) -> dict[str, Any]:
    return {
        fact.name: {
            "value": fact.value,
            "unit": fact.unit,
            "source": fact.source,
            "observed_at": _utc(fact.observed_at),
        }
        for fact in facts
    }


def _utc(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
