"""Deciding on due runs: one reading of XO and one plan for all that are due soon, or wait and are looked at again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from guard.assess import Situation, look_again, make_plan, rules_of
from guard.decision.verdict import Action, Verdict
from guard.errors import PolicyError, XoError
from guard.estate.estate import Estate
from guard.gate.actor import Actor, Stage, as_without_guard
from guard.gate.aside import why_never
from guard.gate.hands import Append
from guard.gate.look import Looker
from guard.lifecycle.cause_gone import without_standing_causes
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import Decided, RunKey
from guard.lifecycle.resolution import out_of
from guard.lifecycle.standby import GAP
from guard.mechanics.due import DueTime, next_storm
from guard.policy.resolve import Effective, effective
from guard.policy.schema import Policy

MINUTE = timedelta(minutes=1)


class Predictor:
    """``trouble``: why the last decision could not be made, '' when it could."""

    def __init__(
        self,
        looker: Looker,
        actor: Actor,
        append: Append,
        *,
        clock: Callable[[], datetime],
        policy_of: Callable[[], Policy],
    ) -> None:
        self._looker, self._actor, self._append = looker, actor, append
        self._clock, self._policy_of = clock, policy_of
        self.trouble = ""

    async def decide(self, runs: Sequence[DueRun], stage: Stage | None) -> dict[RunKey, DueRun]:
        """The runs with their decisions recorded. What cannot be read is tried again at the next look."""
        asked_at = self._clock()
        try:
            estate = await self._looker.read_whole()
        except (XoError, PolicyError) as error:
            self.trouble = str(error)
            return {}
        self.trouble = ""
        now = self._clock()
        estate = as_without_guard(estate, runs)
        situation = Situation(brakes=stage.brakes if stage is not None else ())
        decided: list[DueRun | None] = []
        ahead = [run for run in runs if run.key.due > asked_at]
        past = [run for run in runs if run.key.due <= asked_at]
        if ahead:
            decided += await self._plan(ahead, estate, now, situation, stage)
        if past:
            found = await asyncio.to_thread(
                look_again,
                estate,
                self._policy_of(),
                [(due_of(run), out_of(run)) for run in past],
                now=now,
                situation=situation,
            )
            for run, one in zip(past, found, strict=True):
                if one is not None:
                    vms, verdict = one
                    verdict = without_standing_causes(verdict, run, estate)
                    decided.append(await self._record(run, estate, vms, verdict, stage))
        return {run.key: run for run in decided if run is not None}

    async def _plan(
        self, runs: Sequence[DueRun], estate: Estate, now: datetime, situation: Situation, stage: Stage | None
    ) -> list[DueRun | None]:
        start = min(run.key.due for run in runs) - MINUTE
        until = max(self._latest(run, runs) for run in runs) + MINUTE
        plan = await asyncio.to_thread(
            make_plan, estate, self._policy_of(), now=now, start=start, within=until - start, situation=situation
        )
        planned = {
            (one.run.schedule.id, one.run.due.sequence_at or one.run.due.at, one.run.due.via): one for one in plan.runs
        }
        decided: list[DueRun | None] = []
        for run in runs:
            found = planned.get((run.key.schedule, run.key.due, run.key.via))
            if found is not None and self._clock() < run.key.due:
                decided.append(await self._record(run, estate, found.run.selection.ids, found.verdict, stage))
        return decided

    def _latest(self, run: DueRun, runs: Sequence[DueRun]) -> datetime:
        """When it should begin at the latest: of a sequence's member by how long the others take now, not when it was
        entered.
        """
        together = [one for one in runs if run.key.via and (one.key.via, one.key.due) == (run.key.via, run.key.due)]
        seconds = sum(self._looker.usual_seconds(one.key.schedule) or 0 for one in together)
        return max(run.seen.expected_at, run.key.due + timedelta(seconds=seconds))

    async def _record(
        self, run: DueRun, estate: Estate, vms: tuple[str, ...], verdict: Verdict, stage: Stage | None
    ) -> DueRun | None:
        aside, acts = "", False
        if stage is not None:
            self._actor.decided(run, stage)
            acts = self._actor.enforces(run, stage.setup)
            is_whole = verdict.action is Action.START and not verdict.settings
            if acts and run.claim is None and run.follow_up is None:
                try:
                    # XO starts a whole run by itself: what holds for tonight alone changes nothing there
                    aside = (
                        why_never(run, stage.setup, stage.agenda) if is_whole else await self._actor.aside(run, stage)
                    )
                except XoError as error:
                    self.trouble = str(error)
                    return None
        decided = Decided(
            at=self._clock(),
            facts_at=estate.taken_at,
            vms=vms,
            verdict=verdict,
            aside=aside,
            acts=acts and not aside,
        )
        return await self._append(run, decided)


def rules_for(policy: Policy, setup: Estate, run: DueRun) -> Effective:
    """The policy's word on a due run; of a schedule that is gone, by what its story holds of it."""
    schedule = setup.schedule_by_id.get(run.key.schedule)
    if schedule is not None:
        return rules_of(policy, setup, schedule)
    return rules_as_told(policy, run)


def rules_as_told(policy: Policy, run: DueRun) -> Effective:
    """All that the policy says of a due run's schedule by its story alone: entries that match by VM tags are left out."""
    return effective(
        policy,
        schedule_id=run.key.schedule,
        schedule_name=run.seen.schedule_name,
        job_name=run.seen.job_name,
        tags=frozenset(),
    )


def due_of(run: DueRun) -> DueTime:
    """The due time of a story that was entered already."""
    return DueTime(
        schedule_id=run.key.schedule,
        job_id=run.seen.job,
        at=run.seen.expected_at,
        starts=run.seen.starts,
        cron=run.seen.cron,
        zone=run.seen.zone,
        via=run.key.via,
        sequence_at=run.key.due if run.key.via else None,
        storm=next_storm(run.seen.cron, run.seen.zone, run.key.due, run.key.due + GAP),
    )
