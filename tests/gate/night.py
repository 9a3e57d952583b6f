"""A guard that watches a scripted XO: time is a variable, the ledger a real one, XO a list of runs that will happen."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import msgspec
from guard.errors import XoUnreachableError
from guard.estate.estate import PartName
from guard.gate.watch import LOOP, Watch
from guard.ledger.sqlite import open_ledger
from guard.lifecycle.due_run import fold
from guard.lifecycle.loop import Loop
from guard.policy.schema import default_policy
from tests.builders import DUE, make_estate, make_job, make_log, make_schedule, make_transfer, make_vm_task, ms
from tests.ledger.opening import INSTANCE, XO, hasty
from tests.virtual_time import run as finished

EVENING = DUE - timedelta(minutes=10)
LOOK = timedelta(seconds=30)
FOREVER = timedelta(days=400)


def after(seconds=0, **more):
    return DUE + timedelta(seconds=seconds, **more)


def history(nights=8, seconds=1800, schedule="schedule"):
    """Past runs that went well."""
    return [
        make_log(
            make_vm_task("vm", make_transfer(5, start=DUE - timedelta(days=one))),
            start=DUE - timedelta(days=one),
            seconds=seconds,
            schedule=schedule,
        )
        for one in range(1, nights + 1)
    ]


class ScriptedXo:
    """guard.gate.ports.XoReads. ``runs``: what XO will run; a run shows once it began, and pending until it ends."""

    observed = None

    def __init__(self, clock):
        self._clock = clock
        self.schedules, self.jobs, self.call_jobs = [make_schedule()], [make_job()], []
        self.runs, self.past, self.outages, self.calls = [], history(), [], []
        self.error, self.behind = XoUnreachableError("No XO answers"), timedelta()
        self.records, self.sequences_run = {}, {}  # the latter: call job -> (begin, end)

    def will_run(self, at=DUE, *tasks, seconds=1800, status="success", **more):
        """XO starts a run then. Without tasks it is one of VM "vm" that goes well."""
        done = tasks or (make_vm_task("vm", make_transfer(5, start=at)),)
        log = make_log(*done, start=at, seconds=seconds, status=status, **more)
        self.runs.append(log)
        return log.id

    def is_down(self, first, last):
        self.outages.append((first, last))

    async def estate(self):
        return dataclasses.replace(self._read("estate"), logs=(*self.past, *self._shown()))

    async def setup(self):
        return self._read("setup")

    async def logs(self, since, done):
        self._read("logs")
        shown = [log for log in self._shown() if (log.start or ms(self._clock())) > ms(since)]
        return tuple(msgspec.structs.replace(log, tasks=msgspec.UNSET) if log.id in done else log for log in shown)

    def _read(self, what):
        now = self._clock()
        self.calls.append((what, now))
        if any(first <= now < last for first, last in self.outages):
            raise self.error
        running = {log.job_id: log.id for log in self._shown() if log.status == "pending"}
        jobs = [msgspec.structs.replace(one, run_id=running.get(one.id, msgspec.UNSET)) for one in self.jobs]
        calls = [msgspec.structs.replace(one, run_id=self._call_run(one.id, now)) for one in self.call_jobs]
        read = {name: {"read_at": now} for name in PartName}
        made = make_estate(reading=read, schedules=self.schedules, jobs=jobs, call_jobs=calls, **self.records)
        return dataclasses.replace(made, taken_at=now - self.behind)

    def _call_run(self, job, now):
        first, last = self.sequences_run.get(job, (now, now))
        return "sequence-run" if first <= now < last else msgspec.UNSET

    def _shown(self):
        return [self._as_of_now(log) for log in self.runs if (log.start or 0) <= ms(self._clock())]

    def _as_of_now(self, log):
        if not log.start or not log.end or log.end <= ms(self._clock()):
            return log
        going_on = make_vm_task("vm", status="pending", start=log.start, tasks=[])
        return make_log(
            going_on, job=log.job_id, schedule=log.schedule_id, start=log.began, status="pending", id=log.id
        )


class Told:
    """guard.gate.ports.Teller that keeps what it is told."""

    def __init__(self):
        self.events, self.switched, self.unreads, self.reads_again, self.acts = [], [], [], [], []
        self.ahead, self.looks, self.asides, self.remedies, self.reminders = None, 0, [], [], []

    async def happened(self, run, event):
        assert event in (run.decided, run.ended, *run.alarms) or any(
            event in (one.started, one.ended) for one in run.attempts
        )
        self.events.append((run.key, event))

    async def switched_off(self, off):
        self.switched.append((off.name, off.schedule, off.at))

    async def unread(self, error, *, since, at):
        self.unreads.append((error, since, at))

    async def read_again(self, *, since, last, at, due):
        self.reads_again.append((since, last, at, [run.key for run in due]))

    async def clocks(self, ahead, *, at):
        self.ahead = ahead

    async def remedied(self, remedy):
        self.remedies.append(remedy)

    async def stands(self, state, *, at):
        self.reminders.append(at)

    async def stands_aside(self, reason, *, at):
        self.asides.append((reason, at))

    async def acts_again(self, reason, *, at):
        self.acts.append((reason, at))

    async def looked(self):
        self.looks += 1


class Night:
    """``now`` is the time; ``creep`` is added each time somebody asks for it."""

    def __init__(self, folder, now=EVENING, policy=None):
        self.path = folder / "ledger.sqlite"
        self.now, self.creep = now, timedelta()
        self.xo, self.told = ScriptedXo(lambda: self.now), Told()
        self.policy = policy or default_policy()
        self.ledger = self.watch = None
        self.restart()

    def clock(self):
        self.now += self.creep
        return self.now

    def open(self):
        return hasty(open_ledger(self.path, xo=XO, clock=lambda: self.now, instance=INSTANCE, ballast_bytes=65_536))

    def another_watch(self, ledger, told=None):
        return Watch(ledger, self.xo, told or self.told, clock=self.clock, policy_of=lambda: self.policy)

    def restart(self):
        """The process ends, a new one begins on the same file."""
        if self.ledger is not None:
            self.ledger.close()
        self.ledger = self.open()
        self.watch = self.another_watch(self.ledger)

    def tick(self, at=None) -> Loop:
        self.now = at or self.now
        return finished(self.watch.tick())

    def go(self, until, every=LOOK) -> Loop:
        """Look until then, as the daemon does."""
        loop = self.tick()
        while self.now < until:
            loop = self.tick(self.now + every)
        return loop

    def doze(self, until) -> Loop:
        """Look until then, only when the look before said that something may happen."""
        loop = self.tick()
        while max(loop.wake, self.now + LOOK) <= until:
            loop = self.tick(max(loop.wake, self.now + LOOK))
        return loop

    def stories(self):
        """Key -> events, of all due runs."""
        return dict(finished(self.ledger.between(DUE - FOREVER, DUE + FOREVER)))

    def runs(self):
        return {key: fold(key, events) for key, events in self.stories().items()}

    def tales(self):
        """(schedule, seconds after the due time, via) -> what happened, in words."""
        return {
            (key.schedule, round((key.due - DUE).total_seconds()), key.via): [word(event) for event in events]
            for key, events in self.stories().items()
        }

    def only(self):
        """The one due run there is."""
        (run,) = self.runs().values()
        return run

    def remembered(self, name=LOOP, kind=Loop):
        return msgspec.json.decode(finished(self.ledger.recall(name)), type=kind)

    def reads(self, what, since=None):
        return [at for name, at in self.xo.calls if name == what and (since is None or at >= since)]


def word(event):
    """An event without its times."""
    name = type(event).__name__
    detail = {
        "Seen": lambda: "late" if event.late else "",
        "Decided": lambda: event.verdict.action.value,
        "Alarmed": lambda: event.code,
        "AttemptEnded": lambda: event.outcome.status,
        "Ended": lambda: event.code or event.end.value,
    }.get(name, lambda: "")()
    return f"{name} {detail}".strip()


GOOD = ["Seen", "Decided start", "Started", "AttemptEnded success", "Ended observed"]
FOUND_LATE = ["Seen late", "Started", "AttemptEnded success", "Ended observed"]
MISSED_LATE = ["Seen late", "Alarmed XO_DID_NOT_FIRE", "Ended XO_DID_NOT_FIRE"]
SILENT = ["Seen", "Decided start", "Alarmed XO_DID_NOT_FIRE", "Ended XO_DID_NOT_FIRE"]
