"""Features that XO's plan or a proxy's licence does not allow (failure-modes.md 4.2; xo-api.md 3.11)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from guard.checks.check import Check
from guard.checks.options import XoFeatureOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.zones import zone_or_utc
from guard.units import format_time

XO_FEATURE_REFUSED = Code(
    id="XO_FEATURE_REFUSED",
    title="XO's plan or licence does not allow what the job does",
    why="The appliance checks its plan before a run (feature Unauthorized), and the licence of a proxy (no valid proxy "
    "license). No open API shows either, so it is told from the last run of the job.",
    do="In XO, look at the licences page: renew or bind the licence, or take the feature out of the job.",
    certainty=(Certainty.LIKELY,),
    clears=(ClearedBy.PERSON,),
)


def evaluate(view: View, options: XoFeatureOptions) -> list[Finding]:
    """A warning where the newest ended run of the job was refused as a whole.

    Starting costs nothing then, and a licence renewed meanwhile is seen only by starting: so it never holds a run.
    """
    del options
    job = view.run.job
    refused = [
        one for one in view.outlook.past_failures.get(XO_FEATURE_REFUSED.id, ()) if one.job == job.id and not one.vm
    ]
    if not refused or _newest_run(view) != refused[-1].run:
        return []
    last = refused[-1]
    at = datetime.fromtimestamp(last.start / 1000, UTC)
    zone = zone_or_utc(view.run.due.zone)
    return [
        Finding(
            code=XO_FEATURE_REFUSED.id,
            check="xo_feature",
            level=Level.WARN,
            certainty=Certainty.LIKELY,
            harm=Harm.NONE,
            scope=Scope(ScopeKind.JOB, job.id, job.name),
            summary=f"XO refused the last run of job {job.name}, on {format_time(at, zone)} ({last.text}); unless its "
            "plan or licence was changed since, it will again.",
            facts=(view.fact("last_at", at.isoformat(timespec="seconds"), "", PartName.LOGS),),
            remedy="In XO, look at the licences page: renew or bind the licence, or take the feature out of the job.",
            clears=Clears(ClearedBy.PERSON),
        )
    ]


def _newest_run(view: View) -> str:
    """Id of the newest run of the job that has ended; only asked for a job that was refused once."""
    of_job = [log for log in view.estate.logs if log.job_id == view.run.job.id and log.status != "pending"]
    return max(of_job, key=lambda log: log.start or 0).id


CHECK = Check(
    name="xo_feature",
    title="XO's plan and licences",
    codes=(XO_FEATURE_REFUSED,),
    needs={PartName.LOGS: timedelta(minutes=30)},
    options=XoFeatureOptions,
    evaluate=evaluate,
    job_types=frozenset({"backup", "mirrorBackup", "metadataBackup"}),
)
