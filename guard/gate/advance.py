"""Every open due run as far as it goes at one look; what is claimed keeps its second while others are judged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

from guard.agenda import Agenda
from guard.errors import PolicyError, XoError
from guard.estate.estate import Estate
from guard.gate.actor import Actor, Stage, as_without_guard
from guard.gate.hands import Append
from guard.gate.in_sequence import OpenSequences
from guard.gate.look import LOOK_EVERY, Look, Looker
from guard.gate.match import belongs, fires, log_seen, sequence_runs, with_siblings
from guard.gate.meanwhile import meanwhile
from guard.gate.predict import Predictor
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import BY_HAND, RunKey
from guard.lifecycle.next_step import ENOUGH_SAMPLES, Evaluate, Observed, Record, Wait, next_step
from guard.policy.schema import Policy

AT_ONCE = 32  # due runs that talk to XO at the same time
ROUNDS = 3  # what is decided in one look is acted on in the same one
Near = tuple[DueRun, Sequence[DueRun]]
"""A due run with all of its schedule."""


class Story(Protocol):
    """Reads one due run of the ledger. Raises LedgerError."""

    def __call__(self, key: RunKey) -> Awaitable[DueRun]: ...


class StageOf(Protocol):
    """What the actor sees of a look; None where nothing is to be acted on. Raises LedgerError."""

    def __call__(self, look: Look, agenda: Agenda, runs: Sequence[DueRun]) -> Awaitable[Stage | None]: ...


class Advance:
    """``done``: ids of runs whose end is recorded."""

    def __init__(
        self,
        looker: Looker,
        predictor: Predictor,
        actor: Actor,
        sequences: OpenSequences,
        append: Append,
        load: Story,
        stage_of: StageOf,
        *,
        clock: Callable[[], datetime],
        policy_of: Callable[[], Policy],
        done: Callable[[], Collection[str]],
    ) -> None:
        self._looker, self._predictor, self._actor, self._sequences = looker, predictor, actor, sequences
        self._append, self._load, self._stage_of = append, load, stage_of
        self._clock, self._policy_of, self._done = clock, policy_of, done

    async def all(
        self,
        runs: Sequence[DueRun],
        look: Look | None,
        setup: Estate | None,
        stage: Stage | None,
        agenda: Agenda | None,
    ) -> list[datetime]:
        """Every open due run as far as it goes; when each wants to be looked at again.

        What is evaluated is gone on with at once: a claim has to stand before the due time. That reads XO whole, which may
        take long: what is claimed has its turns meanwhile.
        """
        wakes: list[datetime] = []
        claimed: dict[RunKey, datetime] = {}
        again: list[Near] = list(with_siblings(runs))
        for _ in range(ROUNDS):
            taken = await self._turns(again, look, setup, stage)
            waits = {run.key: step.until for run, _, step in taken if isinstance(step, Wait)}
            wakes += waits.values()
            claimed |= {run.key: waits[run.key] for run, _, _ in taken if run.key in waits and run.has_claim}
            waiting = [(run, near) for run, near, step in taken if isinstance(step, Evaluate)]
            if not waiting or look is None or agenda is None:
                break
            decided = await meanwhile(
                self._predictor.decide([run for run, _ in waiting], stage),
                partial(self._keep, claimed, agenda),
                min(claimed.values(), default=None),
                self._clock,
            )
            again = [(decided[run.key], near) for run, near in waiting if run.key in decided]
            again += [(own, ()) for own in self._sequences.above([run for run, _ in again])]
            if not again:
                break
        return wakes

    async def first_reading(self, runs: Sequence[DueRun]) -> str:
        """Read XO whole for the first time, while what is claimed has its turns. Why it could not be read, '' when it was."""
        now = self._clock()
        claimed = {run.key: now for run in runs if run.has_claim}
        keep = partial(self._keep, claimed, Agenda((), (), ()))
        try:
            await meanwhile(self._looker.read_whole(), keep, now if claimed else None, self._clock)
        except (XoError, PolicyError) as error:  # the latter: the token's file, read anew for each look
            return str(error)
        return ""

    async def _keep(self, claimed: dict[RunKey, datetime], agenda: Agenda) -> datetime | None:
        """Look anew for the claimed runs alone, and bring them as far as they go; when they want to be looked at again."""
        runs = [run for key in claimed if (run := await self._load(key)).has_claim and run.ended is None]
        claimed.clear()
        if not runs:
            return None
        look, _ = await self._looker.look(runs, None, self._done())
        if look is None:
            claimed |= {run.key: self._clock() + LOOK_EVERY for run in runs}
        else:
            setup = as_without_guard(look.setup, runs)
            stage = await self._stage_of(look, agenda, runs)
            taken = await self._turns(list(with_siblings(runs)), look, setup, stage)
            claimed |= {run.key: step.until for run, _, step in taken if isinstance(step, Wait) and run.has_claim}
        return min(claimed.values(), default=None)

    async def _turns(
        self, runs: Sequence[Near], look: Look | None, setup: Estate | None, stage: Stage | None
    ) -> list[tuple[DueRun, Sequence[DueRun], Wait | Evaluate | None]]:
        """A turn for each. Raises what any of them raised, but only after all are over: none goes on into the next look."""
        slots = asyncio.Semaphore(AT_ONCE)
        turns = [self._in_turn(slots, run, near, look, setup, stage) for run, near in runs]
        taken = await asyncio.gather(*turns, return_exceptions=True)
        failed = [one for one in taken if isinstance(one, BaseException)]
        if failed:
            raise failed[0]
        return [one for one in taken if not isinstance(one, BaseException)]

    async def _in_turn(
        self,
        slots: asyncio.Semaphore,
        run: DueRun,
        near: Sequence[DueRun],
        look: Look | None,
        setup: Estate | None,
        stage: Stage | None,
    ) -> tuple[DueRun, Sequence[DueRun], Wait | Evaluate | None]:
        """Two hundred runs of one minute wait for XO's answers together, not one after another."""
        async with slots:
            advanced, step = await self._advance(run, near, look, setup, stage)
        return advanced, near, step

    async def _advance(
        self, run: DueRun, open_runs: Sequence[DueRun], look: Look | None, setup: Estate | None, stage: Stage | None
    ) -> tuple[DueRun, Wait | Evaluate | None]:
        """Record and do all there is to do; the step that remains, None when the story has ended or somebody else wrote."""
        seen = self._observe(run, open_runs, look, setup)
        if run.key.via != BY_HAND:
            if stage is not None and self._actor.enforces(run, stage.setup):
                return await self._actor.act(run, seen, stage, self._looker.lead)
            if stage is None and (run.claim is not None or run.intents or self._policy_of().may_act):
                return run, Wait(seen.now + LOOK_EVERY)
        while isinstance(step := next_step(run, seen, lead=self._looker.lead, look_every=LOOK_EVERY), Record):
            advanced = await self._append(run, *step.events)
            if advanced is None or advanced.ended is not None:
                return run, None
            run = advanced
        return run, step

    def _observe(self, run: DueRun, open_runs: Sequence[DueRun], look: Look | None, setup: Estate | None) -> Observed:
        now = self._clock()
        if look is None or setup is None:
            return Observed(now=now, logs_at=None, fires=None)
        outage = self._looker.outage
        samples = sorted((self._looker.usual or {}).get(run.key.schedule, ()))
        usual = samples[-(-len(samples) * 95 // 100) - 1] if len(samples) >= ENOUGH_SAMPLES else None
        return Observed(
            now=now,
            logs_at=look.known_until(run.key),
            logs=tuple(log_seen(log) for log in look.logs_of.get(run.key.schedule, ()) if belongs(run, log, open_runs)),
            fires=fires(run, setup),
            sequence_runs=sequence_runs(run, setup),
            usual_s=usual,
            unread=outage is not None and outage[0] <= run.seen.expected_at <= outage[1],
        )
