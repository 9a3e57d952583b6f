"""Honest probes: XO writes a small file to a backup repository, reads it and deletes it (xo-api.md 5.2, ``remote.test``).

Off by default. A share that can be listed may still take no writes; only a write tells. Where files cannot be deleted the
probe would leave its own behind, so object storage and immutable repositories are never probed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from guard.estate.estate import PartName
from guard.estate.xo_records import Repository
from guard.finding import Scope, ScopeKind
from guard.lifecycle.remedy import RemedyKind, Wanted
from guard.mechanics.outlook import repository_ids
from guard.remedies.scene import SOON, Need, Scene
from guard.units import some_of

ONCE = timedelta(hours=20)
"""Once a night, also where the due time wanders a little."""
_FILES = frozenset({"file", "nfs", "smb"})
_IMMUTABLE = "REPOSITORY_IMMUTABLE"


def wanted(scene: Scene) -> Iterator[Wanted]:
    """One for each repository of the runs ahead; none where the policy does not ask for probes."""
    if not scene.policy.probe:
        return
    needed: dict[str, list[Need]] = {}
    for need in scene.needs:
        for one in dict.fromkeys(repository_ids(need.job)) if not need.waits else ():
            needed.setdefault(one, []).append(need)
    for identity, needs in needed.items():
        repository = scene.estate.repository_by_id.get(identity)
        if repository is not None and repository.enabled:
            yield _wanted(scene, repository, needs)


def _wanted(scene: Scene, repository: Repository, needs: list[Need]) -> Wanted:
    first = min(need.run.due for need in needs if need.enforced or not any(one.enforced for one in needs))
    at = max(scene.now, first - 2 * SOON)
    last = scene.last(RemedyKind.PROBE, repository.id)
    aside = _aside(scene, repository, needs)
    if not aside and last is not None and at - last.at < ONCE:
        aside = "it was probed tonight"
    return Wanted(
        kind=RemedyKind.PROBE,
        scope=Scope(ScopeKind.REPOSITORY, repository.id, repository.name),
        at=at,
        latest=first,
        reason=f"{some_of(dict.fromkeys(need.run.name for need in needs))} will write to {repository.name}",
        runs=tuple(need.run for need in needs),
        before=(scene.fact("error", str(repository.error) if repository.error else None, "", PartName.REPOSITORIES),),
        aside=aside,
    )


def _aside(scene: Scene, repository: Repository, needs: list[Need]) -> str:
    # no parser of addresses: the URL holds a password, which may hold anything
    scheme = repository.url.partition(":")[0]
    if scheme not in _FILES:
        return f"{scheme or 'its kind'} is no file system that guard knows: the probe's file might stay"
    listed = PartName.ARCHIVES in scene.estate.parts and repository.id in scene.estate.listed_repositories
    if not listed:
        return "whether its files can be deleted is not known without [xo] read_archives"
    told = {one.is_immutable for one in scene.estate.archives if one.repository == repository.id}
    refused = any(one.code == _IMMUTABLE and one.target in (repository.id, "") for one in scene.failures)
    if True in told or refused:
        return "its files cannot be deleted"
    if False not in told:
        return "no backup there tells whether its files can be deleted"
    if any(job.run_id and repository.id in repository_ids(job) for job in scene.estate.jobs):
        return "a run writes there now"
    if not any(need.enforced for need in needs):
        return "the policy says observe for what needs it"
    return ""
