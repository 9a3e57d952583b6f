"""Repositories that belong to another proxy than the job (failure-modes.md 4.1)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import RepositoryProxyOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids

REPOSITORY_MISCONFIGURED = Code(
    id="REPOSITORY_MISCONFIGURED",
    title="A backup repository is set up in a way the job cannot use",
    why="Repository and job belong to different proxies, the encryption key is wrong or of the wrong length, a new key "
    "meets a folder that is not empty, or a distributed job mixes storages with and without a size.",
    do="Compare the proxy of the job with that of the repository. Check the encryption key: a repository that holds "
    "backups cannot get another one; make a new repository with an empty folder for it.",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)


def evaluate(view: View, options: RepositoryProxyOptions) -> list[Finding]:
    """XO refuses the whole run for one such repository, unless that is disabled (backups-ng/index.mjs:251)."""
    del options
    job = view.run.job
    ids = repository_ids(job)
    findings = []
    for repository_id in dict.fromkeys((job.source_remote, *ids) if job.source_remote else ids):
        repository = view.estate.repository_by_id.get(repository_id)
        if repository is None or not repository.enabled or (repository.proxy or "") == (job.proxy or ""):
            continue
        has = f"belongs to proxy {repository.proxy}" if repository.proxy else "belongs to no proxy"
        wants = f"job {job.name} runs on proxy {job.proxy}" if job.proxy else f"job {job.name} runs on none"
        findings.append(
            Finding(
                code=REPOSITORY_MISCONFIGURED.id,
                check="repository_proxy",
                level=Level.BLOCK,
                certainty=Certainty.CERTAIN,
                harm=Harm.NONE,
                scope=Scope(ScopeKind.REPOSITORY, repository.id, repository.name),
                summary=f"Backup repository {repository.name} {has}, and {wants}: XO refuses the whole run.",
                facts=(
                    view.fact("repository_proxy", repository.proxy or "", "", PartName.REPOSITORIES),
                    view.fact("job_proxy", job.proxy or "", "", PartName.JOBS),
                ),
                remedy=f"Give {repository.name} and job {job.name} the same proxy in XO, or take {repository.name} out of the job.",
                clears=Clears(ClearedBy.PERSON),
            )
        )
    return findings


CHECK = Check(
    name="repository_proxy",
    title="Proxies of repositories",
    codes=(REPOSITORY_MISCONFIGURED,),
    needs={part: timedelta(minutes=10) for part in (PartName.REPOSITORIES, PartName.JOBS)},
    options=RepositoryProxyOptions,
    evaluate=evaluate,
    job_types=frozenset({"backup", "mirrorBackup"}),
)
