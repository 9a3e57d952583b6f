"""The demo's night in driven time: guard acts, XO dies, guard is killed. Each deed is told as it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from guard.daemon.news import News
from guard.daemon.workaround import timeout_file, with_workaround, workaround_lines
from guard.decision.verdict import Action
from guard.estate.estate import Estate
from guard.estate.observations import Observations, Progress
from guard.finding import Level
from guard.gate.look import LOOK_EVERY
from guard.gate.watch import CONFIRMED, OBSERVED, Watch
from guard.ledger.sqlite import SqliteLedger, open_ledger
from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.events import (
    Alarmed,
    AnyEvent,
    Claimed,
    Doubted,
    Ended,
    FollowingUp,
    GaveUp,
    NotStarted,
    Released,
    ReleasedHow,
    Started,
    Starter,
)
from guard.lifecycle.remedy import Remedy
from guard.mechanics.fallback import read_name, whole_minute
from guard.mechanics.zones import zone_or_utc
from guard.notify.message import Message
from guard.outcomes.alarms import RUN_REFUSED
from guard.policy.remedies_schema import RemediesSection
from guard.policy.schema import Policy
from guard.simulator import demo
from guard.simulator.live import Live
from guard.views.deeds import HOW, STARTED_BY, deed_sentence
from guard.views.doings import doings
from guard.views.remedies import remedy_sentence
from guard.views.text import clean, wrap
from guard.xo.client import XoSettings
from guard.xo.token import Token
from guard.xo.writes import WritingXo

PARIS = ZoneInfo(demo.PARIS)
LASTS = timedelta(hours=24, minutes=5)
"""A little longer than the plan: what is due in its last minute shall have its end."""
NEXT_EVENING = timedelta(hours=27)
"""When what guard left standing for a day is gone again."""
_LEARNED_PAIRS, _PAIR_TOOK = 3, timedelta(hours=2)
"""What guard has seen of the slow SR in the week before."""
A_TURN_S = 0.02
_NEW = timedelta(minutes=1)
XO_DIES, XO_IS_BACK = timedelta(hours=3, minutes=58), timedelta(hours=4, minutes=2, seconds=30)
GUARD_DIES, GUARD_IS_BACK = timedelta(hours=6, minutes=29, seconds=30), timedelta(hours=6, minutes=40)
YOU_GET_UP = timedelta(hours=14)
_AT_ONCE = timedelta(seconds=10)
_NAME, _UUID = 17, 36
_INDENT = " " * 10

Say = Callable[[str], None]


@dataclass(frozen=True)
class Morning:
    """``runs``: every due run from ``since`` to ``until``; ``told``: every message of that time, in order. ``remedies``: what
    guard did so that runs can start, and ``standing`` what it left for now, as lines; both when all is over.

    ``left_off``, ``left_over``: what the simulated XO shows of guard's doings in the morning: schedules that were on before,
    and fallbacks.
    """

    since: datetime
    until: datetime
    runs: tuple[DueRun, ...]
    told: tuple[Message, ...]
    remedies: tuple[Remedy, ...]
    standing: tuple[str, ...]
    left_off: tuple[str, ...]
    left_over: tuple[str, ...]


class DemoXo(WritingXo):
    """The demo's XO, on the machine on which guard runs."""

    def __init__(
        self,
        settings: Callable[[], XoSettings],
        token_of: Callable[[], Token],
        *,
        clock: Callable[[], datetime],
        remedies: RemediesSection,
    ) -> None:
        super().__init__(settings, token_of, clock=clock)
        self._remedies = remedies

    async def estate(self) -> Estate:
        """Everything, and XO's configuration. Raises XoError."""
        return await with_workaround(await super().estate(), self._remedies, self._clock)


async def live_through(live: Live, xo: WritingXo, policy: Policy, folder: Path, say: Say) -> Morning:
    """The night from now on. ``folder``: where the ledger shall be; ``say`` takes one line of what happens."""
    start, were_on = live.now(), [one for one in live.world.schedules.values() if one["enabled"]]
    night = _Night(live, xo, policy, folder / "ledger", say)
    await night.go()
    until, runs, told = live.now(), await night.runs(start), tuple(night.told)
    left_off = tuple(one["name"] for one in were_on if not one["enabled"])
    left_over = tuple(one["name"] for one in live.world.call_jobs.values() if read_name(one["name"]) is not None)
    remedies = await night.remedies(start)
    standing = tuple(await workaround_lines(policy, PARIS, live.now))
    await night.next_evening(start + NEXT_EVENING)
    return Morning(
        since=start,
        until=until,
        runs=runs,
        told=told,
        remedies=remedies,
        standing=standing,
        left_off=left_off,
        left_over=left_over,
    )


class _Night:
    """What becomes of guard, of XO and of you. guard is a process that can be killed: its ledger stays."""

    _ledger: SqliteLedger

    def __init__(self, live: Live, xo: WritingXo, policy: Policy, path: Path, say: Say) -> None:
        self._live, self._xo, self._policy, self._path, self._say = live, xo, policy, path, say
        self.told: list[Message] = []
        self._quiet = False
        self._watch: Watch | None = None

    async def go(self) -> None:
        live, start = self._live, self._live.now()
        end = start + LASTS
        script = [
            (start + XO_DIES, "XO dies.", live.stop_xo),
            (start + XO_IS_BACK, "XO is back.", live.start_xo),
            (start + GUARD_DIES, "guard is killed, in the middle of a claim.", self._kill),
            (start + GUARD_IS_BACK, "guard is back.", self._begin),
            (start + YOU_GET_UP, "You connect Local storage, as the plan told you.", self._connect_local_storage),
        ]
        await self._remember_last_week()
        self._begin()
        await self._until(end, script)

    async def _until(self, end: datetime, script: list[tuple[datetime, str, Callable[[], None]]]) -> None:
        live = self._live
        while live.now() < end:
            while script and script[0][0] <= live.now():
                _, text, happen = script.pop(0)
                self._say(f"{live.now().astimezone(PARIS):%H:%M:%S}  *** {text}")
                happen()
            wake = end if self._watch is None else await self._look(self._watch, end)
            ahead = script[0][0] if script else end
            live.advance(min(end, ahead, max(wake, live.now() + timedelta(seconds=1))))

    async def _look(self, watch: Watch, end: datetime) -> datetime:
        """When to look next. A look that waits for nothing of its own may come at the next full minute: half as many."""
        wake = (await watch.tick()).wake or end
        while watch.is_busy and not self._live.calls:
            await watch.wait(A_TURN_S)  # the night stands still while guard reads and thinks
        return wake if wake < self._live.now() + LOOK_EVERY else whole_minute(wake)

    async def next_evening(self, end: datetime) -> None:
        """What guard left standing for a day comes to its end; then the ledger is closed."""
        self._quiet = True
        self._say("")
        self._say(f"{self._live.now().astimezone(PARIS):%H:%M:%S}  *** The next evening.")
        await self._until(end, [])
        if self._watch is not None:
            await self._watch.end()
        self._ledger.close()

    async def runs(self, start: datetime) -> tuple[DueRun, ...]:
        """Every due run since ``start``."""
        stories = await self._ledger.between(start, self._live.now())
        return tuple(run for key, events in stories.items() if (run := fold(key, events)) is not None)

    async def remedies(self, start: datetime) -> tuple[Remedy, ...]:
        """All since ``start``."""
        return await self._ledger.remedies(start)

    def _open(self) -> SqliteLedger:
        return open_ledger(self._path, xo=self._policy.xo.url, clock=self._live.now, instance=b"the demo")

    async def _remember_last_week(self) -> None:
        """guard saw XO start each of these schedules at the time it expected, as it does before it acts on any."""
        schedules = self._live.world.schedules.values()
        seen = {one["id"]: f"{one['cron']}|{one.get('timezone') or 'utc'}" for one in schedules}
        with self._open() as ledger:
            await ledger.remember(CONFIRMED, msgspec.json.encode(seen))
            await ledger.remember(OBSERVED, msgspec.json.encode(self._seen_of_coalesces()))

    def _seen_of_coalesces(self) -> Observations:
        """How long merges took on the slow SR: guard has seen a few."""
        srs = self._live.world.objects["SR"].values()
        slow = next(one for one in srs if one["name_label"] == demo.SLOW_SR)
        one = Progress(pairs=1, bytes=demo.BASE_COPY, seconds=_PAIR_TOOK.total_seconds())
        before = self._live.now() - timedelta(days=1)
        return Observations(since=before, looked_at=before, progress={slow["id"]: (one,) * _LEARNED_PAIRS})

    def _begin(self) -> None:
        self._ledger = self._open()
        self._watch = Watch(
            self._ledger,
            self._xo,
            _Narrator(self),
            clock=self._live.now,
            policy_of=lambda: self._policy,
            instance=self._ledger.instance,
            timeout_file=lambda: timeout_file(self._policy.remedies, self._live.now, "guard"),
        )

    def _kill(self) -> None:
        """As SIGKILL does it: nothing is written any more, and nothing is given back."""
        self._watch = None
        self._ledger.close()

    def _connect_local_storage(self) -> None:
        demo.connect_local_storage(self._live)

    async def hear(self, message: Message) -> None:
        self.told.append(message)

    def did(self, remedy: Remedy) -> None:
        now = self._live.now().astimezone(PARIS)
        is_old = self._live.now() - remedy.at > _NEW
        seen = f"seen of {remedy.at.astimezone(PARIS):%H:%M}: " if is_old else ""
        for line in wrap(f"{now:%H:%M:%S}  {seen}{remedy_sentence(remedy, PARIS)}", _INDENT, first=""):
            self._say(line)

    def tell(self, run: DueRun, event: AnyEvent) -> None:
        if self._quiet:
            return
        now, zone = self._live.now(), zone_or_utc(run.seen.zone)
        head = f"{now.astimezone(zone):%H:%M:%S}  {clean(run.seen.schedule_name):<{_NAME}}  "
        for text in _told(run, event, now, self._name_of):
            for line in wrap(head + text, _INDENT, first=""):
                self._say(line)

    def _name_of(self, vm: str) -> str:
        found = self._live.world.objects["VM"].get(vm)
        return _short(vm) if found is None else str(found["name_label"])


class _Narrator(News):
    """What a person is told by mail is kept; what guard does is told at once."""

    def __init__(self, night: _Night) -> None:
        super().__init__(night.hear, lambda: PARIS)
        self._night = night

    async def happened(self, run: DueRun, event: AnyEvent) -> None:
        await super().happened(run, event)
        self._night.tell(run, event)

    async def remedied(self, remedy: Remedy) -> None:
        await super().remedied(remedy)
        self._night.did(remedy)


def _told(run: DueRun, event: AnyEvent, now: datetime, name_of: Callable[[str], str]) -> Iterator[str]:
    """What is worth a line. Runs that XO started by itself are not: the report counts them."""
    zone = zone_or_utc(run.seen.zone)
    match event:
        case Claimed() if run.claim is not None:
            at = run.claim.intent.start_at.astimezone(zone)
            yield f"claimed, XO's fallback stands at {at:%H:%M}; {_why(run)}"
        case Started(by=Starter.GUARD):
            yield _started(run, event, now, name_of)
        case Started(by=Starter.FALLBACK, began=began):
            yield f"{STARTED_BY[event.by]} at {began.astimezone(zone):%H:%M}"
        case GaveUp():
            yield deed_sentence(msgspec.structs.replace(event, reason=_figures(run, event) or event.reason), zone)
        case Released(how=how):
            given = "given back" if how is ReleasedHow.ENABLED else HOW[how]
            yield "; ".join([given, *_waiting(run, now)])
        case Doubted() | NotStarted() | FollowingUp():
            yield deed_sentence(event, zone)
        case Alarmed(code=code, text=text) if code != RUN_REFUSED.id:
            yield f"{code}: {text}"
        case Ended(reason=reason) if run.attempts and not run.given_up and reason:
            yield f"{event.end.value}: {reason}"


def _why(run: DueRun) -> str:
    """The codes that stand in the way of a whole start, and whom they hold where that is not all."""
    verdict = run.decided.verdict if run.decided is not None else None
    if verdict is None:
        return ""
    codes = ", ".join(dict.fromkeys(one.code for one in verdict.findings if one.level is Level.BLOCK))
    if verdict.action is not Action.START_SOME:
        return codes
    return f"{codes} holds {', '.join(_short(one.name) for one in verdict.held)}"


def _short(name: str) -> str:
    """A VM that XO does not show has its id only."""
    return name if len(name) < _UUID else f"{name[:8]}..."


def _started(run: DueRun, event: Started, now: datetime, name_of: Callable[[str], str]) -> str:
    asked = next((one.starting.vms for one in run.intents if one.starting.attempt == event.attempt), None)
    text = f"{STARTED_BY[event.by]}: {', '.join(map(name_of, asked)) if asked else 'all of it'}"
    if run.decided is None or now < run.key.due + _AT_ONCE:
        return text
    is_free = run.decided.verdict.action in (Action.START, Action.START_SOME)
    return text + ("; nothing holds it" if is_free else "; its deadline is over, and a start does no harm")


def _figures(run: DueRun, given: GaveUp) -> str:
    """The numbers behind it, '' where there are none."""
    codes = {code for one in given.vms for code in one.codes} | {given.code}
    findings = run.decided.verdict.findings if run.decided is not None else ()
    return " ".join(one.summary for one in findings if one.code in codes and one.level is Level.BLOCK)


def _waiting(run: DueRun, now: datetime) -> Iterator[str]:
    zone = zone_or_utc(run.seen.zone)
    told = doings([run], now)
    for one in told.deferrals:
        who = ", ".join(map(_short, one.vms)) or "all of it"
        yield f"{who} waits until {one.deadline.astimezone(zone):%H:%M} at most"
    for fallback in told.fallbacks:
        if fallback.at > now:
            yield f"then XO's fallback at {fallback.at.astimezone(zone):%H:%M}"
