"""The backup archives as XO lists them, repository by repository (rest-api's backup-archive controller, observed-on-real-xo.md).

Those a test planted come first, then those that runs of this world have written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from guard.simulator.answers import JsonValue, no_such
from guard.simulator.repository import Archive
from guard.simulator.shapes import XoObject, archive
from guard.simulator.world import World

EVERY = "*"


def asked_repositories(world: World, sent: JsonValue) -> list[str]:
    """Ids of the repositories of ``backup-repository``: none unless asked for. Raises RestError 404 for one XO does not know."""
    asked = sent if isinstance(sent, list) else [] if sent is None else [sent]
    if EVERY in asked:
        return list(world.repositories)
    for identity in asked:
        if identity not in world.repositories:
            raise no_such(str(identity), "remote")
    return [str(identity) for identity in asked]


def archives_in(world: World, repositories: Sequence[str]) -> Iterator[XoObject]:
    """What their listings show, VM by VM. One that failed shows nothing, and nothing tells so."""
    for identity in repositories:
        if identity in world.unlisted_repositories:
            continue
        by_vm: dict[str, list[XoObject]] = {}
        for one in _kept(world, identity):
            by_vm.setdefault(one["vm"]["uuid"], []).append(one)
        yield from chain.from_iterable(by_vm.values())


def _kept(world: World, repository_id: str) -> Iterator[XoObject]:
    yield from world.archives.get(repository_id, ())
    if world.live is not None:
        yield from (_shown(repository_id, one, world) for one in world.live.shelf(repository_id).archives)


def _shown(repository_id: str, kept: Archive, world: World) -> XoObject:
    job = world.jobs.get(kept.job_id, {})
    return archive(
        repository_id,
        kept.vm_id,
        kept.at,
        job_id=kept.job_id,
        schedule_id=kept.schedule_id,
        mode=job.get("mode", "delta"),
        size=kept.size,
        disks=kept.disks,
        immutable=world.live is not None and world.live.shelf(repository_id).is_immutable(),
    )
