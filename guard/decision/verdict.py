"""What follows from the findings of one due run. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from guard.finding import Finding, Harm


class Action(StrEnum):
    """The five verdicts. ``skip``: another run covers this due time; ``refuse``: starting would do harm."""

    START = "start"
    START_SOME = "start_some"
    DEFER = "defer"
    REFUSE = "refuse"
    SKIP = "skip"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One VM that must wait, why, and until when at most (None: it is refused, nothing waits).

    ``harm``: the worst that starting it as it is would do. Unknown facts count as none.
    """

    vm: str
    name: str
    codes: tuple[str, ...]
    deadline: datetime | None
    harm: Harm = Harm.NONE


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """``sentence`` is the reason in one sentence; ``clears`` what would clear it and when, '' for a whole start.

    ``deadline``: of the run as a whole; ``harm``: the worst that starting it as it is would do. ``settings``: what of the
    job's settings shall be different in this run alone, by id or '' (xo-api.md 5.1).
    """

    action: Action
    sentence: str
    clears: str
    start_vms: tuple[str, ...]
    held: tuple[Held, ...]
    findings: tuple[Finding, ...]
    unknown: bool
    deadline: datetime | None = None
    harm: Harm = Harm.NONE
    settings: Mapping[str, Mapping[str, int | bool]] = {}
