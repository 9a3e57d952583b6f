"""How few VMs of a run must be backed up at once so that their snapshots fit on an SR. Pure.

It rests on the SR giving room back while the run goes on, which holds for a full backup without snapshots to keep, of a
VHD disk that is alone in its chain, on LVM: its snapshot is deleted after the transfer (failure-modes.md 8.1), then the
collector merges the new leaf into the base copy, and all that the snapshot cost comes back (xapi-storage.md 1.1, 3.1).
Nowhere else does a lower concurrency lower the peak for certain:

* a delta job keeps the new snapshot of each VM, so what it cost stays with the base copy; when the one before is deleted,
  a merge gives back only the blocks that both hold, which no API tells, and needs as much room again meanwhile (3.2);
* snapshots that are kept (retention, a person's own) hold their base copies whatever the concurrency;
* on file SRs a snapshot costs next to nothing, and what it costs later grows with the time it lives.

Until then a deleted snapshot still owns its base copy (failure-modes.md 8.2): the collector is quiet for five minutes
(xapi-storage.md 3.5), then takes one disk of the SR after the other (3.1).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from math import ceil

import msgspec

from guard.mechanics.history import History, quantiles
from guard.mechanics.snapshot_space import Need, total

QUIET_S = 300.0
UNKNOWN_MERGE_S = 600.0
"""Seconds for one merge of an SR that guard has never seen at it: so long XCP-ng's own tests wait for a small one (3.7)."""


class PastRun(msgspec.Struct, frozen=True, kw_only=True):
    """``seconds`` from the first transfer's begin to the last one's end; ``at_once``: most transfers to one target at a time."""

    seconds: float
    at_once: int


def past_runs(history: History, job_id: str) -> dict[str, PastRun]:
    """The runs of a job that moved anything, by the id of their log."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for (job, _, target), transfers in history.transfers.items():
        for one in transfers if job == job_id else ():
            begin = one.start / 1000
            found.setdefault(one.run, {}).setdefault(target, []).append((begin, begin + one.seconds))
    return {run: _past(targets.values()) for run, targets in found.items()}


def _past(targets: Collection[Sequence[tuple[float, float]]]) -> PastRun:
    spans = [span for one in targets for span in one]
    seconds = max(end for _, end in spans) - min(begin for begin, _ in spans)
    return PastRun(seconds=seconds, at_once=max(map(_most_at_once, targets)))


def _most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    begins, ends = sorted(begin for begin, _ in spans), sorted(end for _, end in spans)
    return max(1, *(number - bisect_right(ends, begin) for number, begin in enumerate(begins, start=1)))


def lasts_s(runs: Collection[PastRun], slots: int) -> float | None:
    """How long a run may last with so many VMs at once, in seconds (P90): as those did that had no more at once; where there
    are none, as the others, longer in proportion. None without any.
    """
    alike = [one.seconds for one in runs if one.at_once <= slots]
    return quantiles(alike or [one.seconds * one.at_once / slots for one in runs]).p90


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast VMs come and the collector follows.

    ``shortest``: how many were transferred at once in a past run -> seconds of the shortest transfer then; ``usual``: how many
    VMs the job has at once; ``merge_s``: seconds of one merge; ``queue``: merges that wait on the SR already; ``disks``: most
    disks of one VM there.
    """

    shortest: Mapping[int, float]
    usual: int
    merge_s: float
    queue: int
    disks: int


def owning_at_once(slots: int, pace: Pace) -> int | None:
    """Of how many VMs the snapshots own space at once at most, with so many backed up at once; None: ever more of them.

    In each slot: the one that is transferred, and those whose snapshot was deleted within the collector's lag, one
    transfer apart. Fewer at once share hosts and network among fewer, so a transfer may get shorter in proportion.
    The collector's lag is its quiet time and one merge for each disk before it, as long as it keeps up: then no more than
    the disks of one VM per slot wait beside those that waited before the run.
    """
    apart = min(seconds * min(1, slots / at_once) for at_once, seconds in pace.shortest.items())
    work = slots * pace.disks * pace.merge_s
    if work > apart:
        return None
    lag = QUIET_S + pace.queue * pace.merge_s + work
    return slots * (1 + ceil(lag / apart))


def room_for(count: int, vms: Sequence[Sequence[Need]]) -> int:
    """Bytes that ``count`` of these VMs need at once at most, and room for a merge.

    XO's order is not known, so the largest are taken. A disk of which nothing tells what was written counts as full. A merge
    needs up to twice what the guest wrote while its snapshot was there (xapi-storage.md 3.2), which nobody knows before:
    as much as the largest snapshot takes is kept free for it.
    """
    sized = [[msgspec.structs.replace(one, expected=_most(one)) for one in needs] for needs in vms]
    largest = sorted(sized, key=lambda needs: -total(needs).known)[:count]
    return total(need for needs in largest for need in needs).known + max(
        (total(one).known for one in largest), default=0
    )


def _most(need: Need) -> int:
    return need.upper if need.expected is None else need.expected


def most_slots(vms: Sequence[Sequence[Need]], pace: Pace, free: float) -> int | None:
    """How many VMs may be backed up at once, at most ``pace.usual``, so that their snapshots fit into ``free`` bytes; None
    where not even one at a time does.
    """
    for slots in range(min(pace.usual, len(vms)), 0, -1):
        owning = owning_at_once(slots, pace)
        if owning is not None and room_for(owning, vms) <= free:
            return slots
    return None
