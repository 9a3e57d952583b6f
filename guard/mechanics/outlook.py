"""Everything computed once per plan from one estate: due runs with their VMs, durations and bytes, chains, history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import msgspec

from guard.estate.estate import Estate
from guard.estate.xo_records import Job, Schedule, Vbd, Vdi
from guard.mechanics.chain import ChainIndex
from guard.mechanics.due import DueTime
from guard.mechanics.history import History, Quantiles, quantiles, read_history, sizes
from guard.mechanics.retention import has_base
from guard.mechanics.selection import Selection, Selector, listed_ids
from guard.mechanics.settings import Settings, effective
from guard.mechanics.snapshot_space import Need


class Bytes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes one VM is expected to send. ``full`` None: cannot be told. ``source`` says where the figure is from."""

    expected: int | None
    high: int | None
    full: bool | None
    samples: int
    source: str


@dataclass(frozen=True)
class ExpectedRun:
    """One due run: what it takes, as far as can be told before it starts."""

    due: DueTime
    schedule: Schedule
    job: Job
    selection: Selection
    settings: Settings
    seconds: Quantiles

    @property
    def ends(self) -> datetime | None:
        """Expected end by the P90 of past durations; None without samples."""
        return None if self.seconds.p90 is None else self.due.at + timedelta(seconds=self.seconds.p90)


class Outlook:
    """The shared computations of one plan. Pure: the same estate, due times and now give the same answers.

    ``snapshot_needs``: (schedule id, VM id) -> (SR id, need) of each disk, kept for the runs that overlap.
    """

    def __init__(self, estate: Estate, now: datetime) -> None:
        self.estate = estate
        self.now = now
        self.chains = ChainIndex(estate)
        self.selector = Selector(estate)
        self.runs: Sequence[ExpectedRun] = ()
        self.snapshot_needs: dict[tuple[str, str], tuple[tuple[str, Need | None], ...]] = {}
        self._selections: dict[str, Selection] = {}
        self._bytes: dict[tuple[str, str, str], Bytes] = {}

    @cached_property
    def history(self) -> History:
        return read_history(self.estate.logs)

    @cached_property
    def running(self) -> Mapping[str, datetime | None]:
        """Ids of the jobs running now -> since when, where its log tells."""
        since = self.history.running_since
        return {
            job.id: datetime.fromtimestamp(since[job.run_id] / 1000, UTC) if job.run_id in since else None
            for job in self.estate.jobs
            if job.run_id
        }

    def expect(self, due: DueTime) -> ExpectedRun | None:
        """The expected run of a due time; None when its job is not among the backup jobs."""
        schedule = self.estate.schedule_by_id.get(due.schedule_id)
        job = self.estate.job_by_id.get(due.job_id)
        if schedule is None or job is None:
            return None
        if job.id not in self._selections:
            has_vms = job.type == "backup"
            self._selections[job.id] = self.selector.select(job) if has_vms else Selection(smart=False, ids=())
        return ExpectedRun(
            due=due,
            schedule=schedule,
            job=job,
            selection=self._selections[job.id],
            settings=effective(job, schedule.id),
            seconds=quantiles(self.history.seconds.get(schedule.id, ())),
        )

    def settings_of(self, run: ExpectedRun, vm_id: str) -> Settings:
        """A VM's settings in a run; the run's own object where the job has none for that VM."""
        own = isinstance(run.job.settings, dict) and vm_id in run.job.settings
        return effective(run.job, run.schedule.id, vm_id) if own else run.settings

    def disks(self, vm_id: str) -> tuple[tuple[Vbd, Vdi], ...]:
        """The disks a snapshot of this VM covers: no CD drives, nothing named [NOBAK] (_AbstractXapi.mjs)."""
        vdis = self.estate.vdi_by_id
        return tuple(
            (vbd, vdis[vbd.vdi])
            for vbd in self.estate.vbds_of_vm.get(vm_id, ())
            if not vbd.is_cd_drive and vbd.vdi and vbd.vdi in vdis and "[NOBAK]" not in vdis[vbd.vdi].name_label
        )

    def bytes_of(self, run: ExpectedRun, vm_id: str, target: str) -> Bytes:
        """Bytes of one VM's next transfer to one target: full or delta, from samples, else from disk figures."""
        key = (run.schedule.id, vm_id, target)
        if key not in self._bytes:
            self._bytes[key] = self._forecast(run, vm_id, target)
        return self._bytes[key]

    def next_is_full(self, run: ExpectedRun, vm_id: str) -> bool:
        """Full mode, a lost or missing base on any disk, or the forced full interval (failure-modes.md 3.6)."""
        if run.job.mode == "full" or (run.job.id, vm_id) in self.history.base_lost:
            return True
        snapshots = self.estate.snapshots_of_vdi
        bases = [has_base(run.job, vm_id, snapshots.get(vdi.id, ())) for _, vdi in self.disks(vm_id)]
        interval = self.settings_of(run, vm_id).full_interval
        return any(not found or (interval > 0 and length + 1 >= interval) for found, length in bases)

    def _forecast(self, run: ExpectedRun, vm_id: str, target: str) -> Bytes:
        full = self.next_is_full(run, vm_id)
        seen = sizes(self.history.transfers.get((vm_id, target), ()), full=full)
        if seen:
            known = quantiles(seen)
            expected = seen[-1] if full else int(known.p50 or 0)
            high = max(seen[-1], int(known.p90 or 0)) if full else int(known.p90 or 0)
            return Bytes(expected=expected, high=high, full=full, samples=len(seen), source="backup logs")
        if not full:
            return Bytes(expected=None, high=None, full=False, samples=0, source="no delta in the backup logs")
        figures = [self._full_bytes(vdi) for _, vdi in self.disks(vm_id)]
        if any(figure is None for figure in figures):
            return Bytes(expected=None, high=None, full=True, samples=0, source="a disk without a size")
        estimate = sum(figure or 0 for figure in figures)
        return Bytes(expected=estimate, high=estimate, full=True, samples=0, source="physical size of the disks")

    def _full_bytes(self, vdi: Vdi) -> int | None:
        """Allocated bytes along the chain, at most the virtual size (a full export reads each block once)."""
        if vdi.size is msgspec.UNSET:
            return None
        used, at, seen = 0, vdi, set[str]()
        while at.id not in seen:
            seen.add(at.id)
            if at.usage is msgspec.UNSET:
                return vdi.size
            used += at.usage
            if not at.parent or at.parent not in self.estate.vdi_by_id:
                break
            at = self.estate.vdi_by_id[at.parent]
        return min(used, vdi.size)


def repository_ids(job: Job) -> tuple[str, ...]:
    """The job's target backup repositories, and a mirror job's source."""
    targets = listed_ids(job.remotes) or ()
    return (*targets, job.source_remote) if job.source_remote else targets


def target_sr_ids(job: Job) -> tuple[str, ...]:
    """The job's replication target SRs."""
    return listed_ids(job.srs) or ()
