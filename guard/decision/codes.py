"""Every code of guard: those of checks and logs, and those of the policy's own findings."""

from __future__ import annotations

from collections.abc import Mapping

from guard.decision.brakes import ON_HOLD
from guard.decision.limits import NO_SLOT
from guard.decision.windows import OUTSIDE_WINDOW
from guard.finding import Code
from guard.outcomes.codes import ALL_CODES

POLICY_CODES: tuple[Code, ...] = (ON_HOLD, OUTSIDE_WINDOW, NO_SLOT)

EVERY_CODE: Mapping[str, Code] = {**ALL_CODES, **{code.id: code for code in POLICY_CODES}}
