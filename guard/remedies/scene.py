"""What the remedies are chosen from: runs that are due soon or wait, what stands against them, and what was done lately."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from guard.assess import Plan, rules_of
from guard.checks.rolling_update import pools_of
from guard.estate.estate import Estate, PartName
from guard.estate.xo_records import Job, Schedule, moment
from guard.finding import Fact, Finding, Level
from guard.lifecycle.remedy import ForRun, Remedy, RemedyKind, Result
from guard.mechanics.chain import ChainIndex
from guard.mechanics.history import good_backups, read_history
from guard.mechanics.outlook import target_sr_ids
from guard.mechanics.past import PastFailure
from guard.mechanics.selection import Selector
from guard.outcomes.past import past_failures
from guard.policy.remedies_schema import RemediesSection
from guard.policy.schema import Policy

NEAR = timedelta(hours=1)
"""A scan locks the SR, and the coalesce after it reads and writes there: never so near to a due time or a run."""
SOON = timedelta(minutes=15)
"""What takes a moment is done so long before a due time: later its effect might come too late, earlier it might not last."""
AHEAD_OF_US = timedelta(hours=1)
"""A remedy that was begun this far in the future was begun before the clock was set back: how long ago, nobody can tell."""


@dataclass(frozen=True)
class Need:
    """A due run with what stands against it. ``vms``: ids of what it takes. ``enforced``: guard acts on its schedule.

    ``waits``: its due time has come, and all or some of it is deferred. ``via``: id of the sequence's schedule that runs it.
    """

    run: ForRun
    job: Job
    vms: tuple[str, ...]
    findings: tuple[Finding, ...]
    enforced: bool
    waits: bool = False
    via: str = ""

    def against(self, *codes: str) -> Iterator[Finding]:
        """Its findings with these codes that hold something or warn."""
        return (one for one in self.findings if one.code in codes and one.level in (Level.BLOCK, Level.WARN))


@dataclass(frozen=True)
class Scene:
    """``dues``: (due time, job) of every run that is near, observed ones too. ``past``: oldest first."""

    estate: Estate
    now: datetime
    policy: RemediesSection
    needs: tuple[Need, ...]
    dues: tuple[tuple[datetime, Job], ...]
    past: tuple[Remedy, ...] = ()

    def last(self, kind: RemedyKind, target: str) -> Remedy | None:
        """The newest remedy of a kind on one object."""
        return next((one for one in reversed(self.past) if one.kind is kind and one.scope.id == target), None)

    def last_done(self, kind: RemedyKind) -> Remedy | None:
        """The newest remedy of a kind that came about, or may have."""
        came = (Result.DONE, Result.UNKNOWN)
        return next((one for one in reversed(self.past) if one.kind is kind and one.result in came), None)

    def is_connected(self, pool: str) -> bool:
        """Whether XO is connected to a pool now: for some minutes it still shows what it knew of one that it lost."""
        return pool in {one.pool_id for one in self.estate.servers if one.status == "connected"}

    def is_rolling(self, pool: str) -> bool:
        """Whether XO updates or reboots a pool host by host: what is away then comes back by itself. '': one it does not show."""
        rolling = [one for one in self.estate.xo_tasks if one.status == "pending" and one.is_rolling]
        concerned = pools_of(rolling, self.estate.pool_by_id)
        return bool(rolling) and (concerned is None or pool in concerned)

    @cached_property
    def failures(self) -> Sequence[PastFailure]:
        """What failed in past runs, oldest first."""
        return past_failures(self.estate.logs)

    @cached_property
    def saved_vms(self) -> frozenset[str]:
        """Ids of the VMs that were ever saved, as far as XO's logs tell."""
        return frozenset(good_backups(read_history(self.estate.logs)))

    @cached_property
    def waiting_on_sr(self) -> Mapping[str, tuple[int, int]]:
        """SR id -> (pairs that wait to be merged there, bytes that have to be moved for it)."""
        vdis, found = self.estate.vdi_by_id, dict[str, tuple[int, int]]()
        for node, child in ChainIndex(self.estate).pairs():
            used, sr = vdis[child].usage, vdis[node].sr or ""
            count, total = found.get(sr, (0, 0))
            found[sr] = count + 1, total + (used if isinstance(used, int) else 0)
        return found

    @cached_property
    def _srs(self) -> Callable[[Job], frozenset[str]]:
        return srs_of(self.estate)

    @cached_property
    def dues_on_sr(self) -> Mapping[str, Sequence[datetime]]:
        """SR id -> when runs are due that read or write it, in order."""
        found: dict[str, list[datetime]] = {}
        for at, job in sorted(self.dues, key=lambda one: one[0]):
            for sr in self._srs(job):
                found.setdefault(sr, []).append(at)
        return found

    @cached_property
    def free_again(self) -> Mapping[str, datetime]:
        """SR id -> from when on no run of now or lately stands in the way of a scan: one that goes on, or has just ended."""
        found: dict[str, datetime] = {}
        for log in self.estate.logs:
            ended, job = moment(log.end), self.estate.job_by_id.get(log.job_id or "")
            # by XO's clock it may have ended a moment ahead of guard's
            if ended is not None and job is not None and abs(self.now - ended) < NEAR:
                for sr in self._srs(job):
                    found[sr] = max(found.get(sr, self.now), ended + NEAR)
        for job in self.estate.jobs:
            if job.run_id:
                found |= dict.fromkeys(self._srs(job), self.now + NEAR)
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


def scene_of(
    plan: Plan,
    policy: Policy,
    *,
    past: Sequence[Remedy] = (),
    waiting: Iterable[Need] = (),
    come: Iterable[tuple[datetime, Job]] = (),
) -> Scene:
    """``plan``: of the time ahead; ``waiting``: runs whose due time has come; ``come``: due times that came lately."""
    needs = [
        Need(
            run=ForRun(schedule=one.run.schedule.id, name=one.run.schedule.name, due=one.run.due.at),
            job=one.run.job,
            vms=one.run.selection.ids,
            findings=one.verdict.findings,
            enforced=rules_of(policy, plan.estate, _fired_by(plan.estate, one.run.due.via, one.run.schedule)).gate
            == "enforce",
            via=one.run.due.via,
        )
        for one in plan.runs
    ]
    return Scene(
        estate=plan.estate,
        now=plan.now,
        policy=policy.remedies,
        needs=(*waiting, *needs),
        dues=(*come, *((one.run.due.at, one.run.job) for one in plan.runs)),
        past=tuple(one for one in past if one.at - plan.now < AHEAD_OF_US),
    )


def _fired_by(estate: Estate, via: str, schedule: Schedule) -> Schedule:
    """Whose gate counts: of a sequence's member, the sequence's own schedule."""
    return estate.schedule_by_id.get(via, schedule)
