"""The document ``guard.coverage/1``: all that the text tells, whole, with ids, units, sources and ages."""

from __future__ import annotations

from typing import Any

from guard.coverage.attempts import Attempt, key_of
from guard.coverage.collisions import Collision, Crowd
from guard.coverage.report import Coverage
from guard.coverage.repositories import RepositoryFilling
from guard.coverage.stagger import Effect, Stagger
from guard.coverage.stale import StaleVm
from guard.views.documents import age_s


def coverage_document(coverage: Coverage) -> dict[str, Any]:
    """Times are ISO 8601, durations seconds, sizes bytes. ``whole``: whether ``--exit-code`` gives 0."""
    told, xo = coverage.gaps, coverage.estate.xo
    return {
        "schema": "guard.coverage/1",
        "generated_at": coverage.now.isoformat(),
        "whole": coverage.is_whole,
        "xo": {"version": xo.version, "url": xo.url, "admin": xo.admin},
        "sources": [
            {
                "name": part.name.value,
                "ok": part.ok,
                "complete": part.complete,
                "age_s": age_s(coverage.now, part.read_at),
            }
            | ({"error": part.error} if part.error else {})
            for part in sorted(coverage.estate.parts.values(), key=lambda one: one.name.value)
        ],
        "notes": [{"text": note.text, "unknown": note.unknown, "schedule": note.schedule} for note in coverage.notes],
        "vms": {
            "total": told.vms,
            "covered": told.covered,
            "replicas": told.replicas,
            "unknown": told.why_unknown or None,
            "servers_away": [{"id": one.id, "name": one.name, "status": one.status} for one in told.away],
            "uncovered": [
                {
                    "id": one.vm,
                    "name": one.name,
                    "pool": one.pool or None,
                    "disk_bytes": one.disk_bytes,
                    "why": one.why.value,
                    "reason": one.reason,
                    "job": one.job or None,
                }
                for one in told.uncovered
            ],
            "on_purpose": [
                {"id": one.vm, "name": one.name, "pool": one.pool or None, "disk_bytes": one.disk_bytes, "tag": one.tag}
                for one in told.on_purpose
            ],
        },
        "logs_reach_s": coverage.reach_s,
        "stalest": _stalest(coverage),
        "stale": [_stale(coverage, one) for one in (*coverage.stale, *coverage.unknown)],
        "collisions": [_collision(coverage, one) for one in coverage.collisions],
        "stagger": _stagger(coverage, coverage.stagger),
        "at_once": [_crowd(one) for one in coverage.crowds],
        "unknown_durations": list(coverage.untold),
        "repositories": [_repository(coverage, one) for one in coverage.repositories],
    }


def _stalest(coverage: Coverage) -> dict[str, Any] | None:
    one = coverage.stalest
    if one is None:
        return None
    last = one.last_good.isoformat() if one.last_good is not None else None
    return {
        "id": one.vm,
        "name": one.name,
        "last_good": last,
        "age_s": one.age.total_seconds(),
        "at_least": one.at_least,
    }


def _stale(coverage: Coverage, one: StaleVm) -> dict[str, Any]:
    tries = coverage.attempts[key_of(one)]
    return {
        "id": one.vm,
        "name": one.name,
        "pool": one.pool or None,
        "state": one.age.value,
        "unknown": one.why_unknown or None,
        "last_good": one.last_good.isoformat() if one.last_good is not None else None,
        "age_s": age_s(coverage.now, one.last_good),
        "limit_s": one.limit.age.total_seconds() if one.limit is not None else None,
        "limit_source": one.limit.source if one.limit is not None else None,
        "target": {"kind": one.target.kind.value, "id": one.target.id, "name": one.target.name} if one.target else None,
        "schedules": [_schedule(coverage, schedule) for schedule in one.schedules],
        "attempts": [_attempt(coverage, attempt) for attempt in tries.newest],
        "attempt_count": tries.count,
    }


def _attempt(coverage: Coverage, one: Attempt) -> dict[str, Any]:
    return {
        "at": one.at.isoformat(),
        "schedule": _schedule(coverage, one.schedule),
        "status": one.status,
        "codes": list(one.codes),
        "reason": one.reason,
    }


def _schedule(coverage: Coverage, schedule: str) -> dict[str, Any]:
    known = coverage.estate.schedule_by_id.get(schedule)
    return {"id": schedule, "name": known.name if known is not None else None}


def _collision(coverage: Coverage, one: Collision) -> dict[str, Any]:
    return {
        "schedules": [_schedule(coverage, one.one), _schedule(coverage, one.other)],
        "shared": one.shared.value,
        "vms": one.vms,
        "times": one.times,
        "first": one.first.isoformat(),
        "longest_s": one.longest_s,
        "same_minute": one.same_minute,
    }


def _stagger(coverage: Coverage, told: Stagger) -> dict[str, Any]:
    return {
        "before": _effect(told.before),
        "after": _effect(told.after),
        "not_looked_at": told.left,
        "suggestions": [
            {
                "schedule": _schedule(coverage, one.schedule),
                "cron": one.cron,
                "suggested": one.suggested,
                "zone": one.zone,
                "later_min": one.minutes,
                "before": _effect(one.before),
                "after": _effect(one.after),
            }
            for one in told.suggestions
        ],
        "no_time": [
            {
                "schedules": [_schedule(coverage, schedule) for schedule in one.schedules],
                "place": one.place or None,
                "reason": one.reason,
            }
            for one in told.no_slot
        ],
    }


def _effect(one: Effect) -> dict[str, Any]:
    return {
        "collisions_per_week": one.collisions,
        "shared_per_week": one.shared,
        "exports_at_once": one.exports,
        "night_end": one.night_end.isoformat() if one.night_end is not None else None,
    }


def _crowd(one: Crowd) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "id": one.id,
        "name": one.name,
        "jobs": one.jobs,
        "exports": one.exports,
        "first": one.at.isoformat(),
        "shared_s": one.shared_s,
        "slots": one.slots,
        "beyond_s": one.beyond_s,
    }


def _repository(coverage: Coverage, one: RepositoryFilling) -> dict[str, Any]:
    return {
        "ids": list(one.ids),
        "name": one.name,
        "state": one.filling.value,
        "days_until_full": round(one.days, 2) if one.days is not None else None,
        "at_most": bool(one.days and one.not_counted),
        "growth_bytes_per_day": one.growth_per_day,
        "to_come_bytes": one.to_come,
        "largest_run_bytes": one.largest_run,
        "not_counted": list(one.not_counted),
        "unknown": one.why_unknown or None,
        "facts": {
            fact.name: {
                "value": fact.value,
                "unit": fact.unit,
                "source": fact.source,
                "age_s": age_s(coverage.now, fact.observed_at),
            }
            for fact in one.facts
        },
    }
