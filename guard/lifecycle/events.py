"""What happened to a due run, as append-only events. They are kept for months: a field may be added, none may change.

Times are UTC. An event holds what a person needs to understand it a month later, names included.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from guard.decision.verdict import Held, Verdict
from guard.estate.xo_records import Schedule
from guard.outcomes.outcome import Outcome

BY_HAND = "by hand"  # in the key of a run that no due time explains, in place of a sequence


class RunKey(msgspec.Struct, frozen=True, order=True):
    """One due time of one schedule. ``due``: its nominal time, of a sequence's member that of the sequence.

    ``via``: the id of the sequence's schedule, '' where the schedule fires by itself; ``BY_HAND``: ``due`` is then when
    the run began, or when guard start was asked for it.
    """

    schedule: str
    due: datetime
    via: str = ""


class End(StrEnum):
    """The final state; each due time has exactly one.

    ``ran``: guard started all of it, ``ran_in_part``: some VMs. ``left_to_xo``: XO started it, its fallback included.
    ``refused``: starting would have done harm, or a person holds it. ``expired``: the deadline passed and no start was
    possible. ``covered``: another run covers it. ``missed``: nobody started it, or a doubtful start was left at that by
    policy. ``observed``: in observe mode, a run was seen.
    """

    RAN = "ran"
    RAN_IN_PART = "ran_in_part"
    LEFT_TO_XO = "left_to_xo"
    REFUSED = "refused"
    EXPIRED = "expired"
    COVERED = "covered"
    MISSED = "missed"
    OBSERVED = "observed"


class Starter(StrEnum):
    """Who started a run: XO by itself (or a person), guard, or XO's fallback for a guard that was gone."""

    XO = "xo"
    GUARD = "guard"
    FALLBACK = "fallback"


class ReleasedHow(StrEnum):
    """How a claim ended.

    ``enabled``: guard enabled the schedule again. ``by_others``: it was enabled already. ``touched``: somebody changed it
    while it was off, so guard leaves it off. ``gone``: it was deleted. ``never``: it was never disabled.
    """

    ENABLED = "enabled"
    BY_OTHERS = "by_others"
    TOUCHED = "touched"
    GONE = "gone"
    NEVER = "never"


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Base of all events. ``at``: when guard wrote it."""

    at: datetime


class Seen(Event, frozen=True, kw_only=True, tag="seen"):
    """A due time was entered. ``expected_at``: when XO should start it; ``starts``: every start XO makes for it.

    ``late``: it was entered after it was due, so there is no prediction. ``members``: the ids of the schedules, in order,
    where this is the story of a sequence itself; each of them has its own.
    """

    job: str
    job_name: str
    schedule_name: str
    cron: str
    zone: str
    expected_at: datetime
    starts: tuple[datetime, ...]
    late: bool = False
    members: tuple[str, ...] = ()


class Decided(Event, frozen=True, kw_only=True, tag="decided"):
    """The prediction, made on facts of ``facts_at``. ``vms``: what the job took then.

    ``acts``: guard acts on it; ``aside``: why it does not although the policy says so.
    """

    facts_at: datetime
    vms: tuple[str, ...]
    verdict: Verdict
    aside: str = ""
    acts: bool = False


class Claiming(Event, frozen=True, kw_only=True, tag="claiming"):
    """The intent to take the schedule from XO. ``found``: its record; ``start_at``: the minute of the starting fallback.

    ``release_at``: the minutes of the one that enables it. ``reason``: why XO shall not start it by itself.
    """

    found: Schedule
    start_at: datetime
    release_at: tuple[datetime, ...]
    reason: str = ""


class SwitchingOff(Event, frozen=True, kw_only=True, tag="switching_off"):
    """The intent to switch the schedule off: both fallbacks stand. One that is off before this, somebody else switched off."""


class Claimed(Event, frozen=True, kw_only=True, tag="claimed"):
    """Both fallbacks stand and the schedule is off. ``held``: its record as read back."""

    held: Schedule


class Standby(Event, frozen=True, kw_only=True, tag="standby"):
    """The intent to have XO's fallback start the schedule at another minute; it is put after this was written."""

    start_at: datetime


class Starting(Event, frozen=True, kw_only=True, tag="starting"):
    """The intent to have XO start it. ``attempt`` counts from 1; ``vms`` None: all the job takes.

    ``known``: the runs of the job that XO showed before: any other one since is this attempt's. ``along``: the ids of the
    schedules that XO goes on with in the same call, of a sequence's members. ``settings``: what of the job's settings is
    different in this run, by id or '' (xo-api.md 5.1).
    """

    attempt: int
    vms: tuple[str, ...] | None
    known: tuple[str, ...]
    reason: str = ""
    along: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, int | bool]] = {}


class Doubted(Event, frozen=True, kw_only=True, tag="doubted"):
    """XO's answer to a start was lost: it may have started, or not."""

    attempt: int
    error: str


class NotStarted(Event, frozen=True, kw_only=True, tag="not_started"):
    """An attempt that came to nothing. ``sure``: XO did not start it; else the policy says to take it so."""

    attempt: int
    error: str
    sure: bool = True


class GaveUp(Event, frozen=True, kw_only=True, tag="gave_up"):
    """VMs that will not be started for this due time; ``whole``: none will. ``end``: what becomes of them."""

    vms: tuple[Held, ...]
    whole: bool
    end: End
    code: str = ""
    reason: str = ""


class FollowingUp(Event, frozen=True, kw_only=True, tag="following_up"):
    """The intent to start VMs once more whose runs are over, as soon as what failed them is gone; once per due time.

    ``vms``: each with the codes that failed it, and until when it waits. ``reason``: the same as a sentence.
    """

    vms: tuple[Held, ...]
    reason: str = ""


class Releasing(Event, frozen=True, kw_only=True, tag="releasing"):
    """The intent to give the schedule back to XO."""


class Released(Event, frozen=True, kw_only=True, tag="released"):
    """The claim is over, and no fallback of it that enables the schedule is left."""

    how: ReleasedHow
    reason: str = ""


class Started(Event, frozen=True, kw_only=True, tag="started"):
    """XO shows a run of this due time. ``run``: the id of its log; ``began``: when XO started it.

    ``attempt``: the number of guard's own attempt, 0 for a run that guard did not start. ``vms``: of such a run the ids of
    its VMs, where a person chose some of those that are due; None for all.
    """

    run: str
    began: datetime
    by: Starter = Starter.XO
    attempt: int = 0
    vms: tuple[str, ...] | None = None


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


AnyEvent = (
    Seen
    | Decided
    | Claiming
    | SwitchingOff
    | Claimed
    | Standby
    | Starting
    | Doubted
    | NotStarted
    | GaveUp
    | FollowingUp
    | Releasing
    | Released
    | Started
    | Alarmed
    | AttemptEnded
    | Ended
)
