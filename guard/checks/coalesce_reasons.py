"""Why coalesces do not come to an SR, for the two checks that say so (failure-modes.md 3.4; xapi-storage.md 3 and 10)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from guard.checks.sr_figures import free_bytes
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Sr, moment
from guard.finding import Certainty, Fact
from guard.mechanics.coalescing import is_collecting
from guard.mechanics.merge_space import MergeNeed, merge_need
from guard.units import format_bytes, format_duration, plural, some_of

SKIPPED_OFTEN = 2
"""So many runs in a row that XO skipped for the chain: what would have coalesced by itself has had its time."""
WAITED = timedelta(hours=1)
LONG = timedelta(hours=6)
_RECENT = timedelta(days=2)
_SUREST_FIRST = (Certainty.CERTAIN, Certainty.LIKELY, Certainty.TREND)


@dataclass(frozen=True)
class Reason:
    """A sentence, its figures, what a person does, and how sure it is that waiting does not help."""

    told: str
    facts: tuple[Fact, ...]
    remedy: str
    certainty: Certainty


def reasons(view: View, sr: Sr, waiting: Mapping[str, Collection[tuple[str, str]]]) -> list[Reason]:
    """What keeps an SR from coalescing, the surest first.

    ``waiting``: VM id -> the nodes that wait in its chains there, each with its child.
    """
    return sorted(_reasons(view, sr, waiting), key=lambda one: _SUREST_FIRST.index(one.certainty))


def _reasons(view: View, sr: Sr, waiting: Mapping[str, Collection[tuple[str, str]]]) -> Iterator[Reason]:
    pairs = [pair for found in waiting.values() for pair in found]
    yield from _switched_off(view, sr)
    yield from _unplugged(view, sr)
    yield from _no_space_told(view, sr)
    if pairs:
        yield from _plugged(view, sr)
        yield from _too_little_room(view, sr, pairs)
        yield from _nothing_moves(view, sr, dict.fromkeys(pairs))  # VMs may share the root of their chains
        yield from skipped_often(view, [vm for vm, found in waiting.items() if found], sr.name_label)


def _switched_off(view: View, sr: Sr) -> Iterator[Reason]:
    off = next((key for key in ("gc", "coalesce") if (sr.other_config or {}).get(key) == "false"), "")
    if off:
        yield Reason(
            f"Coalesce is switched off there: the SR's other_config has {off} = false.",
            (view.fact(off, "false", "", PartName.SRS),),
            f"On the pool master: xe sr-param-remove uuid={sr.id} param-name=other-config param-key={off}; then rescan "
            f"{sr.name_label} in XO.",
            Certainty.CERTAIN,
        )
    elif (sr.other_config or {}).get("leaf-coalesce") == "false":
        yield Reason(
            "The last merge, into the disk itself, is switched off there (other_config leaf-coalesce = false): each disk keeps "
            "one base copy more for good.",
            (view.fact("leaf-coalesce", "false", "", PartName.SRS),),
            f"On the pool master: xe sr-param-remove uuid={sr.id} param-name=other-config param-key=leaf-coalesce; then rescan "
            f"{sr.name_label} in XO.",
            Certainty.TREND,
        )


def _unplugged(view: View, sr: Sr) -> Iterator[Reason]:
    """On a shared SR the pool's master coalesces; without a plug there, nobody does."""
    pool = view.estate.pool_by_id.get(sr.pool or "")
    if sr.shared is not True or pool is None or not pool.master:
        return
    plugs = view.estate.pbds_of_sr.get(sr.id, ())
    if any(pbd.host == pool.master and pbd.attached is False for pbd in plugs):
        host = view.estate.host_by_id.get(pool.master)
        name = host.name_label if host is not None and host.name_label else pool.master
        yield Reason(
            f"The pool's master, {name}, which alone coalesces a shared SR, has it unplugged.",
            (view.fact("plugged_on_master", False, "", PartName.PBDS),),
            f"In XO, open {sr.name_label} > Hosts and connect it on {name}.",
            Certainty.CERTAIN,
        )


def _no_space_told(view: View, sr: Sr) -> Iterator[Reason]:
    """By the mark SM leaves on the SR, or by its message."""
    last = moment(1000 * view.estate.last_message_of.get(sr.id, 0))
    if "gc_no_space" in (sr.sm_config or {}):
        how = "the SR's sm_config has gc_no_space"
        fact = view.fact("gc_no_space", True, "", PartName.SRS)
    elif last is not None and view.now - last <= _RECENT:
        how = f"the pool said so {format_duration((view.now - last).total_seconds())} ago (SM_GC_NO_SPACE)"
        fact = view.fact("sm_gc_no_space_at", last.isoformat(), "", PartName.MESSAGES)
    else:
        return
    yield Reason(
        f"Its last coalesce found no room: {how}.",
        (fact,),
        f"Free space on {sr.name_label}, then rescan it in XO.",
        Certainty.LIKELY,
    )


def _plugged(view: View, sr: Sr) -> Iterator[Reason]:
    """Snapshots that something holds cannot be deleted; a run that goes on holds them with good reason."""
    if view.outlook.running:
        return
    held = view.estate.plugged_on_sr.get(sr.id, 0)
    if held:
        yield Reason(
            f"{plural(held, 'snapshot')} there {'is' if held == 1 else 'are'} still plugged in a control domain, and "
            "cannot be deleted.",
            (view.fact("plugged_snapshots", held, "VDIs", PartName.VBDS),),
            "In XO, Dashboard > Health, disconnect disks that are attached to a control domain.",
            Certainty.LIKELY,
        )


def _too_little_room(view: View, sr: Sr, pairs: Collection[tuple[str, str]]) -> Iterator[Reason]:
    """Where not even the smallest merge has room. One at work already holds what it needs, so that it is no time to tell."""
    if any(is_collecting(task, sr.id) for task in view.estate.xapi_tasks):
        return
    free = free_bytes(sr)
    needs = [need for pair in pairs if (need := _need(view, sr, *pair)) is not None]
    if free is None or not needs:
        return
    least = min(needs, key=lambda one: one.bytes)
    if least.bytes > free:
        most = "" if least.exact else "up to "
        yield Reason(
            f"It has {format_bytes(free)} free, and the smallest merge that waits there needs {most}{format_bytes(least.bytes)}.",
            (
                view.fact("free", free, "bytes", PartName.SRS),
                view.fact("merge_needs", least.bytes, "bytes", PartName.POOL_FACTS if least.exact else PartName.VDIS),
            ),
            f"Free {format_bytes(least.bytes - free)} on {sr.name_label}, then rescan it in XO.",
            Certainty.LIKELY if least.exact else Certainty.TREND,
        )


def _need(view: View, sr: Sr, node: str, child: str) -> MergeNeed | None:
    below, above = view.estate.vdi_by_id.get(node), view.estate.vdi_by_id.get(child)
    if below is None or above is None or not isinstance(above.usage, int) or not isinstance(above.size, int):
        return None
    told = view.estate.vdi_facts.get(child) if view.knows(PartName.POOL_FACTS) else None
    known = isinstance(below.usage, int) and told is not None
    return merge_need(
        sr_type=sr.sr_type,
        size=above.size,
        child=above.usage,
        parent=below.usage if isinstance(below.usage, int) else 0,
        merged=told.merged_bytes if known and told is not None else None,
    )


def _nothing_moves(view: View, sr: Sr, pairs: Collection[tuple[str, str]]) -> Iterator[Reason]:
    """The same pairs at two looks at least an hour apart, and since then no collection seen at work."""
    seen = view.estate.observations
    if seen is None or not view.knows(PartName.OBSERVATIONS):
        return
    collected = seen.collected.get(sr.id)
    known = [seen.waiting[node] for node, child in pairs if node in seen.waiting and seen.waiting[node].child == child]
    idle = [seen.looked_at - max(one.since, collected or one.since) for one in known]
    waiting = [one for one in idle if one >= WAITED]
    if not waiting:
        return
    waited = max(waiting)
    hours = format_duration(waited.total_seconds())
    yield Reason(
        f"{plural(len(waiting), 'node')} there {'has' if len(waiting) == 1 else 'have'} waited for {hours} as guard saw it, and no "
        "coalesce was seen at work.",
        (
            view.fact("waited", waited.total_seconds(), "s", PartName.OBSERVATIONS),
            view.fact("collection_seen_at", collected.isoformat() if collected else None, "", PartName.OBSERVATIONS),
        ),
        f"Rescan {sr.name_label} in XO; when still nothing moves, look for coalesce errors in /var/log/SMlog on the pool master.",
        Certainty.LIKELY if waited >= LONG else Certainty.TREND,
    )


def skipped_often(view: View, vms: Collection[str], where: str) -> Iterator[Reason]:
    """That XO skipped VMs for their chains in their last runs, and something still waits in them."""
    skips = view.outlook.history.chain_skips
    often = {vm: times for vm in vms if (times := skips.get((view.run.job.id, vm), 0)) >= SKIPPED_OFTEN}
    if not often:
        return
    times = max(often.values())
    yield Reason(
        f"XO skipped {some_of(map(view.vm_name, often))} for that in the last {times} runs: waiting has not helped.",
        (view.fact("skipped_in_a_row", times, "runs", PartName.LOGS),),
        f"Rescan {where} in XO, look for coalesce errors in /var/log/SMlog on the pool master, and make sure {where} has "
        "free space.",
        Certainty.LIKELY,
    )
