"""Target SRs of replications and health checks (failure-modes.md 3.16; VmsXapi.mjs)."""

from __future__ import annotations

import pytest
from guard.checks.target_srs import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import facts, found, make_estate, make_job, make_server, make_view, read


def said(settings=None, servers=None, **job):
    jobs = [make_job(**({"settings": {"schedule": {"copyRetention": 1} | (settings or {})}} | job))]
    world = {} if servers is None else {"servers": servers}
    return found(CHECK, make_view(make_estate(jobs=jobs, **world)))


def test_srs_that_xo_shows_are_fine():
    assert said({"healthCheckSr": "sr"}, srs={"id": "sr"}) == []
    assert said() == []


@pytest.mark.parametrize(
    ("job", "settings", "level"),
    [
        ({"srs": {"id": "gone"}}, {}, Level.WARN),
        ({"srs": {"id": "gone"}, "remotes": UNSET}, {}, Level.BLOCK),
        ({"srs": {"id": {"__or": ["gone", "sr"]}}, "remotes": UNSET}, {}, Level.WARN),
        ({"srs": {"id": "gone"}, "remotes": UNSET}, {"snapshotRetention": 1}, Level.WARN),
    ],
    ids=["beside a repository", "alone", "beside another SR", "beside snapshots"],
)
def test_a_target_sr_that_is_gone_stops_the_run_only_where_nothing_is_left(job, settings, level):
    (finding,) = said(settings, **job)
    assert (finding.code, finding.level, finding.certainty) == ("SR_UNKNOWN", level, Certainty.CERTAIN)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.SR, "gone", "gone"), ())
    assert facts(finding) == {"known": read(False, "", "srs")}


def test_a_health_check_on_an_sr_that_is_gone_fails_the_whole_run():
    (finding,) = said({"healthCheckSr": "gone"})
    assert (finding.code, finding.level, finding.holds) == ("HEALTH_CHECK_SR_MISSING", Level.BLOCK, ())
    assert finding.clears == Clears(ClearedBy.PERSON)


def test_an_sr_of_a_pool_to_which_xo_reconnects_comes_back_with_time():
    lost = [make_server(status="connecting")]
    assert [one.clears for one in said({"healthCheckSr": "gone"}, lost)] == [Clears(ClearedBy.TIME)]
    switched_off = [make_server(status="disconnected", enabled=False)]
    assert [one.clears for one in said({"healthCheckSr": "gone"}, switched_off)] == [Clears(ClearedBy.PERSON)]
