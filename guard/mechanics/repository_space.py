"""What a run writes to a backup repository, VM by VM, and what it gives back meanwhile (failure-modes.md 9.2).

XO backs VMs up ``concurrency`` at a time and deletes what falls out of retention after each full backup. Deltas give
nothing back within a run: their merges come later, in the background. With ``distributeBackups`` each VM goes to one of
several repositories, whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import msgspec

from guard.mechanics.forecast import Bytes
from guard.mechanics.history import quantiles
from guard.mechanics.settings import Settings


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes one VM writes to one repository.

    ``least``: what is known to be written (0 where nothing tells); ``most``: an upper bound, None where there is none.
    ``freed``: what retention surely deletes after it; ``freed_at_most``: what it may delete. All 0 or more.
    """

    least: int
    most: int | None
    freed: int = 0
    freed_at_most: int = 0


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """Free and all bytes of a repository, or of several that share the VMs, and what each VM of a run writes there.

    ``writings``: by VM id; '' for all that a mirror writes. ``largest``: free bytes of the emptiest of several, None for a
    single one. ``size`` 0: not told.
    """

    free: int
    size: int
    writings: Mapping[str, Writing]
    largest: int | None = None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a run fits. ``need``: new bytes at its peak, at least; ``most``: at most, None without an upper bound.

    ``held``: the VMs that surely do not fit, largest first. ``fits``: whether the run does even at most. ``unsure``: VMs
    whose bytes the past does not tell exactly.
    """

    need: int
    most: int | None
    held: tuple[str, ...]
    fits: bool
    unsure: int


def is_object_store(url: str) -> bool:
    """S3 and Azure: they tell no free space, and XO's lock does nothing there (FS/abstract.js:646)."""
    return url.partition("://")[0].partition("+")[0] in ("s3", "azure", "azurite")


def less_margin(free: int, percent: float) -> int:
    """The bytes that may be expected to be written where so many are free and so much is added for safety."""
    return int(100 * free / (100 + percent))


def writing_of_mirror(past: Sequence[int]) -> Writing:
    """A mirror copies what is new at its source: the bytes of its own past runs tell how much that is."""
    high = quantiles(past).p90
    return Writing(least=int(high or 0), most=None if high is None else int(high))


def writing_of(told: Bytes, settings: Settings, past: Sequence[int], *, full_mode: bool, spread: bool) -> Writing:
    """What one VM writes and gives back. ``past``: bytes of this schedule's transfers of it, those that moved something.

    ``spread``: over several repositories, so that what is deleted may lie on another one than what is written.
    """
    if told.high is None:
        return Writing(least=0, most=told.most)
    if settings.export_retention < 1:  # nothing is exported, unless a default that no API shows says otherwise
        return Writing(least=0, most=told.high)
    if not full_mode:
        return Writing(least=told.high, most=told.high)
    # retention is full when the VM has been sent that often; how large its oldest archive is, the newest ones tell
    sure = len(past) >= settings.export_retention and settings.long_term_retention is None and not spread
    freed, at_most = (min(past) if sure else 0), max((*past, told.high))
    if settings.delete_first:
        return Writing(least=max(0, told.high - at_most), most=told.high - min(told.high, freed))
    return Writing(least=told.high, most=told.high, freed=freed, freed_at_most=at_most)


def peak(writings: Sequence[Writing], concurrency: int, *, hopeful: bool) -> int | None:
    """The largest amount of new bytes that lie on the repository at one moment of the run.

    ``hopeful``: as little as possible is written and as much as possible deleted; otherwise the opposite, and None
    where a VM has no upper bound. ``concurrency`` 0: all VMs at once.
    """
    if not hopeful and any(writing.most is None for writing in writings):
        return None
    sizes = [writing.least if hopeful else writing.most or 0 for writing in writings]
    at_once = concurrency or len(writings)
    settled = in_flight = highest = 0
    for position, size in enumerate(sizes):
        if position >= at_once:
            done = position - at_once
            in_flight -= sizes[done]
            settled += sizes[done] - (writings[done].freed_at_most if hopeful else writings[done].freed)
        in_flight += size
        highest = max(highest, settled + in_flight)
    return highest


def estimate(space: Space, concurrency: int, margin_percent: float) -> Estimate:
    """Hold what is written against what is free, less the margin."""
    available = less_margin(space.free, margin_percent)
    largest = None if space.largest is None else less_margin(space.largest, margin_percent)
    writings = tuple(space.writings.values())
    most = peak(writings, concurrency, hopeful=False)
    return Estimate(
        need=peak(writings, concurrency, hopeful=True) or 0,
        most=most,
        held=too_many(space.writings, concurrency, available, largest),
        fits=most is not None
        and most <= available
        and (largest is None or all((one.most or 0) <= largest for one in writings)),
        unsure=sum(1 for one in writings if one.most is None or one.least < one.most),
    )


def joined(spaces: Sequence[Space]) -> Space:
    """Several repositories of which each VM goes to one; what a mirror sends is only known as a whole."""
    return Space(
        free=sum(space.free for space in spaces),
        size=sum(space.size for space in spaces),
        writings=spaces[0].writings,
        largest=None if "" in spaces[0].writings else max(space.free for space in spaces),
    )


def too_many(
    writings: Mapping[str, Writing], concurrency: int, available: int, largest: int | None = None
) -> tuple[str, ...]:
    """The VMs to hold, largest first, until what is known of the rest fits; none where all do.

    ``largest``: what is free on the emptiest of several repositories, each VM going to one of them; None for a single one.
    What a held VM would have deleted is missing for the rest, so one more to hold may fit less; then these may be more
    than the fewest.
    """
    largest_first = sorted(writings, key=lambda one: (-writings[one].least, one))

    def fits_without(count: int) -> bool:
        held = set(largest_first[:count])
        staying = [writing for vm, writing in writings.items() if vm not in held]
        # what the others delete may be on the emptiest, and before
        deleted = sum(writing.freed_at_most for writing in staying)
        alone = largest is None or all(one.least <= largest + deleted - one.freed_at_most for one in staying)
        return alone and (peak(staying, concurrency, hopeful=True) or 0) <= available

    count = 0 if fits_without(0) else bisect_left(range(len(largest_first) + 1), x=True, key=fits_without)
    return tuple(largest_first[:count])
