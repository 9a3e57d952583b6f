"""What must be true of every ledger: one pure function over the simulator's own truth and the stories guard wrote.

The truth is the world's: which runs it started, how their logs ended, what was written to it. When its schedules were
due follows from guard.mechanics.due and from a ``Diary``, which notes every change of a schedule's record.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from guard.errors import LedgerError
from guard.estate.xo_records import BackupLog, Schedule
from guard.finding import ScopeKind
from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.events import BY_HAND, AnyEvent, AttemptEnded, Decided, End, Ended, FollowingUp, RunKey
from guard.lifecycle.follow_up_causes import FollowedBy, followed_by
from guard.mechanics.due import due_times
from guard.outcomes.outcome import outcome
from guard.simulator.jobs import parameters
from guard.simulator.journal import Start
from guard.simulator.live import Live
from guard.simulator.shapes import XoObject
from guard.simulator.world import World
from tests.ledger.opening import raw

Stories = Mapping[RunKey, Sequence[AnyEvent]]
LATEST = timedelta(seconds=59)  # XO's timers are milliseconds late; a storm's starts follow at once
CLOSE = timedelta(minutes=2)  # so close to a change of its schedule, a due time may have been entered or not


class Diary:
    """Every schedule's record from when on. Made when the world has come alive and before anything happens to it."""

    def __init__(self, live: Live) -> None:
        self.pages: dict[str, list[tuple[datetime, XoObject]]] = {
            key: [(datetime.min.replace(tzinfo=UTC), deepcopy(one))] for key, one in live.world.schedules.items()
        }
        write = live.set_schedule

        def noted(changes: Mapping[str, object]) -> None:
            write(changes)
            identity = str(changes["id"])
            self.pages.setdefault(identity, []).append((live.now(), deepcopy(live.world.schedules[identity])))

        live.set_schedule = noted


@dataclass(frozen=True)
class Due:
    """A due time of a backup schedule. ``surely``: no change of its schedule is close; ``on``: it was enabled then."""

    key: RunKey
    starts: tuple[datetime, ...]
    surely: bool
    on: bool


def members_of(world: World, schedule: XoObject) -> list[str] | None:
    """The members of a sequence that are backups; None for a schedule that is none, [] for any other call job."""
    job = world.call_jobs.get(schedule["jobId"])
    if job is None:
        return None
    named = [one for values in parameters(job) for one in values.get("schedules", [])]
    return [one for one in named if world.schedules[one]["jobId"] not in world.call_jobs]


def dues(world: World, diary: Diary, first: datetime, last: datetime) -> dict[RunKey, Due]:
    """Every due time in (first, last], of sequences one per member; off or too close to a change: not ``surely``."""
    found: dict[RunKey, Due] = {}
    for pages in diary.pages.values():
        ends = [since for since, _ in pages[1:]] + [datetime.max.replace(tzinfo=UTC)]
        for (since, record), end in zip(pages, ends, strict=True):
            begin, stop = max(since, first), min(end, last)
            if not record["enabled"] or begin >= stop:
                continue
            schedule = msgspec.convert(record, Schedule)
            members = members_of(world, record)
            for due in due_times(schedule, zone=schedule.zone, after=begin, until=min(stop + CLOSE, last)):
                surely = due.at - since > CLOSE and end - due.at > CLOSE
                for member in [schedule.id] if members is None else members:
                    key = RunKey(member, due.at, "" if members is None else schedule.id)
                    found[key] = Due(key, due.starts, surely, on=due.at < stop)
    return found


def runs_of(world: World, known: Mapping[RunKey, Due]) -> dict[str, RunKey | None]:
    """Run id -> the due time it was started for; None for one by hand."""
    by_start = {(due.key.schedule, start): due.key for due in known.values() if not due.key.via for start in due.starts}
    through = defaultdict(list)
    for key in known:
        through[key.schedule, key.via].append(key)
    return {start.run_id: _due_of(start, by_start, through) for start in world.starts if start.run_id is not None}


def _due_of(
    start: Start, by_start: Mapping[tuple[str, datetime], RunKey], through: Mapping[tuple[str, str], list[RunKey]]
) -> RunKey | None:
    if start.origin == "cron":
        return by_start.get((start.schedule_id, start.at.replace(second=0, microsecond=0)))
    if start.origin == "sequence":
        before = [key for key in through.get((start.schedule_id, start.via), []) if key.due <= start.at]
        return max(before, key=lambda key: key.due, default=None)
    return None


def sequence_numbers(path: object) -> dict[tuple[str, int, str], tuple[int, list[int]]]:
    """Per due run of a ledger's file: the number it says is the last, and all numbers in order."""
    with raw(path) as file:
        rows = file.execute("SELECT schedule, due, via, seq FROM event ORDER BY schedule, due, via, seq").fetchall()
        last = {
            (schedule, due, via): seq
            for schedule, due, via, seq in file.execute("SELECT schedule, due, via, seq FROM due_run")
        }
    numbers = defaultdict(list)
    for schedule, due, via, seq in rows:
        numbers[schedule, due, via].append(seq)
    return {key: (last.get(key, 0), numbers.get(key, [])) for key in {*last, *numbers}}


def gaps(numbers: Mapping[tuple[str, int, str], tuple[int, list[int]]]) -> list[str]:
    return [
        f"{key}: events {found}, the last is said to be {last}"
        for key, (last, found) in numbers.items()
        if found != list(range(1, last + 1))
    ]


def violations(
    world: World,
    diary: Diary,
    stories: Stories,
    *,
    first: datetime,
    last: datetime,
    numbers: Mapping[tuple[str, int, str], tuple[int, list[int]]] | None = None,
    clock_is_right: bool = True,
) -> list[str]:
    """What is wrong, as sentences. ``first``: guard's first look, ``last``: its last one, when all that is due was over.

    ``clock_is_right``: whether guard's clock was the world's all the time.
    """
    known = dues(world, diary, first, last)
    runs = {run: key for run, key in runs_of(world, known).items() if world_began(world, run) > first}
    told, wrong = _folded(stories)
    wrong += [f"guard wrote to XO: {write.method}" for write in world.writes]
    wrong += gaps(numbers or {})
    expected: dict[RunKey, list[str]] = defaultdict(list)
    for run, key in runs.items():
        if key is not None:
            expected[key].append(run)
    for key, due in known.items():
        wrong += _of_due(world, due, expected.get(key, []), told.get(key))
    wrong += _of_hand(world, {run for run, key in runs.items() if key is None}, told)
    wrong += [f"{_name(world, key)}: a story of no due time" for key in told if key not in known and key.via != BY_HAND]
    counts = Counter(one.started.run for story in told.values() for one in story.attempts)
    wrong += [f"run {run} is in {count} stories" for run, count in counts.items() if count > 1]
    wrong += [f"run {run} of {_of_run(world, run)} is in no story" for run in runs if run not in counts]
    wrong += [f"run {run} is told of and XO never started it" for run in counts if run not in world.logs]
    for key, story in told.items():
        wrong += _of_ends(world, key, story, stories[key], clock_is_right=clock_is_right)
    return wrong + again_without_reason(world, stories)


def again_without_reason(world: World, stories: Stories) -> list[str]:
    """Follow-ups that should not be: more than one for a due time, VMs that were not meant, VMs started for it twice though
    nothing was in doubt, and those whose first time, by XO's own log, gives no cause for it.
    """
    told, wrong = _folded(stories)
    for key, run in told.items():
        name = _name(world, key)
        if [isinstance(event, FollowingUp) for event in stories[key]].count(True) > 1:
            wrong.append(f"{name}: followed up more than once")
        if run.follow_up is None:
            continue
        meant = {one.vm for one in run.follow_up.intent.vms}
        intents = run.intents[len(run.as_due.intents) :]
        doubts = sum(1 for one in intents if one.failed is not None and not one.failed.sure)
        for vm, count in again_by_follow_up(run).items():
            if vm not in meant:
                wrong.append(f"{name}: {vm} was started again, and nothing of that was meant")
            if count > 1 + doubts:
                wrong.append(f"{name}: {vm} was followed up {count} times")
            if not _may_follow(world, run.as_due, vm):
                wrong.append(f"{name}: {vm} was followed up, and XO's log of its first time has no cause for that")
    return wrong


def again_by_follow_up(run: DueRun) -> Counter[str]:
    """VM -> how often guard started it again for this due time, by the ledger."""
    intents = run.intents[len(run.as_due.intents) :]
    return Counter(vm for one in intents if one.run for vm in one.starting.vms or ())


def _may_follow(world: World, run: DueRun, vm: str) -> bool:
    """By XO's own logs of the runs before: none saved the VM, and it failed last of what passes."""
    logs = [msgspec.convert(world.logs[one.started.run], BackupLog) for one in run.attempts]
    codes: list[str] = []
    for of_run in map(outcome, logs):
        mine = [one for one in of_run.vms if one.vm.id == vm]
        if any(one.status == "success" for one in mine):
            return False
        own = [cause.code for one in mine for cause in one.causes]
        if mine or not codes:
            codes = own or [one.code for one in of_run.causes if one.scope.kind is not ScopeKind.VM]
    return followed_by(codes, transferred=False) in (FollowedBy.START, FollowedBy.FULL)


def world_began(world: World, run: str) -> datetime:
    return datetime.fromtimestamp(world.logs[run]["start"] / 1000, UTC)


def _folded(stories: Stories) -> tuple[dict[RunKey, DueRun], list[str]]:
    told, wrong = {}, []
    for key, events in stories.items():
        try:
            told[key] = fold(key, events)
        except LedgerError as error:
            wrong.append(str(error))
    return told, wrong


def _of_due(world: World, due: Due, runs: Sequence[str], story: DueRun | None) -> Iterator[str]:
    name = _name(world, due.key)
    if story is None:
        if (due.surely and due.on) or runs:
            yield f"{name}: no story"
        return
    if {one.started.run for one in story.attempts} != set(runs):
        yield f"{name}: XO ran {sorted(runs)}, told is {sorted(one.started.run for one in story.attempts)}"
    if story.ended is None:
        if not any(world.logs[run]["status"] == "pending" for run in runs):
            yield f"{name}: not ended"
        return
    wanted = End.OBSERVED if runs else End.MISSED
    if story.ended.end is not wanted:
        yield f"{name}: {story.ended.end}, should be {wanted}"


def _of_hand(world: World, runs: Iterable[str], told: Mapping[RunKey, DueRun]) -> Iterator[str]:
    left = set(runs)
    for key, story in told.items():
        if key.via != BY_HAND:
            continue
        own = {one.started.run for one in story.attempts}
        if len(own) != 1 or not own <= left:
            yield f"{_name(world, key)}: told as by hand with {sorted(own)}"
        left -= own
        pending = any(world.logs[run]["status"] == "pending" for run in own if run in world.logs)
        if story.ended is None and not pending:
            yield f"{_name(world, key)}: not ended"
        if story.ended is not None and story.ended.end is not End.OBSERVED:
            yield f"{_name(world, key)}: a run by hand that was {story.ended.end}"


def _of_ends(
    world: World, key: RunKey, story: DueRun, events: Sequence[AnyEvent], *, clock_is_right: bool
) -> Iterator[str]:
    name = _name(world, key)
    if [isinstance(event, Ended) for event in events].count(True) > 1:
        yield f"{name}: ended more than once"
    for event in events:
        log = world.logs.get(event.run) if isinstance(event, AttemptEnded) else None
        if log is None:
            continue
        if log["status"] != event.outcome.status:
            yield f"{name}: run {event.run} ended {log['status']}, told is {event.outcome.status}"
        if clock_is_right and event.at < ended_at(log, event.at):
            yield f"{name}: run {event.run} was told to have ended before it did"
    if story.ended is not None:
        for one in story.attempts:
            log = world.logs.get(one.started.run, {"status": "pending"})
            if log["status"] == "pending" or (clock_is_right and story.ended.at < ended_at(log, story.ended.at)):
                yield f"{name}: ended before its run {one.started.run} did"
            if one.ended is None:
                yield f"{name}: ended, and nothing is told of the end of run {one.started.run}"
    for event in events:
        if clock_is_right and isinstance(event, Decided) and event.at >= key.due:
            yield f"{name}: predicted after it was due"


def ended_at(log: XoObject, unknown: datetime) -> datetime:
    """When a run ended; an interrupted one's end is not in its log."""
    return datetime.fromtimestamp(log["end"] / 1000, UTC) if "end" in log else unknown


def _name(world: World, key: RunKey) -> str:
    names = [world.schedules.get(one, {}).get("name", one) for one in (key.schedule, key.via) if one]
    return f"{' via '.join(map(str, names))} due {key.due:%m-%d %H:%M:%S}"


def _of_run(world: World, run: str) -> str:
    start = next(one for one in world.starts if one.run_id == run)
    name = world.schedules.get(start.schedule_id, {}).get("name", start.schedule_id)
    return f"{name} ({start.origin} at {start.at:%m-%d %H:%M:%S})"
