"""What became of each try to back a VM up since its last good backup: XO's own status, and why.

From the backup logs, by the one classifier of guard.outcomes, and from guard's own ledger where a run was held and so has
no log. A VM that XO skipped was not backed up. A run that failed as a whole was a try for every VM its job takes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET

from guard.coverage.stale import StaleVm
from guard.estate.estate import Estate
from guard.estate.xo_records import BackupLog
from guard.lifecycle.due_run import DueRun
from guard.mechanics.history import vm_of
from guard.outcomes.causes import Cause
from guard.outcomes.codes import UNCLASSIFIED
from guard.outcomes.failures import ENDED_BADLY
from guard.outcomes.outcome import VmOutcome, named_vms, outcome

_AT_A_TIME = 100
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
KEPT, KEPT_OF_MANY = 10, 3  # of each VM, the newest; of those before only the number is kept
MANY = 2000
"""Where more VMs than this are stale, fewer tries of each are told: it takes seconds still."""
HELD = "held"
"""The status of a due run that guard held back: XO has no word for it."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try. ``status``: XO's word, or ``held``. ``codes``: what was recognised; ``reason``: XO's words, or guard's."""

    at: datetime
    schedule: str
    status: str
    codes: tuple[str, ...]
    reason: str


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """The newest tries, newest first, and how many there were."""

    newest: tuple[Attempt, ...]
    count: int


Key = tuple[str, str]
"""(VM id, target id), '' for all its targets."""


def attempts_of(estate: Estate, stale: Sequence[StaleVm], stories: Iterable[DueRun] = ()) -> dict[Key, Attempts]:
    """The tries of each stale VM since its last good backup. ``stories``: of the ledger, where there is one."""
    kept = KEPT if len(stale) <= MANY else KEPT_OF_MANY
    since = {key_of(one): one.last_good for one in stale}
    targets: dict[str, list[str]] = {}
    for vm, target in since:
        targets.setdefault(vm, []).append(target)
    found: dict[Key, list[Attempt]] = {key: [] for key in since}
    counts = dict.fromkeys(since, 0)
    takers = _takers(estate, stale)
    for began, log in _newest_first(estate):
        keys = [
            (vm, target)
            for vm in _in_question(log, targets, takers)
            for target in targets[vm]
            if (last := since[vm, target]) is None or began > last
        ]
        wanted = [key for key in keys if len(found[key]) < kept]
        for key in keys:
            counts[key] += 1
        if wanted:
            run = _Run(began, log, {vm for vm, _ in wanted})
            for key in wanted:
                found[key].append(run.attempt(key))
    for key, attempt in _held(stories, since):
        counts[key] += 1
        found[key].append(attempt)
    return {
        key: Attempts(newest=tuple(sorted(tries, key=lambda one: one.at, reverse=True)[:kept]), count=counts[key])
        for key, tries in found.items()
    }


def key_of(stale: StaleVm) -> Key:
    """How ``attempts_of`` names one entry."""
    return stale.vm, stale.target.id if stale.target is not None else ""


def _takers(estate: Estate, stale: Sequence[StaleVm]) -> Mapping[str, tuple[str, ...]]:
    """Job id -> the stale VMs that it takes now: a run that failed as a whole was to back them up."""
    found: dict[str, dict[str, None]] = {}
    for one in stale:
        for schedule in one.schedules:
            known = estate.schedule_by_id.get(schedule)
            if known is not None:
                found.setdefault(known.job_id or "", {})[one.vm] = None
    return {job: tuple(vms) for job, vms in found.items()}


def _in_question(log: BackupLog, asked: Mapping[str, object], takers: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The stale VMs that a run was about."""
    vms = dict.fromkeys(vm for vm in map(vm_of, log.tasks or ()) if vm)
    if log.status != "success":
        vms |= dict.fromkeys(named_vms(log))
        if not any(vms) and log.result is not UNSET:
            vms |= dict.fromkeys(takers.get(log.job_id or "", ()))
    return [vm for vm in vms if vm in asked]


def _newest_first(estate: Estate) -> list[tuple[datetime, BackupLog]]:
    """The runs of VM backups: a restore saves nothing, and a mirror nothing new."""
    mirrors = {job.id for job in estate.jobs if job.type == "mirrorBackup"}
    runs = ((one.began, one) for one in estate.logs if one.message != "restore" and one.job_id not in mirrors)
    dated = [(began, log) for began, log in runs if began is not None]
    return sorted(dated, key=lambda pair: pair[0], reverse=True)


class _Run:
    """What came of some VMs of a run, and of the run as a whole."""

    def __init__(self, began: datetime, log: BackupLog, vms: Collection[str]) -> None:
        self.began = began
        asked = [task for task in log.tasks or () if vm_of(task) in vms]
        beside = tuple(task for task in log.tasks or () if not vm_of(task))
        self.whole = outcome(msgspec.structs.replace(log, tasks=beside))
        # where only VMs failed, all there is to tell of the run without them is its status
        told = (one for one in self.whole.causes if (one.code, one.text) != (UNCLASSIFIED.id, log.status))
        self.shared = tuple(told)
        self.vms: dict[str, VmOutcome] = {}
        # each VM of a log is held against all causes of it: some at a time, ten thousand stay quick
        for first in range(0, len(asked), _AT_A_TIME):
            some = outcome(msgspec.structs.replace(log, tasks=tuple(asked[first : first + _AT_A_TIME])))
            self.vms |= {one.vm.id: one for one in some.vms}

    def attempt(self, key: Key) -> Attempt:
        """What it did for a VM, on one target where asked so."""
        vm = self.vms.get(key[0])
        if vm is None:
            otherwise = "it goes on" if self.whole.status == "pending" else "the run ended before this VM's turn"
            return self._made(self.whole.status, self.shared, otherwise)
        copy = next((one for one in vm.targets if one.target.id == key[1]), None)
        if not key[1] or vm.status != "success":
            shared = self.shared if vm.status in ENDED_BADLY else ()
            return self._made(vm.status, vm.causes or shared, _without_cause(vm))
        own = [one for one in vm.causes if one.target is not None and one.target.id == key[1]]
        status = copy.status if copy is not None else "failure"
        return self._made(status, own or vm.causes, "XO made no copy there, and says nothing of it")

    def _made(self, status: str, why: Sequence[Cause], otherwise: str) -> Attempt:
        return Attempt(
            at=self.began,
            schedule=self.whole.schedule,
            status=status,
            codes=tuple(dict.fromkeys(one.code for one in why)),
            reason=why[0].text if why else otherwise,
        )


def _without_cause(vm: VmOutcome) -> str:
    if vm.status == "pending":
        return "it goes on"
    if vm.status == "success":
        return "a snapshot only: nothing was copied to a target" if not vm.targets else "the log tells of no transfer"
    return "XO's log gives no reason"


def _held(stories: Iterable[DueRun], since: Mapping[Key, datetime | None]) -> Iterator[tuple[Key, Attempt]]:
    """Due runs in which guard held a VM to the end: no run of them shows it."""
    for story in stories:
        decided = story.decided
        if decided is None or not decided.acts or story.ended is None:
            continue
        seen = {one.vm.id for run in story.attempts if run.ended is not None for one in run.ended.outcome.vms}
        for held in decided.verdict.held:
            key = held.vm, ""
            if key not in since or held.vm in seen or story.key.due <= (since[key] or _LONG_AGO):
                continue
            finding = next((one for one in decided.verdict.findings if one.code in held.codes), None)
            reason = finding.summary if finding is not None else decided.verdict.sentence
            yield (
                key,
                Attempt(at=story.key.due, schedule=story.key.schedule, status=HELD, codes=held.codes, reason=reason),
            )
