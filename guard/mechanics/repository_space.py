"""What a run writes to a backup repository, VM by VM, and what it gives back meanwhile (failure-modes.md 9.2).

XO backs VMs up ``concurrency`` at a time and deletes what falls out of retention after each full backup. Deltas give
nothing back within a run: their merges come later, in the background.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import msgspec


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes one VM writes to one repository.

    ``least``: what is known to be written (0 where nothing tells); ``most``: an upper bound, None where there is none.
    ``freed``: what retention surely deletes after it; ``freed_at_most``: what it may delete. All 0 or more.
    """

    least: int
    most: int | None
    freed: int = 0
    freed_at_most: int = 0


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


def too_many(writings: Mapping[str, Writing], concurrency: int, available: int) -> tuple[str, ...]:
    """The VMs to hold, largest first, until what is known of the rest fits; none where all do.

    What a held VM would have deleted is missing for the rest, so one more to hold may fit less; then these may be more
    than the fewest.
    """
    largest_first = sorted(writings, key=lambda one: (-writings[one].least, one))

    def fits_without(count: int) -> bool:
        held = set(largest_first[:count])
        staying = [writing for vm, writing in writings.items() if vm not in held]
        return (peak(staying, concurrency, hopeful=True) or 0) <= available

    count = 0 if fits_without(0) else bisect_left(range(len(largest_first) + 1), x=True, key=fits_without)
    return tuple(largest_first[:count])
