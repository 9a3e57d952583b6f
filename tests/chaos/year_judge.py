"""What must be true of an episode, by the simulator's own starts and records. The ledger is asked for ends and doubts only.

What is not demanded is named in ``EXEMPT``, each with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from guard.estate.xo_records import Schedule
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import End, RunKey
from guard.mechanics.cron import xo_next
from guard.mechanics.due import DueTime, due_times, next_storm
from guard.mechanics.fallback import FallbackKind, read_name
from guard.outcomes.alarms import SCHEDULE_LEFT_OFF
from guard.simulator.journal import Start
from guard.simulator.shapes import XoObject
from tests.chaos.acting import LATE, _refused
from tests.chaos.year_life import Life, Page, Trouble, zone_of
from tests.chaos.year_plan import Planned
from tests.stories.invariants import again_by_follow_up, again_without_reason

EXEMPT = {
    "CLOSE": "so near to a change of its schedule nobody can tell whether a due time was one (guard/gate/entries.py)",
    "BLIND": "changed while guard was away or saw no XO: what it brought meanwhile is not known (guard/gate/entries.py)",
    "NO_TRACE": "a write that leaves the record as guard had it is nothing anybody can see (year_life.Life._will)",
    "LEFT_OFF": "changed while guard held it, its enabled not named: left off, and paged (docs/enforce.md, What dies)",
    "VERY_MOMENT": "somebody wrote it between guard's last look and its own switching off (docs/enforce.md): switched on again, "
    "or left off, which must be told",
    "FALLBACK": "XO's fallback knows no verdict and no person's hand (docs/enforce.md, What cannot be proven)",
    "TWO_BY_FALLBACK": "guard away between placing the starting fallback and switching off, or switching on before the due "
    "time and deleting it: XO's timer and the fallback both start it (docs/enforce.md)",
    "DOUBT": "an answer was lost and the ledger says so: started once more by policy (docs/enforce.md, lost answer)",
    "NO_START": "guard gone for good between deleting the fallback and asking XO (docs/enforce.md, No start)",
    "PART": "part of a run has no fallback: the VMs that wait need guard (docs/enforce.md)",
    "STAYS_OFF": "guard gone, and XO down in all minutes of the release fallback: off until guard is back (docs/enforce.md)",
    "SKIPPED": "on_uncertain = skip: a doubtful start is left at that (docs/enforce.md, lost answer)",
    "HARM": "it would harm, or crash: refused, or left to XO",
    "BUSY": "another run of its job: XO would refuse it, and overlap says what guard does",
    "HELD": "a hold was in force, set to stand beyond its deadline: refused at once, and not started later (docs/enforce.md)",
    "BEHIND": "the VMs that wait do so behind its own first part, which ran beyond the deadline (docs/enforce.md, What waits)",
    "OVERTAKEN": "its schedule's next due time came before its deadline, and covers it (docs/enforce.md, What waits)",
    "HANDS": "a person or a rolling update switched it off, or deleted it, before its deadline",
    "XO_ASLEEP": "XO was away and guard could not act in time: away too, aside, bypassed, or rolling",
    "TWICE": "near a change of the clocks XO itself starts one due time more than once (dst-nights.md)",
    "STORM": "XO was restarted, or somebody wrote the schedule, within the minutes of a storm; or guard could not claim",
}
CLOSE = timedelta(minutes=2)
EARLY = timedelta(seconds=5)
WARNED = timedelta(minutes=15)
"""So long before its due time guard may have decided already: a hold has to stand then."""
GRACE = timedelta(minutes=12)
"""A start at the deadline may be tried for ten minutes; calls take time."""
CLAIM = timedelta(minutes=11)
NEVER_FIRED = timedelta(hours=6)
CALM = timedelta(minutes=35)
"""Off for so long without any trouble: the nets had their time."""
NET = timedelta(minutes=50)
"""Within this after it was switched off XO's own fallback has switched it on, if XO is up."""
TURN = timedelta(minutes=8)
"""What guard needs of peace to start what XO did not."""
LOOKED = timedelta(seconds=70)
"""Within it guard has looked again."""
HALF_A_MINUTE = timedelta(seconds=30)
INSTANT = timedelta(seconds=10)
"""Between guard's reading of a record and its writing, a person may write."""


@dataclass(frozen=True)
class Due:
    """``page``: what was wanted of its schedule; ``surely``: it was a due time beyond doubt; ``next``: its successor's."""

    schedule: str
    time: DueTime
    page: Page
    surely: bool
    deadline: datetime
    next: datetime | None = None

    @property
    def at(self) -> datetime:
        return self.time.at

    @property
    def limit(self) -> datetime:
        return self.deadline + LATE


class Judge:
    """``broken``: what is wrong, as sentences. ``exempt``: how often which exemption was taken."""

    def __init__(self, life: Life) -> None:
        self.life, self.world = life, life.world
        self.told = life.told()
        self.exempt: Counter[str] = Counter()
        self.dues = {key: self._dues_of(key) for key in life.planned}
        self.starts = {key: self._starts_of(key) for key in life.planned}
        self.broken = [
            *self._ends(), *self._doubles(), *self._started(), *self._late(), *self._held(), *self._claims(), *self._edits(),
            *self._enabling(), *self._off(), *self._left(), *self._calm(),
        ]  # fmt: skip

    # --- what was due

    def _dues_of(self, key: str) -> list[Due]:
        pages, found = self.life.will[key], []
        ends = [page.since for page in pages[1:]] + [datetime.max.replace(tzinfo=UTC)]
        for page, end in zip(pages, ends, strict=True):
            begin, stop = max(page.since, self.life.first), min(end, self.life.live.now())
            if page.record is None or not page.is_on or begin >= stop:
                continue
            schedule = msgspec.convert(page.record, Schedule)
            for time in due_times(schedule, zone=zone_of(page.record), after=begin, until=stop + CLOSE):
                odd = (len(time.starts) > 1 or time.storm is not None) and len(pages) > 1
                surely = not odd and not page.either and time.at <= stop and self._is_sure(key, time.at)
                found.append(Due(key, time, page, surely, self._deadline(key, time)))
        found.sort(key=lambda due: due.at)
        later = [*(due.at for due in found[1:]), None][: len(found)]
        return [Due(one.schedule, one.time, one.page, one.surely, one.deadline, after)
                for one, after in zip(found, later, strict=True)]  # fmt: skip

    def _is_sure(self, key: str, at: datetime) -> bool:
        """CLOSE and BLIND."""
        looks = self.life.looks
        before = max((began for began, _ in looks if began <= at - EARLY), default=self.life.first)
        after = min((ended for began, ended in looks if began >= at), default=self.life.live.now())
        for old, new in zip(self.life.will[key], self.life.will[key][1:], strict=False):
            if _fires_alike(old, new):
                continue
            if abs(new.since - at) <= CLOSE or before <= new.since <= after:
                return False
        return True

    def _deadline(self, key: str, time: DueTime) -> datetime:
        last = time.at + timedelta(minutes=self.life.planned[key].max_defer)
        return last if time.storm is None else max(last, time.storm.last + timedelta(hours=1))

    # --- what was started

    def _starts_of(self, key: str) -> list[tuple[Start, Due | None]]:
        """Every start of it that XO did not refuse, by hand excepted, with its due time."""
        mine = [one for one in self.world.starts if one.schedule_id == key and one.origin != "rest"]
        return [(one, self._due_of(one)) for one in mine if not _refused(self.world, one)]

    def _due_of(self, start: Start) -> Due | None:
        dues = self.dues[start.schedule_id]
        if start.origin == "cron":
            minute = start.at.replace(second=0, microsecond=0)
            exact = [due for due in dues if minute in due.time.starts or _in_storm(due, minute)]
            return exact[-1] if exact else None
        if start.origin == "sequence" and start.via in self.life.fallbacks:
            _, _, at = self.life.fallbacks[start.via]
            return next((due for due in dues if due.at == at), None)
        return max((due for due in dues if due.at <= start.at + EARLY), key=lambda due: due.at, default=None)

    def of(self, due: Due) -> list[Start]:
        return [start for start, its in self.starts[due.schedule] if its is not None and its.at == due.at]

    # --- troubles

    def trouble(self, begin: datetime, end: datetime, *kinds: str) -> list[Trouble]:
        """Those of these kinds (all: none named) that touch the stretch."""
        touching = [one for one in self.life.troubles if one.start <= end and one.end >= begin]
        return [one for one in touching if not kinds or one.kind in kinds]

    def is_calm(self, begin: datetime, end: datetime) -> bool:
        return not self.trouble(begin, end)

    def braked(self, key: str, kind: str, begin: datetime, end: datetime) -> bool:
        return any(one.is_for(kind, key) and one.since <= end and one.until >= begin for one in self.life.brakes)

    def story(self, due: Due) -> DueRun | None:
        return self.told.get(RunKey(due.schedule, due.at))

    # --- one end

    def _ends(self) -> Iterator[str]:
        for due in self._all():
            if due.at > self.life.judged_until:
                continue
            if not due.surely:
                self.exempt["CLOSE"] += 1
                continue
            run = self.story(due)
            if run is None:
                yield f"{self._name(due)}: no story"
            elif run.ended is None and not any(self._runs_still(start) for start in self.of(due)):
                yield f"{self._name(due)}: no end"

    def _runs_still(self, start: Start) -> bool:
        return self.world.logs.get(start.run_id or "", {}).get("status") == "pending"

    # --- never two starts

    def _doubles(self) -> Iterator[str]:
        yield from again_without_reason(self.world, self.life.stories())
        for due in self._all():
            starts = self.of(due)
            own = [one for one in starts if one.origin != "cron"]
            by_xo = [one for one in starts if one.origin == "cron"]
            if due.time.storm is not None and len(by_xo) > 1 and self._should_have_kept_from(due):
                yield f"{self._name(due)}: XO's timer stormed: {len(by_xo)} starts from {by_xo[0].at}"
            taken: Counter[str] = Counter()
            for one in own + by_xo[:1]:
                taken.update(one.vms or self._vms(due))
            allowed = 1 + self._doubts(due)
            if by_xo and any(self._is_fallback(one) for one in own) and self._fell_between(due):
                self.exempt["TWO_BY_FALLBACK"] += 1
                allowed += 1
            if len(due.time.starts) > 1 and max(taken.values(), default=0) > allowed:
                self.exempt["TWICE"] += 1
                allowed += len(due.time.starts) - 1
            story = self.story(due)  # whether its follow-up was right, again_without_reason tells
            again = again_by_follow_up(story) if story is not None else Counter[str]()
            if any(count - again[vm] > allowed for vm, count in taken.items()):
                told = [(f"{one.at:%d %H:%M:%S.%f}"[:-3], one.origin, len(one.vms or ())) for one in starts]
                yield f"{self._name(due)}: {max(taken.values())} starts where {allowed} are allowed: {told}"

    def _is_fallback(self, start: Start) -> bool:
        return start.origin == "sequence"

    def _fell_between(self, due: Due) -> bool:
        """TWO_BY_FALLBACK: guard was away, or could not reach XO, from before the due time until the fallback's minute."""
        fired = due.at + timedelta(minutes=3) - timedelta(seconds=5)
        away = self.trouble(due.at - CLAIM, due.at, "down", "frozen", "xo")
        return any(one.end >= fired for one in away)

    def _doubts(self, due: Due) -> int:
        run = self.story(due)
        doubts = 0 if run is None else sum(1 for one in run.intents if one.failed is not None and not one.failed.sure)
        self.exempt["DOUBT"] += doubts
        return doubts

    def _should_have_kept_from(self, due: Due) -> bool:
        storm = due.time.storm
        assert storm is not None
        begin = min(due.at, storm.first) - WARNED
        wrote = any(
            one.schedule == due.schedule and storm.first <= one.at <= storm.last + timedelta(minutes=1)
            for one in self.life.changes
            if one.by in ("person", "rpu")
        )
        aside = self._is_aside(due) or self.braked(due.schedule, "bypass", begin, storm.last)
        if wrote or aside or self.trouble(begin, storm.last):
            self.exempt["STORM"] += 1
            return False
        return True

    # --- what should have started did

    def _started(self) -> Iterator[str]:
        for due in self._all():
            if due.at > self.life.judged_until or not due.surely:
                continue
            taken = {vm for one in self._any_start(due) for vm in one.vms or self._vms(due)}
            if not set(self._vms(due)) - taken:
                continue
            why = self._need_not_start(due)
            if why in ("OVERTAKEN", "BEHIND") and self._covers_nothing(due):
                yield f"{self._name(due)}: left to its schedule's next due time, and that to this one"
            elif why:
                self.exempt[why] += 1
            else:
                run = self.story(due)
                end = run.ended if run is not None else None
                told = f"{end.end}: {end.reason}" if end is not None else "no end"
                if any(one.detail == "far" for one in self.trouble(due.at - WARNED, due.limit, "clock")):
                    told += " guard's clock was far off"
                yield f"{self._name(due)}: {len(set(self._vms(due)) - taken)} VMs never started; {told}"

    def _any_start(self, due: Due) -> list[Start]:
        """By a person too: who starts it by hand after it was due has it started."""
        by_hand = [one for one in self.world.starts if one.schedule_id == due.schedule and one.origin == "rest"]
        return self.of(due) + [one for one in by_hand if due.at - EARLY <= one.at <= due.limit]

    def _need_not_start(self, due: Due) -> str:
        """The exemption for one of which not all VMs were started, '' for none."""
        one, key = self.life.planned[due.schedule], due.schedule
        trouble = self._trouble(one)
        waits = trouble == "chain" or bool(self.trouble(due.at - WARNED, due.at, "pool"))
        gone = any(due.at - CLOSE < page.since <= due.limit and not page.is_on for page in self.life.will[key])
        overtaken = due.next is not None and due.next <= due.limit and (waits or due.next - due.at <= TURN + WARNED)
        reasons = {
            "HARM": trouble in ("settings", "full"),
            "HELD": self._is_held(due),
            "BUSY": self._is_busy(due),
            "HANDS": gone,
            "BEHIND": waits and self._runs_beyond(due),
            "OVERTAKEN": overtaken,
            "XO_ASLEEP": self._is_disarmed(due) and self._is_left_to_xo(due),
        }
        found = next((name for name, holds in reasons.items() if holds), "")
        if found or self.is_calm(due.at - WARNED, due.limit):
            return found
        return self._need_not_start_in_trouble(due, waits=waits)

    def _is_held(self, due: Due) -> bool:
        """A hold that ends before the deadline is waited for; one that by its word does not refuses at once."""
        held = [one for one in self.life.brakes if one.is_for("hold", due.schedule) and one.since <= due.limit]
        return any(one.until >= due.at - WARNED and one.said >= due.deadline - GRACE for one in held)

    def _need_not_start_in_trouble(self, due: Due, *, waits: bool) -> str:
        one, run = self.life.planned[due.schedule], self.story(due)
        intents = run.intents if run is not None else ()
        if one.on_uncertain == "skip" and any(each.failed is not None and not each.failed.sure for each in intents):
            return "SKIPPED"
        last = due.deadline + GRACE
        for gone in self.trouble(due.at - EARLY, last, "down", "frozen"):
            asking = any(timedelta() <= gone.start - each.starting.at <= timedelta(minutes=1) for each in intents)
            if asking and gone.end >= min(last, due.next or last):
                return "NO_START"
        was_off = any(since < due.at - CLAIM and due.at <= until for since, until in self._off_by_guard(due.schedule))
        if was_off and self.trouble(due.at, due.at, "down", "frozen"):
            return "STAYS_OFF"
        if waits and one.vms > 1 and self.trouble(due.at, due.limit, "down", "frozen", "clock", "xo"):
            return "PART"
        asleep = self.trouble(due.at - CLAIM, due.at + timedelta(minutes=16), "xo", "rpu") or self._is_disarmed(due)
        late = waits and self.trouble(due.deadline - GRACE, due.limit, "xo", "rpu", "down", "frozen", "clock")
        return "XO_ASLEEP" if (asleep or late) and not self._had_a_turn(due, waits=waits) else ""

    def _trouble(self, one: Planned) -> str:
        """What holds the VMs of its job, whichever schedule was planned with them; settings are a schedule's own."""
        if not one.job_of:
            return one.trouble
        shared = next(other for other in self.life.planned.values() if other.name == one.job_of).trouble
        return "" if shared == "settings" else shared

    def _runs_beyond(self, due: Due) -> bool:
        return any(one.vms is not None and self._over_at(one, due.limit) >= due.deadline for one in self.of(due))

    def _over_at(self, start: Start, unknown: datetime) -> datetime:
        log = self.world.logs.get(start.run_id or "", {})
        return datetime.fromtimestamp(log["end"] / 1000, UTC) if "end" in log else unknown

    def _covers_nothing(self, due: Due) -> bool:
        """Whether this one ended as covered by the next, and the next by this one's own first part: nobody ran the rest."""
        after = next((one for one in self.dues[due.schedule] if one.at == due.next), None)
        if after is None or self.of(after) or not after.surely or after.at > self.life.judged_until:
            return False
        mine, its = self.story(due), self.story(after)
        own_runs = any(self._over_at(one, after.at) >= after.at for one in self.of(due))
        ends = [run is not None and any(one.end is End.COVERED for one in run.given_up) for run in (mine, its)]
        return own_runs and all(ends)

    def _is_busy(self, due: Due) -> bool:
        """Whether another run of the same job went on around it."""
        job = self.world.jobs[self._job(due)]
        own = {one.run_id for one in self.of(due)}
        for start in self.world.starts:
            if start.job_id != job["id"] or start.run_id in own or _refused(self.world, start):
                continue
            if start.at <= due.limit and self._over_at(start, due.limit) >= due.at - timedelta(minutes=1):
                return True
        return False

    def _had_a_turn(self, due: Due, *, waits: bool) -> bool:
        """Guard had some minutes of peace in which it must have started what XO did not."""
        if self._is_left_to_xo(due):
            return False
        first = due.deadline if waits else due.at + timedelta(seconds=75)
        last = min(due.deadline + timedelta(minutes=9), due.next or due.limit)
        moments = [first, *(one.end for one in self.life.troubles if first <= one.end <= last)]
        return any(at + TURN <= last and self.is_calm(at + A_SECOND, at + TURN) for at in moments)

    def _is_disarmed(self, due: Due) -> bool:
        return any(one == due.schedule and since <= due.at <= until for one, since, until in self.life.disarmed)

    def _is_left_to_xo(self, due: Due) -> bool:
        return self._is_aside(due) or self.braked(due.schedule, "bypass", due.at - WARNED, due.limit)

    def _is_aside(self, due: Due) -> bool:
        """Whether guard must leave it to XO: too frequent, or no start has shown yet when XO fires it."""
        dues = [one.at for one in self.dues[due.schedule]]
        if any(other != due.at and abs(other - due.at) < timedelta(minutes=30) for other in dues):
            return True
        return not _fires_alike(self.life.will[due.schedule][0], due.page, enabled=False)

    def _late(self) -> Iterator[str]:
        for key in self.life.planned:
            for start, due in self.starts[key]:
                if due is None or start.origin == "cron":
                    continue
                decided = self.is_calm(due.at - WARNED, due.at + timedelta(seconds=75))
                last = due.deadline if decided else max(due.deadline, due.at + NEVER_FIRED)
                if start.at > last + LATE:
                    yield f"{self._name(due)}: started late, {start.at:%d %H:%M:%S} by {start.origin}"

    # --- holds

    def _held(self) -> Iterator[str]:
        for key in self.life.planned:
            for start, due in self.starts[key]:
                if due is None or self._is_aside(due):
                    continue
                for one in self.life.brakes:
                    stood = one.is_for("hold", key) and one.since <= due.at - WARNED and start.at < one.until
                    bypassed = self.braked(key, "bypass", due.at - WARNED, start.at)
                    if stood and not bypassed and self.is_calm(due.at - WARNED, start.at):
                        yield f"{self._name(due)}: started by {start.origin} at {start.at:%d %H:%M:%S} under a hold"

    def _claims(self) -> Iterator[str]:
        """Guard takes no schedule under a bypass, in a rolling update, or with clocks that differ much."""
        for change in self.life.changes:
            if change.by != "guard" or change.after is None or change.after["enabled"]:
                continue
            at, before = change.at, change.at - LOOKED
            if self.trouble(before, at, "slow", "frozen", "lost", "xo"):
                continue
            barred = [
                one.kind
                for one in self.life.brakes
                if one.is_for("bypass", change.schedule) and one.since <= before <= at < one.until
            ]
            barred += [one.kind for one in self.life.troubles if one.start <= before and at < one.end - HALF_A_MINUTE
                       and (one.kind == "rpu" or (one.kind, one.detail) == ("clock", "far"))]  # fmt: skip
            if barred:
                yield f"{self._called(change.schedule)}: claimed at {at:%d %H:%M:%S} in spite of {barred}"

    # --- others' hands

    def _edits(self) -> Iterator[str]:
        for key in self.life.planned:
            page, record = self.life.will[key][-1], self.world.schedules.get(key)
            if (record is None) != (page.record is None):
                yield f"{self._called(key)}: {'deleted' if record is None else 'there again'}"
                continue
            if record is None or page.record is None:
                continue
            wrong = {field: (page.record.get(field), record.get(field)) for field in ("cron", "name", "timezone", "jobId")
                     if page.record.get(field) != record.get(field)}  # fmt: skip
            if wrong:
                yield f"{self._called(key)}: a person's word was undone: {wrong}"
            if page.is_off and record["enabled"] and not self._enabled_since(key, page):
                yield f"{self._called(key)}: is on, and {page.by} left it off"
            crossed = page.is_on and self._crossed(key, page)
            if (page.either or crossed) and not record["enabled"]:
                self.exempt["VERY_MOMENT" if crossed else "LEFT_OFF"] += 1
                if not any(run.schedule == key and code == SCHEDULE_LEFT_OFF.id for run, code in self.life.ear.alarms):
                    yield f"{self._called(key)}: left off, and nobody was told"
            elif page.is_on and not record["enabled"]:
                yield f"{self._called(key)}: is left off, and {page.by} left it on"

    def _enabling(self) -> Iterator[str]:
        """No write of guard's enables what others left off, nor in a minute in which XO would start again and again."""
        for change in self.life.changes:
            if change.by not in ("guard", "fallback") or change.after is None or not change.after["enabled"]:
                continue
            page = [one for one in self.life.will[change.schedule] if one.since <= change.at][-1]
            told = f"{self._called(change.schedule)}: guard switched on at {change.at:%d %H:%M:%S}"
            if page.is_off and change.before != change.after:
                if change.by == "fallback":
                    self.exempt["FALLBACK"] += 1
                elif self._crossed(change.schedule, page):
                    self.exempt["VERY_MOMENT"] += 1
                elif not self._held_before(change.schedule, page.since):
                    yield f"{told} what {page.by} had switched off, not guard"
                elif change.at - page.since > INSTANT:
                    yield f"{told} what {page.by} left off"
            if xo_next(change.after["cron"], zone_of(change.after), change.at) <= change.at and not self.trouble(
                change.at, change.at, "clock"
            ):
                yield f"{self._called(change.schedule)}: switched on by {change.by} within a storm, {change.at:%d %H:%M:%S}"

    def _enabled_since(self, key: str, page: Page) -> bool:
        """By guard, which is told of by itself, or by its fallback."""
        return any(
            one.schedule == key and one.at >= page.since and one.by in ("guard", "fallback") and one.after is not None
            and one.after["enabled"] for one in self.life.changes
        )  # fmt: skip

    def _crossed(self, key: str, page: Page) -> bool:
        return any(
            one.schedule == key and one.by == "guard" and one.after is not None and not one.after["enabled"]
            and timedelta() <= one.at - page.since <= INSTANT for one in self.life.changes
        )  # fmt: skip

    def _held_before(self, key: str, moment: datetime) -> bool:
        """Whether guard had it off when somebody wrote it then."""
        written = [one for one in self.life.changes if one.schedule == key and one.at <= moment and one.by != "person"]
        before = next((one.before for one in self.life.changes if one.schedule == key and one.at == moment), None)
        return bool(written) and written[-1].by == "guard" and before is not None and not before["enabled"]

    def _off(self) -> Iterator[str]:
        """No schedule stays off by guard beyond the time of the nets."""
        for key in self.life.planned:
            for since, until in self._off_by_guard(key):
                page = [one for one in self.life.will[key] if one.since <= since][-1]
                record = page.record or self.life.will[key][0].record
                assert record is not None
                reach = timedelta(hours=6)
                if self._crossed(key, page):
                    continue  # left off, and told (_edits)
                if next_storm(record["cron"], zone_of(record), since, until + reach) is not None:
                    continue  # it is given back after the gap
                ends = [since, *(one.end for one in self.life.troubles if since <= one.end < until)]
                if any(at + CALM <= until and self.is_calm(at + A_SECOND, at + CALM) for at in ends):
                    yield f"{self._called(key)}: off from {since:%d %H:%M:%S} to {until:%d %H:%M:%S} without any trouble"
                elif until - since > NET and not self.trouble(since, since + NET, "xo", "rpu", "clock"):
                    yield f"{self._called(key)}: off from {since:%d %H:%M:%S} to {until:%d %H:%M:%S}, and XO was up"

    def _off_by_guard(self, key: str) -> Iterator[tuple[datetime, datetime]]:
        since: datetime | None = None
        moments = sorted({one.at for one in self.life.changes if one.schedule == key} | {self.life.live.now()})
        for moment in moments:
            record = [one.after for one in self.life.changes if one.schedule == key and one.at <= moment][-1:]
            page = [one for one in self.life.will[key] if one.since <= moment][-1]
            is_off = (
                bool(record) and record[0] is not None and not record[0]["enabled"] and page.is_on and not page.either
            )
            if since is not None and (not is_off or moment == moments[-1]):
                yield since, moment
                since = None
            elif is_off and since is None:
                since = moment

    def _left(self) -> Iterator[str]:
        """No fallback is left whose due time is over."""
        now = self.life.live.now()
        for job in self.world.call_jobs.values():
            named = read_name(job["name"])
            if named is None:
                continue
            defers = timedelta(minutes=self.life.planned[named[2]].max_defer)
            if named[3] + defers + timedelta(minutes=30) < now or named[1] is FallbackKind.RELEASE:
                yield f"fallback {job['name']} is left"

    # --- peace

    def _calm(self) -> Iterator[str]:
        if not self.life.episode.is_calm or any(due.time.storm is not None for due in self._all()):
            return
        if self.world.writes:
            yield f"{len(self.world.writes)} writes to XO in a calm episode, the first {self.world.writes[0]}"
        for due in self._all():
            if due.at > self.life.live.now() - timedelta(seconds=1):
                continue
            origins = [one.origin for one in self.of(due)]
            if origins != ["cron"] * len(due.time.starts):
                yield f"{self._name(due)}: started {origins} in a calm episode"

    # --- words

    def _all(self) -> Iterator[Due]:
        for dues in self.dues.values():
            yield from dues

    def _job(self, due: Due) -> str:
        return str(self.life.will[due.schedule][0].record["jobId"])

    def _vms(self, due: Due) -> list[str]:
        return self.vms_of(self.world.jobs[self._job(due)])

    @staticmethod
    def vms_of(job: XoObject) -> list[str]:
        """Of a mirror job, which has none: itself."""
        if "vms" not in job:
            return [job["id"]]
        listed = job["vms"]["id"]
        return [listed] if isinstance(listed, str) else list(listed["__or"])

    def _called(self, key: str) -> str:
        return self.life.planned[key].name

    def _name(self, due: Due) -> str:
        return f"{self._called(due.schedule)} due {due.at:%d %H:%M}"


A_SECOND = timedelta(seconds=1)


def _fires_alike(old: Page, new: Page, *, enabled: bool = True) -> bool:
    if old.record is None or new.record is None:
        return False
    alike = all(old.record.get(field) == new.record.get(field) for field in ("cron", "timezone"))
    return alike and (not enabled or (old.is_on, old.either) == (new.is_on, new.either))


def _in_storm(due: Due, minute: datetime) -> bool:
    return due.time.storm is not None and due.time.storm.first <= minute <= due.time.storm.last
