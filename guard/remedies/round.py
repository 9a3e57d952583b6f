"""The look ahead: which remedies the next hours need, one round after another, beside the looks of the gate.

A round reads XO whole (or takes a reading that the gate has just made), does what is due, and sees what became of what
was done before. It runs as a task of its own, as a reading and a scan may take minutes, and a due time does not wait. It
never begins so near to a due time that its reading would come in the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import msgspec

from guard.agenda import Agenda, make_agenda
from guard.assess import Plan, Situation, make_plan, rules_of
from guard.decision.brakes import Brake, in_force
from guard.errors import LedgerError, LedgerUnwritableError, PolicyError, XoError
from guard.estate.estate import Estate, PartName
from guard.estate.workaround import State
from guard.estate.xo_records import Schedule
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.ledger import Ledger
from guard.lifecycle.remedy import Effect, Remedy, RemedyKind, Result, Wanted
from guard.mechanics.connection import reconnects
from guard.policy.schema import Policy
from guard.remedies.choose import seen_again, wanted
from guard.remedies.doing import Doer, given_up
from guard.remedies.ports import RemedyTeller
from guard.remedies.rescan import GIVEN_UP
from guard.remedies.scene import NEAR, SOON, Scene, scene_of
from guard.remedies.waiting import is_free, may_be_helped, waiting, without_holds

EVERY = timedelta(minutes=30)
"""Between two readings of the look ahead."""
FRESH = timedelta(minutes=2)
STALE = timedelta(minutes=5)
"""What was read longer ago is no ground to do anything on: the round after it reads anew."""
RETRY = timedelta(minutes=5)
"""Between two rounds of which the first could not read XO, or that two due times want one after the other."""
AWAY = timedelta(minutes=3)
"""A round that would read XO begins so long before a due time, or not before it."""
LONGEST_SCAN = timedelta(minutes=30)
KEPT_IN_VIEW = timedelta(days=400)
"""So far back does a round look into the past: longer than a timeout file may stand."""
MEASURED = timedelta(hours=24)
REMIND_EVERY = timedelta(days=7)
REMINDED = "workaround_reminded"
"""When guard last reminded of its file, in the ledger."""
_SHOWS = (RemedyKind.RESCAN, RemedyKind.RECONNECT, RemedyKind.PLUG, RemedyKind.TIMEOUT_FILE)


@dataclass(frozen=True)
class Ahead:
    """What a look of the gate shows. ``runs``: the open stories. ``untrusted``: why guard acts on nothing, '' when it may.

    ``latest``: the newest whole reading. ``lead``: how long before a due time the next one must begin. ``as_found``: an estate
    without guard's own doings in XO.
    """

    setup: Estate
    runs: Sequence[DueRun]
    brakes: tuple[Brake, ...]
    untrusted: str
    latest: Estate | None
    lead: timedelta
    as_found: Callable[[Estate], Estate]


class Rounds:
    """``trouble``: why the last round came to nothing, '' when it did not."""

    def __init__(
        self,
        ledger: Ledger,
        teller: RemedyTeller,
        doer: Doer,
        *,
        clock: Callable[[], datetime],
        policy_of: Callable[[], Policy],
    ) -> None:
        self._ledger, self._teller, self._doer = ledger, teller, doer
        self._clock, self._policy_of = clock, policy_of
        self._task: asyncio.Task[None] | None = None
        self._last: datetime | None = None
        self._wake: datetime | None = None
        self._told: Ahead | None = None
        self._saw: Estate | None = None
        self._waits_for_effect = False
        self._dues: tuple[tuple[Schedule, ...], datetime, tuple[datetime, ...], tuple[datetime, ...]] | None = None
        self.trouble = ""

    def look(self, ahead: Ahead, read_whole: Callable[[], Awaitable[Estate]]) -> datetime | None:
        """Begin a round where one is due; when to look again, None for no time of its own. Raises LedgerError.

        ``read_whole``: reads XO whole, as the gate does.
        """
        now, self._told = self._clock(), ahead
        if self._last is not None and self._last > now:  # the clock was set back
            self._last = self._wake = None
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()
        if not self._policy_of().may_act or ahead.untrusted:
            return None
        if self._task is not None:
            return now + timedelta(seconds=30)
        if self._waits_for_effect and ahead.latest is not None and self._is_new(ahead.latest, now):
            self._saw = ahead.latest
            self._task = asyncio.ensure_future(
                self._kept_apart(partial(self._look_for_effects, ahead.as_found(ahead.latest)))
            )
            return now + timedelta(seconds=1)
        acted, every = self._due_ahead(ahead.setup, now)
        wake = self._next(ahead, acted, now)
        if wake is None or wake > now:
            return wake
        fresh = ahead.latest if _is_fresh(ahead.latest, now) else None
        near = next((due for due in every if timedelta() <= due - now < max(AWAY, 2 * ahead.lead)), None)
        if fresh is None and near is not None:
            return near + timedelta(minutes=1)
        self._last, self._wake = now, None
        self._task = asyncio.ensure_future(self._kept_apart(partial(self._round, ahead, fresh, read_whole)))
        return now + timedelta(seconds=1)

    @property
    def is_busy(self) -> bool:
        """Whether a round goes on."""
        return self._task is not None and not self._task.done()

    async def wait(self, seconds: float) -> None:
        """For the round that goes on, so long at most."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)

    async def end(self) -> None:
        """Break off what goes on: what was asked of XO stays in the ledger as asked."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    # --- when

    def _due_ahead(self, setup: Estate, now: datetime) -> tuple[tuple[datetime, ...], tuple[datetime, ...]]:
        """(due times of schedules that guard acts on, of all): from now to a little beyond the look ahead, in order."""
        policy = self._policy_of()
        known = self._dues
        if known is None or known[0] != setup.schedules or not timedelta() <= now - known[1] < timedelta(minutes=5):
            agenda = make_agenda(
                setup,
                after=now,
                until=now + policy.remedies.look_ahead + EVERY,
                local_zone=policy.xo.zone,
                seconds_of=lambda _: None,
            )
            acted = {one.id for one in setup.schedules if rules_of(policy, setup, one).gate == "enforce"}
            known = setup.schedules, now, *_times(agenda, acted)
            self._dues = known
        return tuple(at for at in known[2] if at > now), tuple(at for at in known[3] if at > now)

    def _next(self, ahead: Ahead, acted: Sequence[datetime], now: datetime) -> datetime | None:
        """When the next round is due."""
        policy, moments = self._policy_of().remedies, [] if self._wake is None else [self._wake]
        last = self._last
        is_new = self._is_new(ahead.latest, now)
        if is_new and (last is None or last + RETRY <= now) and any(may_be_helped(run, now) for run in ahead.runs):
            return now
        is_lost = any(one.status != "connected" and reconnects(one) for one in ahead.setup.servers)
        for due in acted:
            begins = due - policy.look_ahead
            if last is None:
                moments.append(begins)
                continue
            # a round looks EVERY further than it has to, so that due times minute by minute do not want one each
            moments.append(begins if last < begins - EVERY else last + EVERY)
            if is_lost and last < due - SOON:  # all else that is done so late is known from the last round
                moments.append(max(due - SOON, last + RETRY))
        if self._waits_for_effect and last is not None:
            moments.append(last + EVERY)
        return max(now, min(moments)) if moments else now + EVERY  # by then more of the day is in view

    def _is_new(self, estate: Estate | None, now: datetime) -> bool:
        """Whether the gate has read XO since."""
        return estate is not self._saw and _is_fresh(estate, now)

    # --- a round

    async def _look_for_effects(self, estate: Estate) -> None:
        """What a reading of the gate's shows of earlier remedies: the next round may come when a run has begun to change it."""
        scene = Scene(estate=estate, now=self._clock(), policy=self._policy_of().remedies, needs=(), dues=())
        past = await self._measure(await self._settled(), scene)
        self._waits_for_effect = any(_is_watched(one, scene.now) for one in past)

    async def _kept_apart(self, work: Callable[[], Awaitable[None]]) -> None:
        """A round. Raises LedgerError only, and not because it takes no writes at the moment: what helps runs to start must
        not keep the gate from its work, and what is not recorded is not done.
        """
        try:
            await work()
        except LedgerUnwritableError as error:
            self.trouble = str(error)
        except LedgerError as error:
            self.trouble = str(error)
            raise
        except Exception as error:  # noqa: BLE001  an odd estate must not end the gate, nor every guard that starts after it
            self.trouble = f"{type(error).__name__}: {error}"

    async def _round(self, ahead: Ahead, fresh: Estate | None, read_whole: Callable[[], Awaitable[Estate]]) -> None:
        policy = self._policy_of()
        past = await self._settled()
        try:
            estate = fresh or await read_whole()
        except (XoError, PolicyError) as error:
            self.trouble, self._wake = str(error), self._clock() + RETRY
            return
        self.trouble, self._saw = "", estate
        found = _with_newer_servers(ahead.as_found(estate), (self._told or ahead).setup)
        scene = await asyncio.to_thread(self._scene, found, ahead, policy, past)
        scene = replace(scene, past=await self._measure(scene.past, scene))
        await self._remind(scene.estate.workaround, scene.past)
        choice = await asyncio.to_thread(wanted, scene)
        past, is_through = await self._do(choice, policy, scene, ahead)
        now = self._clock()
        self._waits_for_effect = any(_is_watched(one, now) for one in past)
        later = [one.at for one in choice if not one.aside and now < one.at <= one.latest]
        self._wake = min(later, default=None) if is_through else now

    def _scene(self, estate: Estate, ahead: Ahead, policy: Policy, past: tuple[Remedy, ...]) -> Scene:
        """Pure, in a thread: of 10,000 VMs it takes seconds."""
        now = self._clock()
        brakes = in_force(ahead.brakes, now)
        within = policy.remedies.look_ahead + EVERY
        plan: Plan = make_plan(estate, policy, now=now, start=now, within=within, situation=Situation(brakes=brakes))
        jobs = estate.job_by_id
        come = [
            (run.key.due, jobs[run.seen.job])
            for run in ahead.runs
            if run.key.due <= now < run.key.due + NEAR and run.seen.job in jobs
        ]
        scene = scene_of(plan, policy, past=past, waiting=waiting(ahead.runs, estate, now), come=come)
        needs = (without_holds(one) for one in scene.needs)
        return replace(
            scene,
            needs=tuple(
                replace(one, enforced=one.enforced and is_free(one, estate, brakes, now))
                for one in needs
                if one is not None
            ),
        )

    async def _do(
        self, choice: Sequence[Wanted], policy: Policy, scene: Scene, ahead: Ahead
    ) -> tuple[tuple[Remedy, ...], bool]:
        """One after the other; a pool in which an earlier scan may go on gets no second one.

        Returns all that was done lately, and whether nothing is left because what it rests on had become too old.
        """
        past = scene.past
        for one in choice:
            now = self._clock()
            if one.aside or not one.at <= now <= one.latest:
                continue
            if one.kind is RemedyKind.RESCAN and any(_may_scan(done, one.pool, now) for done in past):
                continue
            if not timedelta() <= now - scene.now < STALE or self._is_overtaken(policy, ahead):
                return past, False
            past = (*past, await self._doer.do(one, policy.remedies))
        return past, True

    def _is_overtaken(self, policy: Policy, ahead: Ahead) -> bool:
        """Whether a person, the gate or XO's servers say something else than when the round began: it may take many minutes."""
        told = self._told or ahead
        began = (policy, ahead.brakes, ahead.untrusted, _connections(ahead.setup))
        return (self._policy_of(), told.brakes, told.untrusted, _connections(told.setup)) != began

    async def _remind(self, state: State | None, past: Sequence[Remedy]) -> None:
        """Once a week, while a file stands that had to be put back."""
        if state is None or state.own.state != "intact" or not _is_put_back(past):
            return
        now, told = self._clock(), await self._ledger.recall(REMINDED)
        last = msgspec.json.decode(told, type=datetime) if told is not None else state.own.written_at or now
        if now - last >= REMIND_EVERY:
            await self._teller.stands(state, at=now)
            await self._ledger.remember(REMINDED, msgspec.json.encode(now))

    async def _settled(self) -> tuple[Remedy, ...]:
        """What was done lately; what a guard that died left open is settled."""
        past = []
        for one in await self._ledger.remedies(self._clock() - KEPT_IN_VIEW):
            if one.result is Result.OPEN:
                settled = msgspec.structs.replace(given_up(one), ended_at=self._clock())
                await self._ledger.put_remedy(settled)
                past.append(settled)
            else:
                past.append(one)
        return tuple(past)

    async def _measure(self, past: tuple[Remedy, ...], scene: Scene) -> tuple[Remedy, ...]:
        """What became of what was done in the last day."""
        found = []
        for one in past:
            is_told = scene.now - one.at < MEASURED or one.until is not None
            # in a thread: each looks at all disks
            seen = await asyncio.to_thread(seen_again, one, scene) if is_told else one
            if seen != one:
                await self._ledger.put_remedy(seen)
                if seen.effect is not one.effect or seen.effect_at != one.effect_at:
                    await self._teller.remedied(seen)
            found.append(seen)
        return tuple(found)


def _connections(setup: Estate) -> tuple[tuple[str, bool, str], ...]:
    return tuple((one.id, one.enabled, one.status) for one in setup.servers)


def _with_newer_servers(estate: Estate, setup: Estate) -> Estate:
    """A look of the gate may be newer than the whole reading: a person may have switched a server off since."""
    seen, newer = estate.parts[PartName.SERVERS], setup.parts[PartName.SERVERS]
    if newer.read_at <= seen.read_at or _connections(estate) == _connections(setup):
        return estate
    return replace(estate, servers=setup.servers, parts={**estate.parts, PartName.SERVERS: newer})


def _is_put_back(past: Sequence[Remedy]) -> bool:
    """Whether guard's file in XO's configuration was written, taken back, and written again."""
    kinds = [one.kind for one in past if one.result is Result.DONE]
    back = RemedyKind.TIMEOUT_FILE_BACK
    return back in kinds and RemedyKind.TIMEOUT_FILE in kinds[kinds.index(back) :]


def _times(agenda: Agenda, acted: set[str]) -> tuple[tuple[datetime, ...], tuple[datetime, ...]]:
    ours = {due.at for due in agenda.dues if (due.via or due.schedule_id) in acted}
    return tuple(sorted(ours)), tuple(sorted({due.at for due in agenda.dues}))


def _is_fresh(estate: Estate | None, now: datetime) -> bool:
    return estate is not None and timedelta() <= now - estate.taken_at < FRESH


def _is_watched(remedy: Remedy, now: datetime) -> bool:
    """Whether its effect is still to come, and shows in XO by itself."""
    is_over = remedy.effect is Effect.NOTHING or remedy.effect_at is not None
    return remedy.kind in _SHOWS and not is_over and timedelta() <= now - remedy.at < GIVEN_UP


def _may_scan(done: Remedy, pool: str, now: datetime) -> bool:
    is_open = done.result in (Result.OPEN, Result.UNKNOWN)
    return done.kind is RemedyKind.RESCAN and done.pool == pool and is_open and now - done.at < LONGEST_SCAN
