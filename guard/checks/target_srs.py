"""SRs that a job writes to: targets of a replication, and of health checks (failure-modes.md 3.16)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import TargetSrsOptions
from guard.checks.view import View, back_by
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids, target_sr_ids

SR_UNKNOWN = Code(
    id="SR_UNKNOWN",
    title="XO does not show a target SR of the job",
    why="XO looks the SRs of a replication up at the start. One it does not find is dropped and every VM misses that copy: "
    "the SR was forgotten, or its pool is not connected.",
    do="Search the UUID in XO. Reconnect its pool (Settings > Servers), or take the SR out of the job.",
    page_section="Error: no XAPI associated to <UUID>",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)
HEALTH_CHECK_SR_MISSING = Code(
    id="HEALTH_CHECK_SR_MISSING",
    title="The SR for the health checks is not there",
    why="XO opens the health check SR before any VM. When it does not find it, the whole run fails and no VM is backed up.",
    do="Edit the schedule in XO and choose another SR for the health check, or reconnect the pool of this one "
    "(Settings > Servers). Then start the job again.",
    page_section="Error: no XAPI associated to <UUID>",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)


def evaluate(view: View, options: TargetSrsOptions) -> list[Finding]:
    """Target SRs that XO does not show, then the SR for health checks."""
    del options
    run, known = view.run, view.estate.sr_by_id
    targets = target_sr_ids(run.job)
    gone = [sr for sr in targets if sr not in known]
    # with no target left, and no snapshot to keep, XO returns without doing anything (VmsXapi.mjs:85)
    nothing_left = len(gone) == len(targets) and not repository_ids(run.job) and not run.settings.snapshot_retention
    findings = [_unknown(view, sr, whole=nothing_left) for sr in gone]
    health = run.settings.health_check_sr
    if health and health not in known:
        findings.append(_health_check(view, health))
    return findings


def _unknown(view: View, sr: str, *, whole: bool) -> Finding:
    effect = "no target is left, and nothing would be backed up" if whole else "every VM misses that copy"
    return Finding(
        code=SR_UNKNOWN.id,
        check="target_srs",
        level=Level.BLOCK if whole else Level.WARN,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.SR, sr, sr),
        summary=f"XO does not show SR {sr}, a target of job {view.run.job.name}; {effect}.",
        facts=(view.fact("known", False, "", PartName.SRS),),
        remedy=f"Reconnect the pool of SR {sr} in XO (Settings > Servers), or take the SR out of job {view.run.job.name}.",
        clears=back_by(view.servers_away),
    )


def _health_check(view: View, sr: str) -> Finding:
    return Finding(
        code=HEALTH_CHECK_SR_MISSING.id,
        check="target_srs",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.SR, sr, sr),
        summary=f"XO does not show SR {sr}, on which schedule {view.run.schedule.name} checks its backups; XO fails the whole "
        "run before the first VM.",
        facts=(view.fact("known", False, "", PartName.SRS),),
        remedy=f"Choose another SR for the health check of schedule {view.run.schedule.name}, or reconnect the pool of {sr}.",
        clears=back_by(view.servers_away),
    )


CHECK = Check(
    name="target_srs",
    title="Target and health-check SRs",
    codes=(
        SR_UNKNOWN,
        HEALTH_CHECK_SR_MISSING,
    ),
    needs={part: timedelta(minutes=10) for part in (PartName.SRS, PartName.SERVERS)},
    options=TargetSrsOptions,
    evaluate=evaluate,
)
