"""[notify.tiers]: for each message, whether it is a page, waits for the digest or is only kept, by state and by code. Pure.

The policy's word on a code comes first, then its word on the state, then guard's own on both together (``PAIRS``), then
guard's own on the state. Of several codes the most urgent one counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

Tier = Literal["page", "digest", "record"]
TIERS: tuple[Tier, ...] = get_args(Tier)
"""The most urgent one first."""


class TiersSection(msgspec.Struct, frozen=True, kw_only=True):
    """What is told at once (page), in the nightly digest (digest), or kept alone (record)."""

    # a run of XO's
    start: Annotated[Tier, Meta(description="A run began.")] = "record"
    success: Annotated[Tier, Meta(description="A run ended, and all of its VMs are backed up.")] = "record"
    failure: Annotated[
        Tier, Meta(description="A run ended, and some of its VMs are not backed up, or a cause passes by itself.")
    ] = "digest"
    failure_of_all: Annotated[
        Tier, Meta(description="A run ended without one VM backed up, for causes that only a person clears.")
    ] = "page"
    interrupted: Annotated[Tier, Meta(description="A run was cut short by a restart of XO.")] = "digest"
    skipped: Annotated[Tier, Meta(description="XO skipped a run.")] = "digest"
    # guard's verdict on a due time that will not start whole
    defer: Annotated[
        Tier, Meta(description="All of it waits, inside its deadline. Never page: nothing is lost yet.")
    ] = "digest"
    start_some: Annotated[
        Tier, Meta(description="Some VMs start and the others wait, inside their deadline. Never page.")
    ] = "digest"
    refuse: Annotated[Tier, Meta(description="guard foresees that it will not start it; refused follows.")] = "digest"
    skip: Annotated[Tier, Meta(description="Another run covers this due time.")] = "digest"
    warn: Annotated[Tier, Meta(description="A prediction warns of something that holds no VM back. Never page.")] = (
        "record"
    )
    follow_up: Annotated[
        Tier, Meta(description="VMs that failed are started once more, or are not after all. Never page.")
    ] = "digest"
    # how a due time ended
    ran: Annotated[Tier, Meta(description="guard started all of it.")] = "record"
    ran_in_part: Annotated[
        Tier, Meta(description="guard started some of it, where the others were not told as refused before.")
    ] = "digest"
    left_to_xo: Annotated[Tier, Meta(description="XO started it.")] = "record"
    observed: Annotated[Tier, Meta(description="A run was seen in observe mode.")] = "record"
    covered: Annotated[Tier, Meta(description="Another run covered it.")] = "record"
    refused: Annotated[
        Tier, Meta(description="VMs that were due are not started: it would do harm, or a person holds them.")
    ] = "page"
    expired: Annotated[Tier, Meta(description="No start was possible inside the deadline.")] = "page"
    missed: Annotated[Tier, Meta(description="Nobody started it.")] = "page"
    rescued: Annotated[Tier, Meta(description="XO did not start it, so guard does.")] = "digest"
    # what else a person should know
    alarm: Annotated[Tier, Meta(description="Any other alarm about a run, such as JOB_STUCK.")] = "page"
    switched_off: Annotated[Tier, Meta(description="A schedule was switched off or deleted, not by guard.")] = "page"
    trouble: Annotated[
        Tier, Meta(description="guard's own troubles: XO, its ledger, its clock, what keeps it from acting.")
    ] = "page"
    recovered: Annotated[
        Tier,
        Meta(description="A trouble of guard's own that was told is over: XO, its ledger, what kept it from acting."),
    ] = "digest"
    remedy: Annotated[Tier, Meta(description="guard did something so that runs can start.")] = "digest"
    remedy_failed: Annotated[Tier, Meta(description="That did not work, or did not help.")] = "digest"
    probe: Annotated[Tier, Meta(description="A backup repository was tried and works.")] = "record"
    standing: Annotated[Tier, Meta(description="guard's file in XO's configuration still stands.")] = "digest"
    accept_ended: Annotated[Tier, Meta(description="An [[accept]] entry ended, and nothing shows its code.")] = "digest"
    accept_ended_stands: Annotated[
        Tier, Meta(description="An [[accept]] entry ended, and what it accepted is still there.")
    ] = "page"


STATES: Mapping[str, Tier] = {
    name: getattr(TiersSection(), name)  # each is one of the three words
    for name in TiersSection.__struct_fields__
}
TOLD_AHEAD = (
    *("COALESCE_STUCK", "ENCRYPTION_LIMIT", "REPOSITORY_NO_SPACE", "REPOSITORY_ON_XO_DISK", "RUNS_TWICE"),
    *("SELECTION_SHRUNK", "SR_NO_SPACE", "XO_DISK_LOW"),
)
NEVER_PAGED = frozenset({"defer", "start_some", "follow_up", "warn"})
"""Nothing is lost yet, as a deadline or the whole run is still ahead: a page of these is lowered to digest."""
PAIRS: Mapping[tuple[str, str], Tier] = {
    ("refused", "ON_HOLD"): "digest",  # somebody said so, and knows
    ("missed", "SCHEDULE_DISABLED"): "digest",  # paged when it was switched off
    ("alarm", "START_UNCERTAIN"): "digest",  # by policy it is started again
    ("trouble", "CLOCKS_DIFFERENT"): "digest",  # XO starts everything by itself meanwhile
    # a person can still prevent what comes of these, and nothing else would tell
    **dict.fromkeys((("warn", code) for code in TOLD_AHEAD), "digest"),
}
"""(state, code) -> where the code makes another tier right than the state's own."""
TOLD_BY_CHANNELS = frozenset({"NOTIFY_FAILING", "NOTIFY_DROPPED"})
"""Told by the channels among themselves, whatever the policy says."""


def tier_of(given: Mapping[str, Tier], state: str, codes: Collection[str] = (), *, umbrella: str = "") -> Tier:
    """``given``: [notify.tiers]; ``codes``: why; ``umbrella``: the code of the message where it stands for those, ''."""

    def of(code: str) -> Tier:
        for word in (code, umbrella, state):
            if word in given:
                return given[word]
        return PAIRS.get((state, code), STATES[state])

    found = min((of(code) for code in codes or (umbrella,)), key=TIERS.index)
    return "digest" if found == "page" and state in NEVER_PAGED else found
