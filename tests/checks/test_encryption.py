"""Full backups that an old encrypted repository cannot hold in one file (failure-modes.md 4.1)."""

from __future__ import annotations

import pytest
from guard.checks.encryption import CHECK
from guard.estate.xo_records import RepositoryInfo
from guard.finding import Certainty, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    GIB,
    facts,
    found,
    make_estate,
    make_job,
    make_log,
    make_repository,
    make_transfer,
    make_vdi,
    make_view,
    make_vm_task,
    read,
)

LEGACY = {"algorithm": "aes-256-gcm", "isLegacy": True, "recommendedAlgorithm": "chacha20-poly1305"}


def said(size=65 * GIB, encryption=LEGACY, mode="full", remotes="repo", **world):
    estate = make_estate(
        jobs=[make_job(mode=mode, remotes={"id": remotes})],
        repository_info={"repo": RepositoryInfo(encryption=encryption)},
        **{"logs": [make_log(make_vm_task("vm", make_transfer(size, full=True)))]} | world,
    )
    return found(CHECK, make_view(estate))


def test_a_vm_whose_full_is_larger_than_one_file_may_be_is_held():
    (finding,) = said()
    assert (finding.code, finding.level, finding.certainty) == ("ENCRYPTION_LIMIT", Level.BLOCK, Certainty.LIKELY)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.REPOSITORY, "repo", "repo"), ("vm",))
    assert facts(finding) == {
        "largest": read(65 * GIB, "bytes", "logs"),
        "limit": read(64 * GIB, "bytes", "repository_info"),
        "vms": read(1, "VMs", "vms"),
    }


def test_with_another_target_it_is_a_warning():
    (finding,) = said(remotes={"__or": ["repo", "other"]}, repositories=[make_repository(), make_repository("other")])
    assert finding.level is Level.WARN


def test_what_was_never_sent_may_be_smaller_than_its_disks():
    (finding,) = said(logs=[], vdis=[make_vdi(size=100 * GIB, usage=90 * GIB)])
    assert (finding.level, finding.certainty) == (Level.WARN, Certainty.TREND)


@pytest.mark.parametrize(
    "world",
    [
        {"size": 64 * GIB},
        {"mode": "delta"},
        {"encryption": {"algorithm": "chacha20-poly1305", "isLegacy": False}},
        {"encryption": UNSET},
        {"encryption": None},
    ],
    ids=["exactly as large as a file may be", "a delta job", "the present algorithm", "not told", "null"],
)
def test_near_misses_say_nothing(world):
    assert said(**world) == []


def test_a_repository_without_figures_says_nothing():
    estate = make_estate(jobs=[make_job(mode="full")], repository_info={})
    assert found(CHECK, make_view(estate)) == []


def test_a_repository_xo_does_not_show_is_named_by_its_id():
    (finding,) = said(repositories=[])
    assert finding.scope.name == "repo"
