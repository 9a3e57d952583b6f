"""The vocabulary of a verdict: codes, levels, facts and findings. Data only.

One code space serves both what is predicted before a run and what is recognised in its log afterwards
(otherwise predictions could not be scored).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How a finding counts. ``unknown`` is neither good nor bad: the policy says what it does."""

    OK = "ok"
    WARN = "warn"
    BLOCK = "block"
    UNKNOWN = "unknown"


class Certainty(StrEnum):
    """How sure a prediction is: it follows from XO's or SM's own rule, from figures, or from a tendency."""

    CERTAIN = "certain"
    LIKELY = "likely"
    TREND = "trend"


class Harm(StrEnum):
    """What starting anyway would damage. ``none``: XO would merely skip or fail that VM."""

    NONE = "none"
    PRODUCTION = "production"
    REPOSITORY = "repository"


class ClearedBy(StrEnum):
    """What makes a finding go away."""

    TIME = "time"
    REMEDY = "remedy"
    PERSON = "person"


class ScopeKind(StrEnum):
    """The kinds of things a finding can be about, in XO's and XAPI's words."""

    VM = "vm"
    VDI = "vdi"
    SR = "sr"
    REPOSITORY = "repository"
    JOB = "job"
    SCHEDULE = "schedule"
    POOL = "pool"
    HOST = "host"
    SERVER = "server"
    PROXY = "proxy"
    XO = "xo"


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """One failure mode, owned by exactly one module.

    ``id`` names a state, not a likelihood. ``page_section`` is the heading in XO's backup troubleshooting page, or ''.
    ``certainty``, ``harm`` and ``clears``: what a prediction of it may have, empty where no check predicts it.
    """

    id: str
    title: str
    why: str
    do: str
    page_section: str = ""
    certainty: tuple[Certainty, ...] = ()
    harm: tuple[Harm, ...] = (Harm.NONE,)
    clears: tuple[ClearedBy, ...] = ()


class Scope(msgspec.Struct, frozen=True, order=True):
    """What a finding is about."""

    kind: ScopeKind
    id: str
    name: str


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One figure with its unit and source. ``observed_at`` is None where XO does not stamp it."""

    name: str
    value: int | float | str | bool | None
    unit: str
    source: str
    observed_at: datetime | None


class Clears(msgspec.Struct, frozen=True):
    """What clears a finding, and when that is expected (None: cannot be told)."""

    by: ClearedBy
    eta: datetime | None = None


class Accepted(msgspec.Struct, frozen=True):
    """A person's word that something is known ([[accept]] of the policy). ``shown``: its end as it was written."""

    until: datetime
    shown: str
    reason: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a check has to say about one due run.

    ``holds`` lists the ids of the VMs that must wait; empty means the whole run. Only levels block and unknown hold.
    ``accepted``: it holds what it held, and is told to nobody.
    """

    code: str
    check: str
    level: Level
    certainty: Certainty
    harm: Harm
    scope: Scope
    holds: tuple[str, ...] = ()
    summary: str
    facts: tuple[Fact, ...] = ()
    remedy: str
    clears: Clears
    accepted: Accepted | None = None
