"""What guard did by itself so that runs can start, as the ledger keeps it. Data only; guard/remedies/ does it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from guard.finding import Fact, Scope


class RemedyKind(StrEnum):
    """``rescan``: sr.scan; ``reconnect``: server.enable; ``plug``: pbd.connect; ``probe``: remote.test of a backup
    repository; ``timeout_file``: httpInactivityTimeout in XO's configuration; ``timeout_file_back``: taken out of it again.
    """

    RESCAN = "rescan"
    RECONNECT = "reconnect"
    PLUG = "plug"
    PROBE = "probe"
    TIMEOUT_FILE = "timeout_file"
    TIMEOUT_FILE_BACK = "timeout_file_back"


class Result(StrEnum):
    """What came of asking. ``open``: asked, not answered yet; ``unknown``: the answer was lost, or guard died meanwhile."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Effect(StrEnum):
    """Whether it helped, as far as guard saw it. ``pending``: not seen yet."""

    PENDING = "pending"
    HELPED = "helped"
    NOTHING = "nothing"


class ForRun(msgspec.Struct, frozen=True, kw_only=True):
    """A due run it was done for."""

    schedule: str
    name: str
    due: datetime


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """One remedy, begun ``at``. ``before`` and ``after``: what guard saw of its object before it, and last.

    ``pool``: id of the pool it is in, '' for none. ``text``: what XO said, or what was done, as a sentence. ``effect_at``: when
    ``effect`` was seen. ``expected_at``: when it should have helped by what was learned before. ``until``: when it is to be
    taken back, of what stands.
    """

    kind: RemedyKind
    scope: Scope
    at: datetime
    reason: str
    runs: tuple[ForRun, ...] = ()
    pool: str = ""
    before: tuple[Fact, ...] = ()
    after: tuple[Fact, ...] = ()
    result: Result = Result.OPEN
    ended_at: datetime | None = None
    text: str = ""
    effect: Effect = Effect.PENDING
    effect_at: datetime | None = None
    expected_at: datetime | None = None
    until: datetime | None = None

    @property
    def key(self) -> tuple[datetime, str, str]:
        """What no two remedies share."""
        return self.at, self.kind.value, self.scope.id


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A remedy that would help a due run. ``at``: when guard does it, as things stand, never after ``latest``.

    ``aside``: why guard does not do it, '' where it does. ``steps``: what a person does instead, one line each.
    ``until``: when it is to be taken back.
    """

    kind: RemedyKind
    scope: Scope
    at: datetime
    latest: datetime
    reason: str
    runs: tuple[ForRun, ...]
    pool: str = ""
    before: tuple[Fact, ...] = ()
    expected_at: datetime | None = None
    until: datetime | None = None
    aside: str = ""
    steps: tuple[str, ...] = ()
