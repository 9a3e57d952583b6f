"""XO's estate with what stands in XO's configuration folder, where the policy says that guard runs on XO's machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, tzinfo

from guard.estate.estate import Estate, Part, PartName
from guard.estate.workaround import Done, State
from guard.finding import Scope, ScopeKind
from guard.lifecycle.remedy import Effect, Remedy, RemedyKind, Result, Wanted
from guard.policy.remedies_schema import RemediesSection
from guard.policy.schema import Policy
from guard.remedies.doing import Doer
from guard.remedies.workaround import Workaround
from guard.units import whole_ms
from guard.views.remedies import standing_lines


def timeout_file(remedies: RemediesSection, clock: Callable[[], datetime], by: str) -> Workaround | None:
    """guard's file there; None where the policy names no folder."""
    return None if remedies.xo_config is None else Workaround(remedies, clock=clock, by=by)


async def with_workaround(estate: Estate, remedies: RemediesSection, clock: Callable[[], datetime]) -> Estate:
    """The estate, with the part WORKAROUND where the policy names the folder. Raises nothing."""
    file = timeout_file(remedies, clock, "guard")
    if file is None:
        return estate
    state = await file.look()
    part = Part(
        name=PartName.WORKAROUND,
        source=str(state.folder),
        read_at=state.looked_at,
        ok=not state.problem,
        error=state.problem,
    )
    return replace(estate, workaround=state, parts={**estate.parts, part.name: part})


async def workaround_lines(policy: Policy, zone: tzinfo, clock: Callable[[], datetime]) -> list[str]:
    """What a person is told again and again while the file stands; () where it does not."""
    file = timeout_file(policy.remedies, clock, "guard")
    return [] if file is None else standing_lines(await file.look(), zone)


async def take_back(policy: Policy, doer: Doer, clock: Callable[[], datetime]) -> Remedy | None:
    """What guard left standing there is taken out, because a person said so; None where there is nothing. Raises LedgerError."""
    file = timeout_file(policy.remedies, clock, "guard")
    if file is None or (await file.look()).own.state == "absent":
        return None
    now = clock()
    wanted = Wanted(
        kind=RemedyKind.TIMEOUT_FILE_BACK,
        scope=Scope(ScopeKind.XO, "xo", "XO's configuration"),
        at=now,
        latest=now,
        reason="guard release --all",
        runs=(),
    )
    return await doer.do(wanted, policy.remedies)


def by_hand(
    kind: RemedyKind, done: Done, now: datetime, *, reason: str, until: datetime | None = None
) -> Remedy | None:
    """What a person did there, as the ledger keeps it; None where nothing was changed."""
    if done.plan.action == "nothing":
        return None
    is_back = done.plan.action == "remove"
    return Remedy(
        kind=RemedyKind.TIMEOUT_FILE_BACK if is_back else kind,
        scope=Scope(ScopeKind.XO, "xo", "XO's configuration"),
        at=whole_ms(now),
        reason=reason,
        result=Result.DONE,
        ended_at=now,
        text=f"By hand: {done.sentence}",
        effect=Effect.HELPED if is_back else Effect.PENDING,
        until=None if is_back else until,
    )


def standing_text(state: State) -> str:
    """What guard release would undo there, '' for nothing."""
    if state.problem:
        return f"Whether guard's httpInactivityTimeout file stands is not known: {state.problem}."
    if state.own.state == "absent":
        return ""
    return f"In {state.folder}: guard's httpInactivityTimeout file. Undo: guard workaround revert."
