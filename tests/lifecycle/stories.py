"""Due runs for the lifecycle's tests: one schedule at midnight UTC, events at fixed times."""

from __future__ import annotations

from datetime import timedelta

from guard.decision.verdict import Action, Held, Verdict
from guard.finding import Certainty, ClearedBy, Clears, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import (
    Alarmed,
    AttemptEnded,
    Claimed,
    Claiming,
    Decided,
    End,
    Ended,
    Released,
    ReleasedHow,
    RunKey,
    Seen,
    Started,
)
from guard.outcomes.outcome import outcome
from tests.builders import DUE, make_log, make_schedule, make_transfer, make_vm_task
from tests.outcomes.tables import failed_vm, said

KEY = RunKey("schedule", DUE)
RUN = "1795564800000"


def after(seconds=0, **more):
    """So long after the due time."""
    return DUE + timedelta(seconds=seconds, **more)


def seen(*, due=DUE, starts=None, expected_at=None, late=False, name="schedule"):
    begins = starts or (due,)
    return Seen(
        at=due - timedelta(seconds=90),
        job="job",
        job_name="nightly",
        schedule_name=name,
        cron="0 0 * * *",
        zone="utc",
        expected_at=expected_at or begins[0],
        starts=begins,
        late=late,
    )


def finding(code="CHAIN_UNHEALTHY", *, level=Level.BLOCK, holds=("vm",), facts=(), **changes):
    given = {
        "code": code,
        "check": "chain",
        "level": level,
        "certainty": Certainty.LIKELY,
        "harm": Harm.NONE,
        "scope": Scope(ScopeKind.VM, "vm", "web"),
        "holds": holds,
        "summary": "web: 2 uncoalesced copies, XO tolerates 1.",
        "facts": facts,
        "remedy": "Wait for the coalesce.",
        "clears": Clears(ClearedBy.TIME),
    }
    return Finding(**(given | changes))


def fact(name="uncoalesced", value=2, unit="VDIs"):
    return Fact(name=name, value=value, unit=unit, source="GET /rest/v0/vdis", observed_at=after(-120))


def verdict(*findings, action=Action.START, sentence="Nothing stands in its way.", clears="", held=()):
    return Verdict(
        action=action,
        sentence=sentence,
        clears=clears,
        start_vms=("vm",) if action is Action.START else (),
        held=tuple(held),
        findings=tuple(findings),
        unknown=False,
    )


def held(name="web"):
    return Held(vm="vm", name=name, codes=("CHAIN_UNHEALTHY",), deadline=after(hours=4))


def decided(*findings, due=DUE, facts_age=2, **of_verdict):
    at = due - timedelta(seconds=55)
    return Decided(
        at=at, facts_at=at - timedelta(seconds=facts_age), vms=("vm",), verdict=verdict(*findings, **of_verdict)
    )


def claiming(at=None, **changes):
    """The schedule is taken half a minute before it is due; XO's fallback starts it three minutes after."""
    given = {
        "at": at or after(-50),
        "found": make_schedule(name="every night", cron="0 0 * * *", enabled=True),
        "start_at": after(minutes=3),
        "release_at": (after(minutes=5), after(minutes=8), after(minutes=12)),
        "reason": "web waits.",
    }
    return Claiming(**(given | changes))


def claimed(at=None):
    return Claimed(at=at or after(-49), held=make_schedule(name="every night", cron="0 0 * * *", enabled=False))


def released(at=None, how=ReleasedHow.ENABLED):
    return Released(at=at or after(4), how=how)


def started(run=RUN, seconds=0, *, due=DUE):
    began = due + timedelta(seconds=seconds)
    return Started(at=began + timedelta(seconds=20), run=run, began=began)


def alarmed(code="JOB_STUCK", text="Nothing moved for 30 min."):
    return Alarmed(at=after(hours=9), code=code, text=text)


def result(run=RUN, *, status="success", says="unhealthy VDI chain", vm="vm", start=DUE):
    """How a run of one VM ended; it failed of what XO says (by default CHAIN_UNHEALTHY)."""
    if status == "success":
        return outcome(make_log(make_vm_task(vm, make_transfer(5, start=start)), start=start, id=run))
    return outcome(make_log(failed_vm(said(says), id_=vm), start=start, id=run, status=status))


def attempt_ended(run=RUN, *, at=None, **of_result):
    return AttemptEnded(at=at or after(1800), run=run, outcome=result(run, **of_result))


def ended(end=End.OBSERVED, *, at=None, **more):
    return Ended(at=at or after(1830), end=end, **more)


def story(*events, key=KEY):
    """The due run of these events."""
    return fold(key, events)
