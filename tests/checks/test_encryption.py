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
    make_transfer,
    make_vdi,
    make_view,
    make_vm_task,
    read,
)

LEGACY = {"algorithm": "aes-256-gcm", "isLegacy": True, "recommendedAlgorithm": "chacha20-poly1305"}


def said(usage=65 * GIB, encryption=LEGACY, mode="full", **world):
    estate = make_estate(
        jobs=[make_job(mode=mode)],
        repository_info={"repo": RepositoryInfo(encryption=encryption)},
        **{"vdis": [make_vdi(size=200 * GIB, usage=usage)]} | world,
    )
    return found(CHECK, make_view(estate))


def test_a_vm_that_may_need_more_than_one_file_holds_is_a_warning_before_its_first_full():
    (finding,) = said()
    assert (finding.code, finding.level, finding.certainty) == ("ENCRYPTION_LIMIT", Level.WARN, Certainty.TREND)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.REPOSITORY, "repo", "repo"), ("vm",))
    assert facts(finding) == {
        "largest": read(65 * GIB, "bytes", "vdis"),
        "limit": read(64 * GIB, "bytes", "repository_info"),
        "vms": read(1, "VMs", "vms"),
    }


@pytest.mark.parametrize(
    "world",
    [
        {"usage": 64 * GIB},
        {"mode": "delta"},
        {"encryption": {"algorithm": "chacha20-poly1305", "isLegacy": False}},
        {"encryption": UNSET},
        {"encryption": None},
        {"logs": [make_log(make_vm_task("vm", make_transfer(100 * GIB, full=True)))]},
    ],
    ids=[
        "exactly as large as a file may be",
        "a delta job",
        "the present algorithm",
        "not told",
        "null",
        "sent before",
    ],
)
def test_near_misses_say_nothing(world):
    assert said(**world) == []


def test_a_repository_without_figures_says_nothing():
    estate = make_estate(jobs=[make_job(mode="full")], repository_info={})
    assert found(CHECK, make_view(estate)) == []


def test_a_repository_xo_does_not_show_is_named_by_its_id():
    (finding,) = said(repositories=[])
    assert finding.scope.name == "repo"
