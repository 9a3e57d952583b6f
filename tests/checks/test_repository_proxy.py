"""Proxies of jobs and repositories (failure-modes.md 4.1; backups-ng/index.mjs:251)."""

from __future__ import annotations

import pytest
from guard.checks.repository_proxy import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import facts, found, make_estate, make_job, make_repository, make_view, read


def said(job_proxy, repository_proxy, enabled=True, **job):
    repositories = [make_repository(proxy=repository_proxy, enabled=enabled)]
    return found(CHECK, make_view(make_estate(jobs=[make_job(proxy=job_proxy, **job)], repositories=repositories)))


@pytest.mark.parametrize(("job", "repository"), [(UNSET, UNSET), (None, UNSET), (UNSET, None), ("p", "p")])
def test_the_same_proxy_or_none_is_fine(job, repository):
    assert said(job, repository) == []


@pytest.mark.parametrize(
    ("job", "repository", "text"),
    [
        ("p", UNSET, "belongs to no proxy, and job job runs on proxy p: XO refuses the whole run."),
        (UNSET, "q", "belongs to proxy q, and job job runs on none: XO refuses the whole run."),
        ("p", "q", "belongs to proxy q, and job job runs on proxy p: XO refuses the whole run."),
    ],
)
def test_another_proxy_makes_xo_refuse_the_whole_run(job, repository, text):
    (finding,) = said(job, repository)
    assert (finding.code, finding.level, finding.certainty) == (
        "REPOSITORY_MISCONFIGURED",
        Level.BLOCK,
        Certainty.CERTAIN,
    )
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.REPOSITORY, "repo", "repo"), ())
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary == f"Backup repository repo {text}"
    assert facts(finding)["job_proxy"] == read(job or "", "", "jobs")


def test_a_disabled_or_unknown_repository_is_left_out_before_its_proxy_is_looked_at():
    assert said("p", UNSET, enabled=False) == []
    assert said("p", "p", remotes={"id": "gone"}) == []


def test_the_source_of_a_mirror_counts_as_well():
    assert len(said("p", "q", type="mirrorBackup", remotes=UNSET, sourceRemote="repo")) == 1
