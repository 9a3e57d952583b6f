"""What happened to a due run, as append-only events. They are kept for months: a field may be added, none may change.

Times are UTC. An event holds what a person needs to understand it a month later, names included.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from guard.decision.verdict import Verdict
from guard.outcomes.outcome import Outcome

BY_HAND = "by hand"  # in the key of a run that no due time explains, in place of a sequence


class RunKey(msgspec.Struct, frozen=True, order=True):
    """One due time of one schedule. ``due``: its nominal time, of a sequence's member that of the sequence.

    ``via``: the id of the sequence's schedule, '' where the schedule fires by itself; ``BY_HAND``: ``due`` is then when
    the run began.
    """

    schedule: str
    due: datetime
    via: str = ""


class End(StrEnum):
    """The final state; each due time has exactly one. ``missed``: nobody started it. ``observed``: a run was seen."""

    OBSERVED = "observed"
    MISSED = "missed"


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Base of all events. ``at``: when guard wrote it."""

    at: datetime


class Seen(Event, frozen=True, kw_only=True, tag="seen"):
    """A due time was entered. ``expected_at``: when XO should start it; ``starts``: every start XO makes for it.

    ``late``: it was entered after it was due, so there is no prediction.
    """

    job: str
    job_name: str
    schedule_name: str
    cron: str
    zone: str
    expected_at: datetime
    starts: tuple[datetime, ...]
    late: bool = False


class Decided(Event, frozen=True, kw_only=True, tag="decided"):
    """The prediction, made on facts of ``facts_at``. ``vms``: what the job took then."""

    facts_at: datetime
    vms: tuple[str, ...]
    verdict: Verdict


class Started(Event, frozen=True, kw_only=True, tag="started"):
    """XO shows a run of this due time. ``run``: the id of its log; ``began``: when XO started it."""

    run: str
    began: datetime


class Alarmed(Event, frozen=True, kw_only=True, tag="alarmed"):
    """Something a person should know of before the run is over: a code of ``outcomes.codes`` and a sentence."""

    code: str
    text: str


class AttemptEnded(Event, frozen=True, kw_only=True, tag="attempt_ended"):
    """A run of this due time is over, and how."""

    run: str
    outcome: Outcome


class Ended(Event, frozen=True, kw_only=True, tag="ended"):
    """The due time is done with. ``code``: why, for a missed one; ``reason``: the same as a sentence."""

    end: End
    code: str = ""
    reason: str = ""


AnyEvent = Seen | Decided | Started | Alarmed | AttemptEnded | Ended
