"""Backups that retention must delete and cannot: by the list of backups, else by how the last runs ended (failure-modes.md 4.1)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.immutable import CHECK
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from guard.outcomes.past import past_failures
from tests.builders import (
    LAST_NIGHT,
    facts,
    found,
    make_archive,
    make_estate,
    make_job,
    make_log,
    make_repository,
    make_transfer,
    make_vm,
    make_vm_task,
    read,
)
from tests.builders import make_view as view_of

NOT_READ = {PartName.ARCHIVES: {"ok": False}}


def said(vms=("vm",), **world):
    estate = make_estate(
        **{"jobs": [make_job(vms={"id": {"__or": list(vms)}})], "vms": [make_vm(one) for one in vms]} | world
    )
    return found(CHECK, view_of(estate, past=lambda: past_failures(estate.logs)))


def kept(count, *protected, vm="vm", **more):
    """So many backups, the last of last night; ``protected``: which of them, counted from the oldest."""
    return [
        make_archive(vm, start=LAST_NIGHT - timedelta(days=count - 1 - one), isImmutable=one in protected, **more)
        for one in range(count)
    ]


def ended(
    *vms, night=0, status="failure", error=("EPERM", "EPERM: operation not permitted, unlink"), job="job", **more
):
    """A run in which XO was refused to delete an old backup of these VMs."""
    result = {"code": error[0], "message": error[1]}
    tasks = [
        make_vm_task(
            one,
            make_transfer(1)
            | {
                "status": status,
                "tasks": [
                    *make_transfer(1)["tasks"],
                    {"message": "clean-vm", "status": status, **({"result": result} if status == "failure" else {})},
                ],
            },
            status=status,
        )
        for one in vms
    ]
    return make_log(*tasks, job=job, start=LAST_NIGHT - timedelta(days=night), status=status, **more)


def test_a_healthy_estate_has_nothing_to_say():
    assert said() == []
    assert said(archives=kept(9)) == []


def test_a_protected_backup_beyond_retention_is_told_with_its_figures():
    (finding,) = said(archives=kept(8, 0, 1))
    assert (finding.code, finding.check, finding.level) == ("REPOSITORY_IMMUTABLE", "immutable", Level.WARN)
    assert (finding.certainty, finding.harm, finding.holds) == (Certainty.LIKELY, Harm.NONE, ("vm",))
    assert finding.scope == Scope(ScopeKind.REPOSITORY, "repo", "repo")
    assert finding.summary == (
        "Backup repository repo: retention has to delete 2 backups of 1 VM that the storage protects (vm); XO writes the new "
        "backup, fails to delete the old one, and counts these VMs as failed."
    )
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert facts(finding) == {
        "protected": read(2, "backups", "archives"),
        "oldest": read("2026-11-17T00:00:00+00:00", "", "archives"),
        "retention": read(7, "backups", "jobs"),
    }
    assert "Raise the retention of schedule" in finding.remedy


@pytest.mark.parametrize(
    "archives",
    [kept(7), kept(6, 0), kept(8, 2), kept(8, 0, vm="other"), kept(8, 0, jobId="other")],
    ids=["none is protected", "it has not to go yet", "a younger one", "of another VM", "of another job"],
)
def test_what_need_not_go_or_is_not_protected_is_no_trouble(archives):
    assert said(archives=archives) == []


def test_deleting_first_means_that_there_is_no_new_backup():
    job = make_job(settings={"schedule": {"exportRetention": 7, "deleteFirst": True}})
    (finding,) = said(archives=kept(7, 0), jobs=[job])
    assert finding.summary.endswith("; as the old backup goes first, XO makes no new one.")


def test_a_vms_or_a_repositorys_own_retention_counts():
    for key in ("vm", "repo"):
        job = make_job(settings={"schedule": {"exportRetention": 7}, key: {"exportRetention": 9}})
        assert said(archives=kept(8, 0, 1), jobs=[job]) == []


@pytest.mark.parametrize("repositories", [[], [make_repository(enabled=False)]])
def test_a_repository_that_is_not_used_refuses_nothing(repositories):
    assert said(archives=kept(8, 0), repositories=repositories) == []
    assert said(logs=[ended("vm")], reading=NOT_READ, repositories=repositories) == []


def test_without_the_list_of_backups_the_end_of_the_last_run_tells():
    (finding,) = said(("vm", "b", "fine"), logs=[ended("vm", "b")], reading=NOT_READ)
    assert (finding.level, finding.certainty, finding.holds) == (Level.WARN, Certainty.LIKELY, ("vm", "b"))
    assert finding.summary == (
        "Backup repository repo: in the last run of 2 VMs XO was refused to delete an old backup there (vm, b); retention "
        "fails again until the storage protects it no longer."
    )
    assert facts(finding) == {
        "vms": read(2, "VMs", "logs"),
        "text": read("EPERM: operation not permitted, unlink", "", "logs"),
        "retention": read(7, "backups", "jobs"),
    }


def test_a_repository_of_which_xo_listed_nothing_is_judged_by_the_past_too():
    assert [one.holds for one in said(logs=[ended("vm")], archives=[])] == [("vm",)]


@pytest.mark.parametrize(
    "logs",
    [
        [ended("vm", night=1), ended("vm", status="success")],
        [ended("vm", error=("ENOSPC", "ENOSPC: no space left on device, write"))],
        [ended("vm", job="other", schedule="other")],
    ],
    ids=["the last run went well", "it was something else", "another job's"],
)
def test_a_past_that_ended_otherwise_says_nothing(logs):
    assert said(logs=logs, reading=NOT_READ) == []


def test_where_the_list_was_read_it_counts_and_not_the_past():
    assert said(archives=kept(3), logs=[ended("vm")]) == []
