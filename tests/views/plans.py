"""Plans for the views' tests: one healthy run as guard itself plans it, and whatever a test makes of it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import msgspec
from guard.assess import make_plan
from guard.decision.verdict import Action, Held, Verdict
from guard.estate.estate import Estate, Part, PartName, XoIdentity
from guard.estate.xo_records import Job, Pool, Schedule, Server, Vm
from guard.finding import Certainty, ClearedBy, Clears, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.history import Quantiles
from guard.policy.schema import default_policy

NOW = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)
READ = NOW - timedelta(minutes=3)


def part(name, **state):
    return Part(name=name, source=f"GET /rest/v0/{name}", read_at=READ, **state)


def estate(*, admin=True, parts=(), **more):
    """One connected pool with one VM, and a schedule of it at 02:00 in Paris."""
    given = {
        "pools": (Pool(id="p", name_label="paris"),),
        "servers": (Server(id="s", label="paris", status="connected", pool_id="p"),),
        "vms": (Vm(id="v", name_label="web", power_state="Running", pool="p"),),
        "jobs": (
            Job(id="j", raw_name="nightly web", mode="delta", vms={"id": "v"}, settings={"t": {"exportRetention": 7}}),
        ),
        "schedules": (
            Schedule(id="t", raw_name="at two", job_id="j", cron="0 2 * * *", enabled=True, timezone="Europe/Paris"),
        ),
        **more,
    }
    known = {name: part(name) for name in PartName} | {one.name: one for one in parts}
    xo = XoIdentity(url="https://xo.example.org", version="5.207.2", admin=admin)
    return Estate(xo=xo, taken_at=READ, parts=known, **given)


def make(known=None):
    """The plan guard makes of an estate, by default one with one run."""
    return make_plan(known or estate(), default_policy(), now=NOW, start=NOW, within=timedelta(hours=24))


def plan(*runs, estate=None, notes=()):
    """A plan of exactly these runs."""
    return dataclasses.replace(make(estate), runs=runs, notes=notes)


def run(
    *findings,
    action=Action.START,
    sentence="Said in one sentence.",
    clears="",
    job="nightly web",
    seconds=None,
    held=(),
    **changes,
):
    """The healthy run with another verdict; ``seconds``: (p50, p90, samples) of past durations."""
    (healthy,) = make().runs
    known = dataclasses.replace(
        healthy.run,
        job=msgspec.structs.replace(healthy.run.job, raw_name=job),
        seconds=Quantiles(p50=seconds[0], p90=seconds[1], samples=seconds[2]) if seconds else Quantiles(),
    )
    verdict = Verdict(
        action=action,
        sentence=sentence,
        clears=clears,
        start_vms=("v",) if action is Action.START else (),
        held=tuple(held),
        findings=findings,
        unknown=any(one.level is Level.UNKNOWN for one in findings),
    )
    return dataclasses.replace(healthy, run=known, verdict=verdict, **changes)


def finding(level=Level.BLOCK, **changes):
    given = {
        "code": "CHAIN_UNHEALTHY",
        "check": "chain",
        "level": level,
        "certainty": Certainty.CERTAIN,
        "harm": Harm.NONE,
        "scope": Scope(ScopeKind.VDI, "d", "disk 0"),
        "holds": ("v",),
        "summary": "web: 2 uncoalesced copies, XO tolerates 1.",
        "facts": (Fact(name="uncoalesced", value=2, unit="VDIs", source="GET /rest/v0/vdis", observed_at=READ),),
        "remedy": "Wait for the coalesce.",
        "clears": Clears(ClearedBy.TIME),
    }
    return Finding(**(given | changes))


def held(name="web", code="CHAIN_UNHEALTHY"):
    return Held(vm="v", name=name, codes=(code,), deadline=NOW + timedelta(hours=9))
