"""Proxies that jobs run on (failure-modes.md 4.2; xo-api.md 3.11)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.proxy import CHECK
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import DUE, facts, found, make_estate, make_job, make_proxy, make_view, make_vm, read


def said(*proxies, job="proxy", now=DUE, **world):
    return found(CHECK, make_view(make_estate(jobs=[make_job(proxy=job)], proxies=proxies, **world), now=now))


@pytest.mark.parametrize("job", [UNSET, None, ""])
def test_a_job_without_a_proxy_does_not_mind_one_that_is_away(job):
    assert said(make_proxy(healthy=False), job=job) == []


def test_a_healthy_proxy_has_nothing_to_say_whatever_its_vm_looks_like():
    assert said(make_proxy()) == []
    assert said(make_proxy(), vms=[make_vm(), make_vm("proxy-vm", power_state="Halted")]) == []


def test_a_proxy_that_xo_just_did_not_reach_holds_the_whole_run():
    (finding,) = said(make_proxy(healthy=False, error="fetch failed"))
    assert (finding.code, finding.level, finding.certainty) == ("PROXY_UNREACHABLE", Level.BLOCK, Certainty.LIKELY)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.PROXY, "proxy", "proxy"), ())
    assert facts(finding) == {"healthy": read(False, "", "proxies")}
    assert finding.clears == Clears(ClearedBy.TIME)
    assert "(fetch failed)" in finding.summary
    assert "()" not in said(make_proxy(healthy=False, name=""))[0].summary


@pytest.mark.parametrize(("minutes", "level"), [(30, Level.BLOCK), (31, Level.WARN)])
def test_a_proxy_away_now_only_warns_of_a_run_due_much_later(minutes, level):
    assert [one.level for one in said(make_proxy(healthy=False), now=DUE - timedelta(minutes=minutes))] == [level]


@pytest.mark.parametrize("healthy", [False, UNSET])
def test_a_proxy_whose_vm_is_off_needs_a_person(healthy):
    vms = [make_vm(), make_vm("proxy-vm", power_state="Halted")]
    (finding,) = said(make_proxy(healthy=healthy), vms=vms)
    assert (finding.level, finding.clears) == (Level.BLOCK, Clears(ClearedBy.PERSON))
    assert facts(finding) == {"power_state": read("Halted", "", "vms")}
    assert finding.remedy == "Start VM proxy-vm."


def test_an_answer_that_guard_gave_up_on_is_unknown():
    vms = [make_vm(), make_vm("proxy-vm")]
    (finding,) = said(make_proxy(healthy=UNSET, error="XO did not answer"), vms=vms)
    assert (finding.level, finding.certainty) == (Level.UNKNOWN, Certainty.TREND)
    assert "XO did not answer" in finding.summary


@pytest.mark.parametrize(
    ("reading", "why"),
    [({"ok": False, "error": "XO may not"}, "XO may not"), ({"complete": False}, "is no administrator")],
)
def test_proxies_that_could_not_be_read_are_unknown_to_their_jobs_alone(reading, why):
    (finding,) = said(reading={PartName.PROXIES: reading})
    assert finding.level is Level.UNKNOWN
    assert why in finding.summary
    assert said(job=None, reading={PartName.PROXIES: reading}) == []


def test_a_proxy_that_came_into_the_job_while_guard_read_is_unknown():
    assert [one.level for one in said()] == [Level.UNKNOWN]
