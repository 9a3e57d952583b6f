"""XO's own disk, and local repositories that lie on it or have lost their share (failure-modes.md 3.8)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.local_repository import CHECK
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from guard.units import KIB, MIB
from msgspec import UNSET
from tests.builders import (
    DUE,
    GIB,
    facts,
    found,
    make_due,
    make_estate,
    make_job,
    make_local_disk,
    make_log,
    make_repository,
    make_repository_info,
    make_schedule,
    make_transfer,
    make_view,
    make_vm_task,
    read,
)


def said(options=None, runs=(), **world):
    return found(CHECK, make_view(make_estate(**world), runs=runs), **(options or {}))


def test_a_healthy_estate_has_nothing_to_say():
    assert said() == []
    assert said(local_disks=[make_local_disk()]) == []


# XO's own disk


def test_a_disk_that_fills_up_is_a_tendency_with_its_figures():
    (finding,) = said(local_disks=[make_local_disk(available=4 * GIB)])
    assert (finding.code, finding.check, finding.level) == ("XO_DISK_LOW", "local_repository", Level.WARN)
    assert (finding.certainty, finding.harm, finding.holds) == (Certainty.TREND, Harm.NONE, ())
    assert finding.scope == Scope(ScopeKind.XO, "https://xo", "https://xo")
    assert finding.summary == "The disk of XO's own machine with / has 4.0 GiB free of 50.0 GiB; it fills up."
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert facts(finding) == {
        "available": read(4 * GIB, "bytes", "local_disks"),
        "size": read(50 * GIB, "bytes", "local_disks"),
        "warn_free": (10.0, "%", "policy", None),
    }


@pytest.mark.parametrize(
    ("available", "percent", "certainty"),
    [
        (5 * GIB, 10, None),
        (5 * GIB - 1, 10, Certainty.TREND),
        (5 * GIB, 11, Certainty.TREND),
        (256 * MIB, 0, None),
        (256 * MIB - 1, 0, Certainty.LIKELY),
        (0, 10, Certainty.LIKELY),
    ],
)
def test_how_low_is_low_is_the_policys_choice_down_to_where_xo_can_write_no_more(available, percent, certainty):
    findings = said({"warn_free_percent": percent}, local_disks=[make_local_disk(available=available)])
    assert [one.certainty for one in findings] == ([] if certainty is None else [certainty])


def test_two_paths_on_one_disk_are_told_once_and_two_disks_both():
    low = {"available": 0}
    paths = [make_local_disk(**low), make_local_disk("/var", **low), make_local_disk("/data", device=2, **low)]
    assert sorted(one.summary.split(" has ")[0][-5:].strip() for one in said(local_disks=paths)) == ["/data", "ith /"]


def test_it_is_said_once_in_a_plan_at_the_run_that_comes_first():
    world = {
        "local_disks": [make_local_disk(available=0)],
        "jobs": [make_job(), make_job("other")],
        "schedules": [make_schedule(), make_schedule("theirs", job="other")],
    }
    assert len(said(runs=[make_due("theirs", "other", at=DUE + timedelta(minutes=1))], **world)) == 1
    assert said(runs=[make_due("theirs", "other", at=DUE - timedelta(minutes=1))], **world) == []


def test_a_path_that_cannot_be_read_is_unknown():
    failed = {PartName.LOCAL_DISKS: {"ok": False, "error": "[xo] local_paths: /nowhere cannot be read."}}
    (finding,) = said(reading=failed, local_disks=[make_local_disk(available=0)])
    assert (finding.code, finding.level) == ("XO_DISK_LOW", Level.UNKNOWN)
    assert finding.summary == "How full XO's own disk is cannot be told: [xo] local_paths: /nowhere cannot be read."


def test_where_nobody_configured_paths_nothing_is_said():
    estate = make_estate()
    parts = {name: part for name, part in estate.parts.items() if name is not PartName.LOCAL_DISKS}
    object.__setattr__(estate, "parts", parts)
    assert found(CHECK, make_view(estate)) == []


# Local repositories


def local(sent=0, *, url="file:///srv/backups", where="remotes", count=1, proxy=UNSET, **info):
    """A local repository, by default with the figures of the disk with "/"; ``sent``: bytes of the newest backup there."""
    figures = {"size": 50 * GIB, "used": 20 * GIB, "available": 30 * GIB} | info
    logs = [
        make_log(make_vm_task("vm", make_transfer(sent)), start=DUE - timedelta(days=one + 1), id=f"{one}")
        for one in range(count)
    ]
    mirror = {"type": "mirrorBackup", "vms": UNSET, "sourceRemote": "repo", "remotes": {"id": "other"}}
    return {
        "jobs": [make_job(**(mirror if where == "sourceRemote" else {}))],
        "repositories": [make_repository(url=url, proxy=proxy), make_repository("other")],
        "repository_info": {"repo": make_repository_info(**figures)},
        "logs": logs if sent else [],
        "local_disks": [make_local_disk("/data", device=2, size=90 * GIB, available=80 * GIB), make_local_disk()],
    }


@pytest.mark.parametrize("where", ["remotes", "sourceRemote"])
def test_a_local_repository_with_the_figures_of_xos_own_disk_is_likely_on_it(where):
    (finding,) = said(**local(where=where))
    assert (finding.code, finding.level, finding.certainty) == ("REPOSITORY_ON_XO_DISK", Level.WARN, Certainty.LIKELY)
    assert (finding.harm, finding.holds, finding.clears) == (Harm.NONE, (), Clears(ClearedBy.PERSON))
    assert finding.scope == Scope(ScopeKind.REPOSITORY, "repo", "repo")
    assert finding.summary == "Local backup repository repo: its size and free space are those of XO's own disk with /."
    assert facts(finding) == {
        "size": (50 * GIB, "bytes", "XO's repository_info", None),
        "used": (20 * GIB, "bytes", "XO's repository_info", None),
        "available": (30 * GIB, "bytes", "XO's repository_info", None),
        "newest_backups": read(0, "bytes", "logs"),
    }
    assert "findmnt" in finding.remedy


@pytest.mark.parametrize(
    ("figures", "is_told"),
    [
        ({"size": 50 * GIB + KIB - 1}, True),
        ({"size": 50 * GIB + KIB}, False),
        ({"available": 31 * GIB}, True),
        ({"available": 31 * GIB + 1}, False),
        ({"available": 29 * GIB}, True),
        ({"size": UNSET}, False),
        ({"available": UNSET}, False),
        ({"used": UNSET}, True),
        ({"url": "nfs://192.0.2.9:/srv"}, False),
        ({"proxy": "proxy"}, False),
    ],
)
def test_figures_that_differ_by_more_than_time_are_another_disk(figures, is_told):
    assert len(said(**local(**figures))) == is_told


def test_without_figures_or_out_of_use_it_tells_nothing():
    assert said(**local() | {"repository_info": {}}) == []
    assert said(**local() | {"repositories": [make_repository(url="file:///srv", enabled=False)]}) == []
    assert said(**local() | {"repositories": []}) == []
    # what is not read is no disk that a repository could lie on
    assert said(**local() | {"reading": {PartName.LOCAL_DISKS: {"complete": False}}}) == []


def test_a_local_repository_that_lacks_its_backups_has_perhaps_lost_its_share():
    elsewhere = {"size": 51 * GIB, "used": 2 * GIB}
    assert said(**local(20 * GIB, **elsewhere)) == []
    (finding,) = said(**local(20 * GIB + 1, **elsewhere))
    assert (finding.level, finding.certainty) == (Level.WARN, Certainty.TREND)
    assert finding.summary == (
        "Local backup repository repo: it holds 2.0 GiB, and the newest backups alone were 20.0 GiB. Its share may not be mounted."
    )
    # of each VM only the newest backup is surely kept
    assert said(**local(20 * GIB, count=3, **elsewhere)) == []


def test_both_together_are_more_than_either():
    (finding,) = said(**local(300 * GIB))
    assert (finding.level, finding.certainty) == (Level.WARN, Certainty.LIKELY)
    assert finding.summary == (
        "Local backup repository repo: its size and free space are those of XO's own disk with /; it holds 20.0 GiB, and the "
        "newest backups alone were 300.0 GiB. Its share is probably not mounted."
    )
