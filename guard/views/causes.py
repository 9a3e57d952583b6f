"""Why runs failed and what to do: for people, and as the document ``guard.causes/1``. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from guard.finding import Code, Scope, ScopeKind
from guard.outcomes.causes import Cause
from guard.outcomes.codes import UNCLASSIFIED
from guard.outcomes.outcome import Outcome
from guard.units import plural
from guard.views.text import wrap

_KINDS = {ScopeKind.VM: "VM", ScopeKind.SR: "SR", ScopeKind.XO: "XO", ScopeKind.VDI: "VDI"}


def causes_document(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """The document ``guard.causes/1``. ``text`` is XO's own, whole."""
    return {
        "schema": "guard.causes/1",
        "causes": [
            {
                "run": cause.run,
                "scope": {"kind": cause.scope.kind.value, "id": cause.scope.id, "name": cause.scope.name},
                "code": cause.code,
                "transient": cause.transient,
                "waiting_helps": cause.waiting_helps,
                "text": cause.text,
            }
            for one in outcomes
            for cause in one.causes
        ],
    }


def causes_text(outcomes: Sequence[Outcome], codes: Mapping[str, Code]) -> str:
    """The runs that lost something, each with what and XO's words for it; then what every code means and what to do."""
    if not outcomes:
        return "There is no backup log in it.\n"
    troubled = [one for one in outcomes if one.causes]
    lines: list[str] = []
    for one in troubled:
        lines += [*_run(one), ""]
    for code in dict.fromkeys(cause.code for one in troubled for cause in one.causes):
        lines += [*_advice(codes[code], [cause for one in troubled for cause in one.causes if cause.code == code]), ""]
    quiet = [one for one in outcomes if not one.causes]
    if len(quiet) == 1:
        lines += wrap(f"{_title(quiet[0])} Nothing failed{_so_far(quiet[0])}.", "  ", first="")
    elif quiet:
        lines.append(f"In {plural(len(quiet), 'run')} nothing failed.")
    return "\n".join(lines).rstrip("\n") + "\n"


def _run(one: Outcome) -> list[str]:
    lines = wrap(_title(one), "  ", first="")
    alike: dict[tuple[str, str, Scope | None], list[Scope]] = {}
    for cause in one.causes:
        alike.setdefault((cause.code, cause.text, cause.target), []).append(cause.scope)
    for (code, text, target), scopes in alike.items():
        to = f", for {_named(target)}" if target is not None else ""
        lines += wrap(f"- {code}: {', '.join(map(_named, scopes))}{to}", "    ", first="  ")
        lines += wrap(f'XO says: "{" ".join(text.split())}"', "      ", first="    ")
    return lines


def _title(one: Outcome) -> str:
    job = f' of job "{one.job.name or one.job.id}"' if one.job.name or one.job.id else ""
    at = _time(one.times.start_ms)
    return f"Run {one.run}{job}{f', {at}' if at else ''}: {one.status}."


def _so_far(one: Outcome) -> str:
    return " so far" if one.status == "pending" else ""


def _time(ms: int | None) -> str:
    """'' for what a calendar does not hold."""
    try:
        return "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return ""


def _named(scope: Scope) -> str:
    return f"{_KINDS.get(scope.kind, scope.kind.value)} {scope.name or scope.id}".rstrip()


def _advice(code: Code, causes: Sequence[Cause]) -> list[str]:
    if code is UNCLASSIFIED:
        wait = ""
    elif causes[0].transient:
        wait = "It passes by itself: a later run may well succeed."
    elif causes[0].waiting_helps:
        wait = "Waiting may clear it; when it comes again, a person must act."
    else:
        wait = "Waiting does not help: a person must act."
    lines = wrap(f"{code.id}: {code.title}.", "  ", first="")
    for text in (f"Why: {code.why}", f"What to do: {code.do}", wait):
        lines += wrap(text, "  ") if text else []
    return lines
