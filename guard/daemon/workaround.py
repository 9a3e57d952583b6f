"""XO's estate with what stands in XO's configuration folder, where the policy says that guard runs on XO's machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from guard.estate.estate import Estate, Part, PartName
from guard.policy.remedies_schema import RemediesSection
from guard.remedies.workaround import Workaround


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
