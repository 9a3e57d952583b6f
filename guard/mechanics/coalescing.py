"""Coalesces from look to look: what still waits, since when, and how fast an SR gets on (xapi-storage.md 3; failure-modes.md 3.4).

SM merges one pair of nodes at a time on an SR: the child's data goes into its parent, and the child is gone. Where others
of that SR kept waiting, it was at work all the time between one merge and the next; where nothing is left waiting, nobody
can tell how long the last one took.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec

from guard.estate.estate import Estate, PartName
from guard.estate.observations import Observations, Progress, Waiting
from guard.estate.xo_records import XapiTask
from guard.mechanics.chain import MAX_DEPTH, ChainIndex
from guard.mechanics.history import quantiles

KEPT_PROGRESS = 20  # of each SR, the newest: the load of a month ago says little about tonight's
_DISK_PARTS = (PartName.VDIS, PartName.VDI_SNAPSHOTS, PartName.VDI_UNMANAGED, PartName.SRS)
_COLLECTION = "Garbage Collection"  # SM cleanup.py; absent in XCP-ng 8.2


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How fast an SR coalesces while it is at it: median, and slow end (P10), over ``samples`` steps from look to look."""

    pairs_per_hour: float
    slow_pairs_per_hour: float
    bytes_per_hour: float
    samples: int


def is_collecting(task: XapiTask, sr_id: str) -> bool:
    """Whether a task of XAPI is the collector at work on this SR (xapi-storage.md 3.5)."""
    named = sr_id in str(task.applies_to) or sr_id in task.name_description
    return task.name_label == _COLLECTION and task.status == "pending" and named


def observe(previous: Observations | None, estate: Estate, now: datetime) -> Observations | None:
    """What is known after one more look. A look that did not read the disks adds nothing."""
    if not all(estate.parts[name].usable for name in _DISK_PARTS):
        return previous
    before = previous or Observations(since=now, looked_at=now)
    vdis = estate.vdi_by_id
    waiting: dict[str, Waiting] = {}
    chains = ChainIndex(estate)
    for node, child in chains.pairs():
        known, data = before.waiting.get(node), vdis[child].usage
        waiting[node] = Waiting(
            sr=vdis[node].sr or "",
            child=child,
            bytes=data if isinstance(data, int) else 0,
            since=known.since if known is not None and known.child == child else now,
        )
    at_work: set[str] = set()
    if estate.parts[PartName.XAPI_TASKS].usable:
        tasks = [task for task in estate.xapi_tasks if task.name_label == _COLLECTION]
        at_work = {sr.id for sr in estate.srs for task in tasks if is_collecting(task, sr.id)}
    shown = {sr.id for sr in estate.srs}
    merged = _merged(before, chains, vdis)
    collected = {**before.collected, **dict.fromkeys((*merged, *at_work), now)}
    begun, steps = _progress(before, waiting, merged, at_work, now)
    return Observations(
        since=before.since,
        looked_at=now,
        waiting=waiting,
        collected={sr: at for sr, at in collected.items() if sr in shown},
        begun=begun,
        progress={
            sr: (*before.progress.get(sr, ()), *steps.get(sr, ()))[-KEPT_PROGRESS:]
            for sr in shown
            if sr in before.progress or sr in steps
        },
    )


def _merged(before: Observations, chains: ChainIndex, vdis: Collection[str]) -> dict[str, list[Waiting]]:
    """By SR: the pairs that became one since. What a deleted disk takes along is no merge: it leaves nothing with a child."""
    below = {one.child: node for node, one in before.waiting.items()}
    found: dict[str, list[Waiting]] = {}
    for node, one in before.waiting.items():
        if one.child in vdis:
            continue
        into = node
        for _ in range(MAX_DEPTH):  # the node may itself have gone into its parent
            if into in vdis:
                break
            into = below.get(into, into)
        if chains.has_child(into):
            found.setdefault(one.sr, []).append(one)
    return found


def _progress(
    before: Observations,
    waiting: Mapping[str, Waiting],
    merged: Mapping[str, list[Waiting]],
    at_work: Collection[str],
    now: datetime,
) -> tuple[dict[str, datetime], dict[str, tuple[Progress]]]:
    """By SR: since when its next merge is under way, and the step that has just ended.

    A collection that was not seen at the look before began no earlier: idle hours say nothing of how fast it is.
    """
    still = {one.sr for node, one in waiting.items() if before.waiting.get(node) == one}
    begun: dict[str, datetime] = {}
    steps: dict[str, tuple[Progress]] = {}
    for sr in {one.sr for one in waiting.values()}:
        begins = sr in at_work and before.collected.get(sr) != before.looked_at
        since = before.looked_at if begins else before.begun.get(sr, now)
        pairs = merged.get(sr, []) if sr in still else []
        begun[sr] = since if sr in still and not pairs else now
        seconds = (now - since).total_seconds()
        if pairs and seconds > 0:
            steps[sr] = (Progress(pairs=len(pairs), bytes=sum(one.bytes for one in pairs), seconds=seconds),)
    return begun, steps


def rate_of(observations: Observations | None, sr_id: str) -> Rate | None:
    """None where guard has never seen this SR at it."""
    steps = observations.progress.get(sr_id, ()) if observations is not None else ()
    if not steps:
        return None
    pairs = [3600 * one.pairs / one.seconds for one in steps]
    slow = quantiles([-one for one in pairs])  # the P90 of the negatives is the P10
    return Rate(
        pairs_per_hour=quantiles(pairs).p50 or 0.0,
        slow_pairs_per_hour=-(slow.p90 or 0.0),
        bytes_per_hour=quantiles([3600 * one.bytes / one.seconds for one in steps]).p50 or 0.0,
        samples=len(steps),
    )


def queues(observations: Observations | None) -> Mapping[str, int]:
    """How many nodes waited on each SR at the last look."""
    return Counter(one.sr for one in observations.waiting.values()) if observations is not None else {}
