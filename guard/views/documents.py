"""Versioned JSON documents. Pure: what is printed on stdout with --json."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from guard.assess import Plan, PlannedRun
from guard.decision.brakes import Brake
from guard.finding import Fact, Finding
from guard.lifecycle.remedy import Wanted
from guard.views.brakes import brake_document
from guard.views.remedies import wanted_document
from guard.views.settings import settings_document


def age_s(now: datetime, observed_at: datetime | None) -> float | None:
    """Seconds since an observation; None where XO stamps nothing."""
    return None if observed_at is None else round((now - observed_at).total_seconds(), 3)


def plan_document(plan: Plan, remedies: Sequence[Wanted] = (), brakes: Sequence[Brake] = ()) -> dict[str, Any]:
    """The document ``guard.plan/1``. ``remedies``: what would help its runs; ``brakes``: a person's, in force now."""
    return {
        "schema": "guard.plan/1",
        "generated_at": plan.now.isoformat(),
        "xo": {"version": plan.estate.xo.version, "url": plan.estate.xo.url, "admin": plan.estate.xo.admin},
        "sources": [
            {"name": part.name.value, "ok": part.ok, "complete": part.complete, "age_s": age_s(plan.now, part.read_at)}
            | ({"error": part.error} if part.error else {})
            for part in sorted(plan.estate.parts.values(), key=lambda one: one.name.value)
        ],
        "notes": [{"text": note.text, "unknown": note.unknown, "schedule": note.schedule} for note in plan.notes],
        "due": [_due(planned, plan.now) for planned in plan.runs],
        "remedies": [wanted_document(one) for one in remedies],
        "brakes": [brake_document(one) for one in brakes],
    }


def _due(planned: PlannedRun, now: datetime) -> dict[str, Any]:
    run, verdict, seconds = planned.run, planned.verdict, planned.run.seconds
    return {
        "due": run.due.at.astimezone(planned.zone).isoformat(),
        "starts": [one.astimezone(planned.zone).isoformat() for one in run.due.starts],
        "via": run.due.via or None,
        "schedule": {"id": run.schedule.id, "name": run.schedule.name},
        "job": {"id": run.job.id, "name": run.job.name, "type": run.job.type, "mode": run.job.mode or None},
        "verdict": verdict.action.value,
        "reason": verdict.sentence,
        "clears": verdict.clears,
        "start_vms": list(verdict.start_vms),
        "settings": settings_document(verdict.settings),
        "held_vms": [{"id": one.vm, "name": one.name, "codes": list(one.codes)} for one in verdict.held],
        "expect": {
            "duration_s": {"p50": seconds.p50, "p90": seconds.p90, "samples": seconds.samples},
            "bytes": {"p50": planned.bytes_p50, "p90": planned.bytes_p90, "samples": planned.bytes_samples},
        },
        "findings": [finding_document(one, now) for one in verdict.findings],
    }


def finding_document(finding: Finding, now: datetime) -> dict[str, Any]:
    """One finding; facts by name."""
    eta, accepted = finding.clears.eta, finding.accepted
    return {
        "code": finding.code,
        "check": finding.check,
        "level": finding.level.value,
        "certainty": finding.certainty.value,
        "harm": finding.harm.value,
        "scope": {"kind": finding.scope.kind.value, "id": finding.scope.id, "name": finding.scope.name},
        "holds": list(finding.holds),
        "summary": finding.summary,
        "facts": {fact.name: _fact(fact, now) for fact in finding.facts},
        "remedy": finding.remedy,
        "clears": {"by": finding.clears.by.value, "eta": eta.isoformat() if eta is not None else None},
        "accepted": None if accepted is None else {"until": accepted.until.isoformat(), "reason": accepted.reason},
    }


def _fact(fact: Fact, now: datetime) -> dict[str, Any]:
    return {"value": fact.value, "unit": fact.unit, "source": fact.source, "age_s": age_s(now, fact.observed_at)}
