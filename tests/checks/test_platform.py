"""Pools too old for deltas (failure-modes.md 3.5)."""

from __future__ import annotations

import pytest
from guard.checks.platform import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import facts, found, make_estate, make_host, make_job, make_view, make_vm, read


def said(*versions, mode="delta", **world):
    hosts = [make_host(f"h{n}", version=version) for n, version in enumerate(versions)]
    return found(CHECK, make_view(make_estate(hosts=hosts, jobs=[make_job(mode=mode)], **world)))


@pytest.mark.parametrize("version", ["6.2.0", "6.1", "5.6.100", "6.4.9"])
def test_a_pool_older_than_xenserver_6_5_takes_no_delta(version):
    (finding,) = said("8.3.0", version)
    assert (finding.code, finding.level, finding.certainty) == ("PLATFORM_TOO_OLD", Level.BLOCK, Certainty.CERTAIN)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.POOL, "pool", "pool"), ("vm",))
    assert facts(finding) == {"version": read(version, "", "hosts")}
    assert finding.clears == Clears(ClearedBy.PERSON)


@pytest.mark.parametrize("version", ["6.5.0", "7.0.0", "8.3.0", "10.0", "6", "", "six.two", UNSET])
def test_a_later_pool_and_one_that_tells_no_version_are_fine(version):
    assert said(version) == []


def test_a_full_job_asks_for_no_delta():
    assert said("6.2.0", mode="full") == []


def test_another_pools_age_does_not_matter_and_a_pool_without_a_name_is_told_by_its_id():
    assert said("6.2.0", vms=[make_vm(pool="other")]) == []
    assert said("6.2.0", vms=[make_vm(pool=UNSET)]) == []
    (finding,) = said("6.2.0", pools=[])
    assert finding.scope.name == "pool"
