"""Everything computed once per plan from one estate: due runs with their VMs, durations and bytes, chains, history."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from guard.estate.estate import Estate, PartName
from guard.estate.xo_records import BackupLog, Host, Job, Schedule, Vbd, Vdi, Vm, moment
from guard.mechanics.archives import lacks_base
from guard.mechanics.chain import ChainIndex
from guard.mechanics.due import DueTime, sequence_members
from guard.mechanics.forecast import UNKNOWN, Bytes, forecast, most_bytes, next_is_full
from guard.mechanics.history import History, Quantiles, good_backups, percentile, quantiles, read_history
from guard.mechanics.occupancy import Due, RunningNow, collisions
from guard.mechanics.past import HEALTH_CHECK, PastFailure, Repeats, grouped, still_counting, suspected_archives
from guard.mechanics.repository_space import Added, Load, Writing, file_systems
from guard.mechanics.retention import newest_bases
from guard.mechanics.selection import Selection, Selector, listed_ids
from guard.mechanics.settings import Settings, effective, takes_snapshot
from guard.mechanics.snapshot_space import Need

DISK_PARTS = (PartName.VMS, PartName.VBDS, PartName.VDIS, PartName.VDI_SNAPSHOTS, PartName.VDI_UNMANAGED)
"""What it takes to know a VM's disks, their chains and their delta bases."""


@dataclass(frozen=True)
class ExpectedRun:
    """One due run: what it takes, as far as can be told before it starts.

    ``done``: ids of the job's VMs that are no longer in question, where it is looked at again after its due time.
    """

    due: DueTime
    schedule: Schedule
    job: Job
    selection: Selection
    settings: Settings
    seconds: Quantiles
    done: frozenset[str] = frozenset()

    @property
    def ends(self) -> datetime | None:
        """Expected end by the P90 of past durations; None without samples."""
        return None if self.seconds.p90 is None else self.due.at + timedelta(seconds=self.seconds.p90)


class Outlook:
    """The shared computations of one plan. Pure: the same estate, due times and now give the same answers.

    ``snapshot_needs``: schedule id -> SR id -> VM id -> the need of each disk, kept for the runs that overlap. ``past``:
    tells the failures of past runs, and is asked once, when a check wants to know. ``writings``: what one VM writes, by
    schedule id, VM id and repository id; ``added`` and ``loads``: what runs add, by schedule id and by file system;
    ``merges``: repository id -> VM id -> when its merge there ends.
    """

    def __init__(self, estate: Estate, now: datetime, past: Callable[[], Sequence[PastFailure]] = tuple) -> None:
        self.estate = estate
        self.now = now
        self.chains = ChainIndex(estate)
        self.selector = Selector(estate)
        self.snapshot_needs: dict[str, Mapping[str, Mapping[str, list[Need | None]]]] = {}
        self._drives: dict[str, tuple[tuple[Vbd, Vdi | None], ...]] = {}
        self._disks: dict[str, tuple[tuple[Vbd, Vdi], ...]] = {}
        self._snapshots: dict[tuple[str, str], bool] = {}
        self._runs: tuple[ExpectedRun, ...] = ()
        self._dues: list[datetime] = []
        self._longest = timedelta()
        self._of_job: dict[str, list[ExpectedRun]] = {}
        self._selections: dict[str, Selection] = {}
        self._bytes: dict[tuple[str, str, tuple[str, ...]], Bytes] = {}
        self._collisions: dict[tuple[str, int], Mapping[DueTime, Due | None]] = {}
        self.writings: dict[tuple[str, str, str], Writing] = {}
        self.added: dict[str, Mapping[str, Added]] = {}
        self.loads: Mapping[str, Load] | None = None
        self.merges: Mapping[str, Mapping[str, datetime]] | None = None
        self._past = past
        self._repeats: dict[tuple[str, int], Repeats] = {}

    @property
    def runs(self) -> tuple[ExpectedRun, ...]:
        """Every expected run near the plan's time, by due time: what a run may meet."""
        return self._runs

    @runs.setter
    def runs(self, runs: Sequence[ExpectedRun]) -> None:
        self._runs = tuple(sorted(runs, key=lambda run: (run.due.at, run.schedule.name, run.schedule.id)))
        self._dues = [run.due.at for run in self._runs]
        self._longest = max((run.ends - run.due.at for run in self._runs if run.ends is not None), default=timedelta())
        self._of_job = {}
        for run in self._runs:
            self._of_job.setdefault(run.job.id, []).append(run)
        self._collisions.clear()
        self.loads = None

    def around(self, begin: datetime, end: datetime) -> tuple[ExpectedRun, ...]:
        """The runs due by ``end`` that may still go on at ``begin``: a month of hourly runs is not walked for each."""
        first = bisect_left(self._dues, begin - self._longest)
        return self._runs[first : bisect_right(self._dues, end)]

    def of_job(self, job_id: str) -> Sequence[ExpectedRun]:
        """The runs of one job, by due time."""
        return self._of_job.get(job_id, ())

    @cached_property
    def history(self) -> History:
        return read_history(self.estate.logs)

    @cached_property
    def good_backups(self) -> Mapping[str, tuple[int, ...]]:
        """VM id -> when its good backups began (ms epoch), oldest first."""
        return good_backups(self.history)

    @cached_property
    def past_failures(self) -> Mapping[str, tuple[PastFailure, ...]]:
        """Code -> its failures in past runs, oldest first; nothing where no one told this outlook of them."""
        found: dict[str, list[PastFailure]] = {}
        for one in self._past():
            found.setdefault(one.code, []).append(one)
        return {code: tuple(failures) for code, failures in found.items()}

    def repeats(self, code: str, runs: int) -> Repeats:
        """The failures of a code in the last ``runs`` runs of each VM, as far as good runs have not ended them."""
        key = (code, runs)
        if key not in self._repeats:
            self._repeats[key] = self._find_repeats(code, runs)
        return self._repeats[key]

    def _find_repeats(self, code: str, runs: int) -> Repeats:
        failures = self.past_failures.get(code)
        if not failures:
            return Repeats()
        by_vm = still_counting(failures, self.estate.logs, runs)
        hosts = {vm: {host for one in recent.failures for host in self._hosts_of(one)} for vm, recent in by_vm.items()}
        srs = {vm: sorted({sr for one in recent.failures for sr in self._srs_of(one)}) for vm, recent in by_vm.items()}
        return Repeats(by_vm, grouped(hosts), grouped(srs))

    @cached_property
    def suspected_archives(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """(job id, VM id) -> the full backups that XO itself took for broken when it last looked."""
        return suspected_archives(self.estate.logs)

    def host_of(self, vm_id: str) -> Host | None:
        """The host that a VM runs on, or whose own disks it has; None where any host may start it."""
        vm = self.estate.vm_by_id.get(vm_id)
        return self.estate.host_by_id.get(vm.container or "") if vm is not None else None

    def _hosts_of(self, failure: PastFailure) -> Sequence[str]:
        """The host that the VM is read from; a replica, or a restore to try a backup, is written by another."""
        if failure.target in self.estate.sr_by_id or failure.place == HEALTH_CHECK:
            return ()
        host = self.host_of(failure.vm)
        return (host.id,) if host is not None else ()

    def _srs_of(self, failure: PastFailure) -> Sequence[str]:
        """The SR of a replica, else those of the VM's disks; where XO restored a backup to, no log tells."""
        if failure.target in self.estate.sr_by_id:
            return (failure.target,)
        return [vdi.sr for _, vdi in self.disks(failure.vm) if vdi.sr] if failure.place != HEALTH_CHECK else ()

    @cached_property
    def pending_logs(self) -> Mapping[str, BackupLog]:
        """Run id -> log of a run that goes on now."""
        return {log.id: log for log in self.estate.logs if log.status == "pending"}

    @cached_property
    def running(self) -> Mapping[str, RunningNow]:
        """Ids of the jobs that run now -> since when, and until when by their past."""
        return {job.id: self._running_now(job.run_id) for job in self.estate.jobs if job.run_id}

    def _running_now(self, run_id: str) -> RunningNow:
        log = self.history.running.get(run_id)
        if log is None:
            return RunningNow(None, None, 0)
        since = datetime.fromtimestamp(log.since / 1000, UTC)
        seconds = self.history.seconds.get(log.schedule, ())
        usual, longest = quantiles(seconds), percentile(seconds, 95)
        ends = None if usual.p90 is None else since + timedelta(seconds=usual.p90)
        return RunningNow(
            since,
            ends if ends is not None and ends > self.now else None,
            usual.samples,
            log.schedule,
            moved=moment(log.moved),
            longest=None if longest is None else timedelta(seconds=longest),
        )

    def came_before(self, run: ExpectedRun, schedule: str, since: datetime | None) -> bool:
        """Whether a run of this schedule that began at ``since`` is an earlier member of the same turn of a sequence, which XO
        waits for.
        """
        due = run.due
        sequence = self.estate.schedule_by_id.get(due.via)
        call = self.estate.call_job_by_id.get(sequence.job_id or "") if sequence is not None else None
        if call is None or due.sequence_at is None or since is None:
            return False
        return since >= due.sequence_at and schedule in sequence_members(call)

    def meets(self, run: ExpectedRun, min_samples: int) -> tuple[bool, ExpectedRun | None]:
        """Whether a run of the same job still goes on at this due time, and which due run that is.

        (True, None): the run that goes on now, as far as its end can be told.
        """
        key = (run.job.id, min_samples)
        if key not in self._collisions:
            self._collisions[key] = collisions(self.of_job(run.job.id), self.running.get(run.job.id), min_samples)
        found = self._collisions[key]
        other = found.get(run.due)
        return run.due in found, other if isinstance(other, ExpectedRun) else None

    def expect(self, due: DueTime) -> ExpectedRun | None:
        """The expected run of a due time; None when its job is not among the backup jobs."""
        schedule = self.estate.schedule_by_id.get(due.schedule_id)
        job = self.estate.job_by_id.get(due.job_id)
        if schedule is None or job is None:
            return None
        return ExpectedRun(
            due=due,
            schedule=schedule,
            job=job,
            selection=self.selection_of(job),
            settings=effective(job, schedule.id),
            seconds=quantiles(self.history.seconds.get(schedule.id, ())),
        )

    def selection_of(self, job: Job) -> Selection:
        """What a job takes now; nothing for jobs that take no VMs."""
        if job.id not in self._selections:
            has_vms = job.type == "backup"
            self._selections[job.id] = self.selector.select(job) if has_vms else Selection(smart=False, ids=())
        return self._selections[job.id]

    def settings_of(self, run: ExpectedRun, vm_id: str) -> Settings:
        """A VM's settings in a run; the run's own object where the job has none for that VM."""
        own = isinstance(run.job.settings, dict) and vm_id in run.job.settings
        return effective(run.job, run.schedule.id, vm_id) if own else run.settings

    def takes_snapshot(self, run: ExpectedRun, vm: Vm) -> bool:
        """Whether XO takes a snapshot of this VM in this run."""
        key = (run.schedule.id, vm.id)
        if key not in self._snapshots:  # asked by one check after the other
            settings, nobak = self.settings_of(run, vm.id), self.has_nobak_disk(vm.id)
            self._snapshots[key] = takes_snapshot(run.job, settings, vm.power_state or None, has_nobak_disk=nobak)
        return self._snapshots[key]

    def disks(self, vm_id: str) -> tuple[tuple[Vbd, Vdi], ...]:
        """The disks a snapshot of this VM covers: no CD drives, nothing named [NOBAK] (_AbstractXapi.mjs)."""
        if vm_id not in self._disks:
            drives = self.drives(vm_id)
            self._disks[vm_id] = tuple((vbd, vdi) for vbd, vdi in drives if vdi is not None and not is_nobak(vdi))
        return self._disks[vm_id]

    def drives(self, vm_id: str) -> tuple[tuple[Vbd, Vdi | None], ...]:
        """Every disk of a VM, CD drives left out; None for a VDI that XO does not show."""
        if vm_id not in self._drives:
            vdis = self.estate.vdi_by_id
            vbds = self.estate.vbds_of_vm.get(vm_id, ())
            self._drives[vm_id] = tuple((vbd, vdis.get(vbd.vdi)) for vbd in vbds if not vbd.is_cd_drive and vbd.vdi)
        return self._drives[vm_id]

    def has_nobak_disk(self, vm_id: str) -> bool:
        """Whether a disk is named [NOBAK], which makes XO snapshot the VM even in full mode (FullXapi.mjs:18-47)."""
        return any(vdi is not None and is_nobak(vdi) for _, vdi in self.drives(vm_id))

    @cached_property
    def file_systems(self) -> Mapping[str, str]:
        """Repository id -> id of the first repository on the same file system."""
        return file_systems(self.estate.repositories, self.estate.repository_info)

    @cached_property
    def last_sent(self) -> Mapping[str, int]:
        """Repository id -> bytes of the newest transfer there of each VM by each job, as they came from the hosts."""
        found: dict[str, int] = {}
        for (_, _, target), transfers in self.history.transfers.items():
            found[target] = found.get(target, 0) + transfers[-1].size
        return found

    @cached_property
    def disks_are_known(self) -> bool:
        """Whether the lists that a forecast rests on were read whole."""
        return all(self.estate.parts[name].usable for name in DISK_PARTS)

    def bytes_of(self, run: ExpectedRun, vm_id: str, *targets: str) -> Bytes:
        """Bytes of one VM's next transfer to one target, or to any one of several."""
        key = (run.schedule.id, vm_id, targets)
        if key not in self._bytes:
            self._bytes[key] = self._forecast(run, vm_id, targets) if self.disks_are_known else UNKNOWN
        return self._bytes[key]

    def _forecast(self, run: ExpectedRun, vm_id: str, targets: Sequence[str]) -> Bytes:
        disks = self.disks(vm_id)
        snapshots = [self.estate.snapshots_of_vdi.get(vdi.id, ()) for _, vdi in disks]
        full = next_is_full(run.job, vm_id, snapshots, self.settings_of(run, vm_id).full_interval) or (
            bool(self.lost_archives(run.job, vm_id, targets))
        )
        covered = [vdi for _, vdi in self.drives(vm_id) if vdi is None or not is_nobak(vdi)]
        most = most_bytes(covered, self.estate.vdi_by_id)
        samples = self.history.transfers_to(run.job.id, vm_id, targets)
        return forecast(samples, full=full, schedule=run.schedule.id, most=most)

    def lost_archives(self, job: Job, vm_id: str, targets: Sequence[str]) -> int:
        """Disks of a VM whose delta has a base on the host and none on any of these repositories; 0 where that is not known."""
        part = self.estate.parts.get(PartName.ARCHIVES)
        listed = self.estate.listed_repositories
        if job.mode != "delta" or part is None or not part.ok or not targets or not listed.issuperset(targets):
            return 0
        kept = [one for target in targets for one in self.estate.archives_of.get((target, vm_id), ())]
        bases = [newest_bases(job, vm_id, self.estate.snapshots_of_vdi.get(vdi.id, ())) for _, vdi in self.disks(vm_id)]
        return sum(1 for base in bases if base and lacks_base(kept, job, base))


def is_nobak(vdi: Vdi) -> bool:
    """A disk whose name holds ``[NOBAK]`` is left out of backups (_AbstractXapi.mjs:204)."""
    return "[NOBAK]" in vdi.name_label


def repository_ids(job: Job) -> tuple[str, ...]:
    """The job's target backup repositories."""
    return listed_ids(job.remotes) or ()


def target_sr_ids(job: Job) -> tuple[str, ...]:
    """The job's replication target SRs."""
    return listed_ids(job.srs) or ()
