"""Runs checks over one view. A missing or old part, and a crash inside a check, become *unknown* here and only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from guard.checks.check import Check, Effect, Options
from guard.checks.view import View
from guard.finding import Certainty, ClearedBy, Clears, Finding, Harm, Level, Scope, ScopeKind
from guard.units import format_duration


def run_checks(checks: Sequence[Check], view: View, options: Mapping[str, Options]) -> list[Finding]:
    """All findings of all checks that apply to the job's type, in the order of ``checks``."""
    findings: list[Finding] = []
    for check in checks:
        chosen = options[check.name]
        if chosen.effect is Effect.OFF or view.run.job.type not in check.job_types:
            continue
        lacking = _lacking(check, view)
        found = [_unknown(check, view, lacking)] if lacking else _evaluated(check, view, chosen)
        if chosen.effect is Effect.WARN:
            found = [
                msgspec.structs.replace(one, level=Level.WARN) if one.level is Level.BLOCK else one for one in found
            ]
        findings += found
    return findings


def _evaluated(check: Check, view: View, options: Options) -> Sequence[Finding]:
    try:
        return check.evaluate(view, options)
    except Exception as error:  # noqa: BLE001  one broken check must not silence the others, nor the whole plan
        return [_unknown(check, view, f"the check itself failed ({type(error).__name__}: {error})")]


def _lacking(check: Check, view: View) -> str:
    """Why the check cannot be evaluated: the first part that was not read, is filtered, or is too old."""
    for name, oldest in check.needs.items():
        part = view.estate.parts[name]
        if not part.ok:
            return f"{name.value} could not be read ({part.error})"
        if not part.complete:
            return f"XO may have filtered the list of {name.value}: the token's user is no administrator"
        age = view.now - part.read_at
        if age > oldest:
            return f"{name.value} are {format_duration(age.total_seconds())} old"
    return ""


def _unknown(check: Check, view: View, why: str) -> Finding:
    job = view.run.job
    return Finding(
        code=check.codes[0].id,
        check=check.name,
        level=Level.UNKNOWN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.JOB, job.id, job.name),
        summary=f"{check.title} is unknown: {why}.",
        remedy="Make the missing facts readable for guard; the policy says what an unknown does meanwhile.",
        clears=Clears(ClearedBy.TIME),
    )
