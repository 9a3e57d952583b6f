"""Rolling pool updates and reboots (failure-modes.md 4.3)."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from guard.checks.rolling_update import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import DUE, facts, found, make_estate, make_job, make_pool, make_view, make_vm, make_xo_task, read


def said(*tasks, now=DUE, **world):
    return found(CHECK, make_view(make_estate(xo_tasks=tasks, **world), now=now))


def test_without_a_rolling_update_there_is_nothing_to_say():
    assert said() == []
    assert said(make_xo_task(name="REST API: run schedule")) == []
    assert said(make_xo_task(status="success")) == []


@pytest.mark.parametrize("name", ["Rolling pool update", "Rolling pool reboot", "REST API: rolling pool update"])
def test_the_vms_of_a_pool_that_is_updated_wait_until_it_has_ended(name):
    (finding,) = said(make_xo_task(name=name, objectId="pool"))
    assert (finding.code, finding.level, finding.certainty) == ("ROLLING_UPDATE", Level.BLOCK, Certainty.LIKELY)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.POOL, "pool", "pool"), ("vm",))
    assert facts(finding) == {"rolling_tasks": read(1, "tasks", "xo_tasks")}
    assert finding.clears == Clears(ClearedBy.TIME)


@pytest.mark.parametrize(
    ("minutes", "level"), [(60, [Level.BLOCK]), (61, [Level.WARN]), (360, [Level.WARN]), (361, [])]
)
def test_what_is_due_later_is_only_warned_of_and_what_is_due_much_later_not_at_all(minutes, level):
    found_now = said(make_xo_task(objectId="pool"), now=DUE - timedelta(minutes=minutes))
    assert [one.level for one in found_now] == level
    assert all((one.certainty is Certainty.TREND) == (one.level is Level.WARN) for one in found_now)


def test_another_pools_update_does_not_matter_but_one_of_no_named_pool_is_any_pools():
    pools = [make_pool(), make_pool("other")]
    assert said(make_xo_task(objectId="other"), pools=pools) == []
    assert len(said(make_xo_task(objectId="gone", progress=3), pools=pools)) == 1
    assert len(said(make_xo_task(objectId="other"), make_xo_task("second"), pools=pools)) == 1
    assert len(said(make_xo_task(poolId="pool"), pools=pools)) == 1


def test_each_pool_is_told_for_its_own_vms():
    vms = [make_vm(), make_vm("second", pool="other"), make_vm("third"), make_vm("homeless", pool=UNSET)]
    job = make_job(vms={"id": {"__or": [one.id for one in vms]}})
    both = said(make_xo_task(), vms=vms, jobs=[job], pools=[make_pool(), make_pool("other")])
    assert [(one.scope.id, one.holds) for one in both] == [("pool", ("vm", "third")), ("other", ("second",))]


def test_a_task_whose_properties_are_nothing_is_no_rolling_update():
    assert said(msgspec.structs.replace(make_xo_task(), properties=UNSET)) == []
