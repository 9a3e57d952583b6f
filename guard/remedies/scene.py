"""What the remedies are chosen from: runs that are due soon or wait, what stands against them, and what was done lately."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from guard.assess import Plan, rules_of
from guard.estate.estate import Estate, PartName
from guard.estate.xo_records import Job, Schedule, moment
from guard.finding import Fact, Finding, Level
from guard.lifecycle.remedy import ForRun, Remedy, RemedyKind, Result
from guard.mechanics.outlook import target_sr_ids
from guard.mechanics.selection import Selector
from guard.policy.remedies_schema import RemediesSection
from guard.policy.schema import Policy

NEAR = timedelta(hours=1)
"""A scan locks the SR, and the coalesce after it reads and writes there: never so near to a due time or a run."""
SOON = timedelta(minutes=15)
"""What takes a moment is done so long before a due time: later its effect might come too late, earlier it might not last."""


@dataclass(frozen=True)
class Need:
    """A due run with what stands against it. ``vms``: ids of what it takes. ``enforced``: guard acts on its schedule.

    ``waits``: its due time has come, and all or some of it is deferred.
    """

    run: ForRun
    job: Job
    vms: tuple[str, ...]
    findings: tuple[Finding, ...]
    enforced: bool
    waits: bool = False

    def against(self, *codes: str) -> Iterator[Finding]:
        """Its findings with these codes that hold something or warn."""
        return (one for one in self.findings if one.code in codes and one.level in (Level.BLOCK, Level.WARN))


@dataclass(frozen=True)
class Scene:
    """``dues``: (due time, schedule) of every run that XO is to start soon, observed ones too. ``past``: oldest first."""

    estate: Estate
    now: datetime
    policy: RemediesSection
    needs: tuple[Need, ...]
    dues: tuple[tuple[datetime, Schedule], ...]
    past: tuple[Remedy, ...] = ()

    def last(self, kind: RemedyKind, target: str) -> Remedy | None:
        """The newest remedy of a kind on one object."""
        return next((one for one in reversed(self.past) if one.kind is kind and one.scope.id == target), None)

    def last_done(self, kind: RemedyKind) -> Remedy | None:
        """The newest remedy of a kind that came about."""
        return next((one for one in reversed(self.past) if one.kind is kind and one.result is Result.DONE), None)

    @cached_property
    def _srs(self) -> Callable[[Job], frozenset[str]]:
        return srs_of(self.estate)

    @cached_property
    def dues_on_sr(self) -> Mapping[str, Sequence[datetime]]:
        """SR id -> when runs are due that read or write it, in order."""
        found: dict[str, list[datetime]] = {}
        for at, schedule in sorted(self.dues, key=lambda one: one[0]):
            job = self.estate.job_by_id.get(schedule.job_id or "")
            for sr in self._srs(job) if job is not None else ():
                found.setdefault(sr, []).append(at)
        return found

    @cached_property
    def busy_srs(self) -> Mapping[str, str]:
        """SR id -> why a run stands in the way of a scan: it goes on, or ended less than ``NEAR`` ago."""
        found: dict[str, str] = {}
        for job in self.estate.jobs:
            if job.run_id:
                found |= dict.fromkeys(self._srs(job), f"{job.name} runs there")
        for log in self.estate.logs:
            ended = moment(log.end)
            job_of_log = self.estate.job_by_id.get(log.job_id or "")
            if ended is not None and job_of_log is not None and timedelta() <= self.now - ended < NEAR:
                for sr in self._srs(job_of_log):
                    found.setdefault(sr, f"a run of {job_of_log.name} ended there less than an hour ago")
        return found

    def fact(self, name: str, value: float | str | bool | None, unit: str, part: PartName) -> Fact:
        """A figure with the source and the time of the part it is from."""
        told = self.estate.parts[part]
        return Fact(name=name, value=value, unit=unit, source=told.source, observed_at=told.read_at)


def srs_of(estate: Estate) -> Callable[[Job], frozenset[str]]:
    """The SRs that a job reads from or replicates to; each job is looked at once."""
    selector, known = Selector(estate), dict[str, frozenset[str]]()

    def of(job: Job) -> frozenset[str]:
        if job.id not in known:
            vms = selector.select(job).ids if job.type == "backup" else ()
            vdis = (estate.vdi_by_id.get(vbd.vdi or "") for vm in vms for vbd in estate.vbds_of_vm.get(vm, ()))
            known[job.id] = frozenset((*(vdi.sr for vdi in vdis if vdi is not None and vdi.sr), *target_sr_ids(job)))
        return known[job.id]

    return of


def scene_of(plan: Plan, policy: Policy, *, past: Sequence[Remedy] = (), waiting: Iterable[Need] = ()) -> Scene:
    """``plan``: of the time ahead; ``waiting``: runs whose due time has come."""
    needs = [
        Need(
            run=ForRun(schedule=one.run.schedule.id, name=one.run.schedule.name, due=one.run.due.at),
            job=one.run.job,
            vms=one.run.selection.ids,
            findings=one.verdict.findings,
            enforced=rules_of(policy, plan.estate, _fired_by(plan.estate, one.run.due.via, one.run.schedule)).gate
            == "enforce",
        )
        for one in plan.runs
    ]
    return Scene(
        estate=plan.estate,
        now=plan.now,
        policy=policy.remedies,
        needs=(*waiting, *needs),
        dues=tuple((one.run.due.at, one.run.schedule) for one in plan.runs),
        past=tuple(past),
    )


def _fired_by(estate: Estate, via: str, schedule: Schedule) -> Schedule:
    """Whose gate counts: of a sequence's member, the sequence's own schedule."""
    return estate.schedule_by_id.get(via, schedule)
