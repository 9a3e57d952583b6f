"""Which due runs of one job meet a run of that job which still goes on: XO refuses them (failure-modes.md 3.14).

A refused run does not go on itself, so what comes after it meets the earlier one or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from guard.mechanics.due import DueTime
from guard.mechanics.history import Quantiles

STUCK_AFTER = timedelta(hours=24)


class Due(Protocol):
    """What is asked of a due run."""

    @property
    def due(self) -> DueTime: ...
    @property
    def seconds(self) -> Quantiles: ...
    @property
    def ends(self) -> datetime | None: ...


@dataclass(frozen=True)
class RunningNow:
    """A run that goes on now. ``ends`` by the P90 of its schedule's ``samples`` runs; None: it takes longer than usual.

    ``schedule``: the id of its schedule, '' where its log was not read. ``moved``: when a task of it last began or ended.
    ``longest``: what such a run takes by the P95 of its past, None without one.
    """

    since: datetime | None
    ends: datetime | None
    samples: int
    schedule: str = ""
    moved: datetime | None = None
    longest: timedelta | None = None

    def ends_by(self, min_samples: int) -> datetime | None:
        """When it ends, where at least so many past runs tell."""
        return self.ends if self.samples >= min_samples else None

    def is_stuck(self, now: datetime) -> bool:
        """Whether it lasts longer than a day and three times its past, and no task of it moved for a day (3.14 c).

        One large transfer that shows nothing meanwhile looks the same, but hardly takes a day.
        """
        if self.since is None or self.moved is None:
            return False
        limit = max(STUCK_AFTER, 3 * self.longest) if self.longest is not None else STUCK_AFTER
        return now - self.since > limit and now - self.moved > STUCK_AFTER


def collisions(runs: Iterable[Due], running: RunningNow | None, min_samples: int) -> Mapping[DueTime, Due | None]:
    """Due time -> the due run it would meet, None for the run that goes on now; the others meet nothing.

    ``runs``: those of one job, by due time. A run's end is told by at least ``min_samples`` past runs; one without is
    over by the next due minute. Members of one sequence never meet: XO starts each when the one before it has ended.
    """
    found: dict[DueTime, Due | None] = {}
    busy_until = running.ends_by(min_samples) if running is not None else None
    occupant: Due | None = None
    for run in runs:
        due = run.due
        if occupant is not None and _same_minute(occupant.due, due):
            found[due] = occupant
            continue
        if busy_until is not None and due.at < busy_until and not _one_sequence(occupant, due):
            found[due] = occupant
            continue
        occupant = run
        busy_until = run.ends if run.seconds.samples >= min_samples else None
    return found


def _same_minute(earlier: DueTime, later: DueTime) -> bool:
    return earlier.at == later.at and not (
        earlier.via and (earlier.via, earlier.sequence_at) == (later.via, later.sequence_at)
    )


def _one_sequence(occupant: Due | None, due: DueTime) -> bool:
    return (
        occupant is not None
        and bool(due.via)
        and (occupant.due.via, occupant.due.sequence_at) == (due.via, due.sequence_at)
    )
