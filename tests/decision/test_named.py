"""What the words of a scope name in XO: nothing, something near, and which schedules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from guard.decision.named import names_nothing, near_names, schedules_meant, schedules_of_job
from guard.estate.estate import PartName
from guard.mechanics.fallback import Fallback, FallbackKind
from tests.builders import (
    DUE,
    make_estate,
    make_job,
    make_pool,
    make_repository,
    make_schedule,
    make_sequence,
    make_sr,
    make_vm,
)

FALLBACK = Fallback(
    kind=FallbackKind.START, schedule="often", due=DUE, cron="0 0 1 0 *", instance="0001020304050607"
).name


def site(**changes):
    """Jobs "nightly" on "nas" with two schedules and "small" on "vault" with one, a sequence of the latter, a fallback."""
    return make_estate(
        **{
            "pools": [make_pool("p1", name_label="Lyon")],
            "srs": [make_sr("sr1", name_label="NFS old"), make_sr("sr2", name_label="NFS new")],
            "vms": [make_vm("v1", name_label="web-01"), make_vm("v2", name_label="web-02")],
            "jobs": [
                make_job("j1", name="nightly", remotes={"id": "r1"}),
                make_job("j2", name="small", remotes={"id": "r2"}),
            ],
            "call_jobs": [
                make_sequence("often", id_="seq-job", name="chain"),
                make_sequence("often", id_="own", name=FALLBACK),
                make_sequence(id_="other", name="a call", method="sr.scan"),
            ],
            "repositories": [make_repository("r1", name="nas"), make_repository("r2", name="vault")],
            "schedules": [
                make_schedule("early", job="j1", name="early"),
                make_schedule("late", job="j1", name="late"),
                make_schedule("often", job="j2", name="often", enabled=False),
                make_schedule("sequence", job="seq-job", name="in turn"),
                make_schedule("put", job="own", name=FALLBACK),
                make_schedule("scan", job="other", name="scans"),
                make_schedule("orphan", job="gone", name="orphan"),
            ],
        }
        | changes
    )


@pytest.mark.parametrize(
    ("scope", "there"),
    [
        ("schedule:late", True),
        ("schedule:x", False),
        ("job:nightly", True),
        ("job:chain", True),
        ("job:x", False),
        ("pool:Lyon", True),
        ("pool:x", False),
        ("sr:NFS old", True),
        ("sr:sr1", True),
        ("sr:NFS", False),
        ("repository:nas", True),
        ("repository:x", False),
        ("vm:web-01", True),
        ("vm:web", False),
        ("all", True),
    ],
)
def test_a_scope_names_nothing_only_where_xo_shows_nothing_of_that_name(scope, there):
    assert names_nothing(scope, site()) is not there


@pytest.mark.parametrize("reading", [{"ok": False}, {"complete": False}])
def test_where_xo_did_not_tell_all_nothing_is_said_of_a_scope(reading):
    estate = site(reading={PartName.VMS: reading})
    assert not names_nothing("vm:x", estate)
    assert not names_nothing("vm:x", replace(estate, parts={}))


@pytest.mark.parametrize(
    ("scope", "near"),
    [
        ("sr:nfs", ("NFS old", "NFS new")),
        ("vm:web-1", ("web-01", "web-02")),
        ("vm:WEB-02", ("web-02",)),
        ("job:nigthly", ("nightly",)),
        ("pool:Marseille", ()),
        ("all", ()),
    ],
)
def test_names_that_may_have_been_meant_are_those_that_hold_the_word_then_those_spelt_alike(scope, near):
    assert near_names(scope, site()) == near


def test_of_many_near_names_three_are_told():
    vms = [make_vm(f"v{number}", name_label=f"web-{number}") for number in range(9)]
    assert near_names("vm:web", site(vms=vms)) == ("web-0", "web-1", "web-2")


def ids(schedules):
    return [one.id for one in schedules]


@pytest.mark.parametrize(
    ("scope", "meant"),
    [
        ("all", ["early", "late", "often", "sequence", "orphan"]),
        ("vm:anything", ["early", "late", "often", "sequence", "orphan"]),
        ("pool:Lyon", ["early", "late", "often", "sequence", "orphan"]),
        ("sr:NFS old", ["early", "late", "often", "sequence", "orphan"]),
        ("schedule:late", ["late"]),
        ("schedule:often", ["often", "sequence"]),
        ("schedule:in turn", ["sequence"]),
        ("job:nightly", ["early", "late"]),
        ("job:j2", ["often", "sequence"]),
        ("repository:nas", ["early", "late"]),
        ("repository:r2", ["often", "sequence"]),
        ("repository:x", []),
    ],
)
def test_a_scope_means_the_schedules_it_names_and_the_sequences_that_run_them_but_no_fallback(scope, meant):
    assert ids(schedules_meant(scope, site())) == meant


@pytest.mark.parametrize(
    ("wanted", "found"), [("nightly", ["early", "late"]), ("j2", ["often"]), ("chain", ["sequence"]), ("late", [])]
)
def test_the_schedules_of_a_job_are_found_by_its_id_or_name(wanted, found):
    assert ids(schedules_of_job(wanted, site())) == found
