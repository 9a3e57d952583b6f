"""What a run writes to a backup repository, VM by VM, and what it gives back meanwhile (failure-modes.md 9.2).

XO backs VMs up ``concurrency`` at a time and deletes what falls out of retention after each full backup. Deltas give
nothing back within a run: their merges come later, in the background, and need room themselves where a repository keeps
plain VHD files. With ``distributeBackups`` each VM goes to one of several repositories, whole.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from guard.estate.xo_records import Repository, RepositoryInfo
from guard.mechanics.forecast import Bytes
from guard.mechanics.history import Transfer, quantiles
from guard.mechanics.settings import Settings


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes one VM writes to one repository.

    ``least``: what is known to be written (0 where nothing tells); ``most``: an upper bound, None where there is none.
    ``freed``: what retention surely deletes after it; ``freed_at_most``: what it may delete. All 0 or more.
    ``stays``: what of ``least`` is still known to be there once retention and merges are done. ``merge``: what merging an
    older delta afterwards needs for a while, where that copies it.
    """

    least: int
    most: int | None
    freed: int = 0
    freed_at_most: int = 0
    stays: int = 0
    merge: int = 0


class Added(NamedTuple):
    """Bytes a run is known to add to one file system: while it goes on, and once it is over. ``name``: of its job."""

    during: int
    after: int
    name: str


class Load(NamedTuple):
    """What the runs ahead leave on one file system, by their ``keys`` in the plan's order.

    ``until``: bytes known to be there by all before each, one more than there are runs. ``names``: of their jobs.
    """

    keys: tuple[tuple[datetime, str, str], ...] = ()
    names: tuple[str, ...] = ()
    until: tuple[int, ...] = (0,)


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """Free and all bytes of a repository, or of several that share the VMs, and what each VM of a run writes there.

    ``writings``: by VM id; '' for all that a mirror writes. ``largest``: free bytes of the emptiest of several, None for a
    single one. ``size`` 0: not told. ``others``: bytes that other runs are known to have added when this one is due.
    ``merge``: bytes that a merge of older backups may need beside them.
    """

    free: int
    size: int
    writings: Mapping[str, Writing]
    largest: int | None = None
    others: int = 0
    merge: int = 0


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


def keeps_blocks(repository: Repository, info: RepositoryInfo | None) -> bool:
    """Whether disks lie there as blocks, which a merge renames, and not as plain VHD files, which it copies together.

    Where the repository's URL asks for it, and on object stores and encrypted ones in any case (failure-modes.md 4.1).
    """
    encryption = info.encryption if info is not None else None
    encrypted = isinstance(encryption, dict) and encryption.get("algorithm", "none") != "none"
    return is_object_store(repository.url) or encrypted or "useVhdDirectory=true" in repository.url.partition("?")[2]


def file_systems(repositories: Iterable[Repository], info: Mapping[str, RepositoryInfo]) -> Mapping[str, str]:
    """Repository id -> id of the first one on the same file system, itself where it is alone or not in use.

    The same size, used and free bytes on the same machine are taken for the same file system.
    """
    first: dict[tuple[str, int, int, int], str] = {}
    found: dict[str, str] = {}
    for one in repositories:
        space = info.get(one.id)
        found[one.id] = one.id
        if not one.enabled or space is None or not isinstance(space.used, int):
            continue
        if not isinstance(space.size, int) or not isinstance(space.available, int):
            continue
        host = machine(one.url) or f"file://{one.proxy or ''}"
        found[one.id] = first.setdefault((host, space.size, space.used, space.available), one.id)
    return found


def machine(url: str) -> str:
    """The name in a repository's URL of the machine its files are on, '' for XO's own or its proxy's (``file://``)."""
    scheme, _, rest = url.partition("://")
    if scheme == "file":
        return ""
    # nfs://host:/path; smb://user:password@domain\\host\share, NUL and a path (xo-remote-parser)
    host = rest.partition("?")[0].rpartition("@")[2].rpartition("\\\\")[2]
    return re.split(r"[:/\\\0]", host)[0].lower()


def less_margin(free: int, percent: float) -> int:
    """The bytes that may be expected to be written where so many are free and so much is added for safety."""
    return int(100 * free / (100 + percent))


def writing_of_mirror(past: Sequence[int]) -> Writing:
    """A mirror copies what is new at its source: the bytes of its own past runs tell how much that is."""
    high = quantiles(past).p90
    return Writing(least=int(high or 0), most=None if high is None else int(high))


def writing_of(told: Bytes, settings: Settings, past: Sequence[Transfer], *, full_mode: bool, spread: bool) -> Writing:
    """What one VM writes and gives back. ``past``: this schedule's transfers of it, those that moved something.

    ``spread``: over several repositories, so that what is deleted may lie on another one than what is written.
    """
    if told.high is None:
        return Writing(least=0, most=told.most)
    if settings.export_retention < 1:  # nothing is exported, unless a default that no API shows says otherwise
        return Writing(least=0, most=told.high)
    # retention is full when the VM has been sent that often; how large its oldest archive is, the newest ones tell
    is_full = len(past) >= settings.export_retention
    sure = settings.long_term_retention is None and not spread
    stays = told.high if sure and not is_full else 0
    if not full_mode:
        merge = max((one.size for one in past if not one.full), default=0) if sure and is_full else 0
        return Writing(least=told.high, most=told.high, stays=stays, merge=merge)
    sizes = [one.size for one in past]
    freed, at_most = (min(sizes) if sure and is_full else 0), max((*sizes, told.high))
    if settings.delete_first:
        return Writing(
            least=max(0, told.high - at_most), most=told.high - min(told.high, freed), stays=max(0, stays - at_most)
        )
    return Writing(least=told.high, most=told.high, freed=freed, freed_at_most=at_most, stays=stays)


def together(writings: Sequence[Writing]) -> Writing:
    """What one VM writes to several repositories on the same file system."""
    most = [one.most for one in writings if one.most is not None]
    return Writing(
        least=sum(one.least for one in writings),
        most=sum(most) if len(most) == len(writings) else None,
        freed=sum(one.freed for one in writings),
        freed_at_most=sum(one.freed_at_most for one in writings),
        stays=sum(one.stays for one in writings),
        merge=sum(one.merge for one in writings),
    )


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
    """Hold what is written against what is free and left by others, less the margin."""
    available = less_margin(space.free, margin_percent) - space.others
    largest = None if space.largest is None else less_margin(space.largest, margin_percent)
    writings = tuple(space.writings.values())
    at_most = peak(writings, concurrency, hopeful=False)
    most = None if at_most is None else at_most + space.merge
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
        others=sum(space.others for space in spaces),
        merge=sum(space.merge for space in spaces),
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
