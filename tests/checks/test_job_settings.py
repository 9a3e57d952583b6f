"""Job settings with which XO fails, or succeeds without a backup (failure-modes.md 1, 4.2; xo-api.md 3.1.2, 5.1)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.job_settings import CHECK
from guard.checks.run import run_checks
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import NOW, facts, found, make_estate, make_job, make_view, make_vm, read

KEPT = {"exportRetention": 7}


def said(settings, **job):
    """What the check says of a job with these settings; by default it sends to a repository and an SR."""
    jobs = [make_job(**{"srs": {"id": "sr"}, "settings": settings} | job)]
    return found(CHECK, make_view(make_estate(jobs=jobs)))


def levels(settings, **job):
    return [one.level for one in said(settings, **job)]


def test_a_healthy_job_has_nothing_to_say():
    assert found(CHECK, make_view(make_estate())) == []


@pytest.mark.parametrize(
    "settings",
    [UNSET, {}, {"": KEPT}, {"another": KEPT}, {"vm": KEPT}, {"schedule": None}],
    ids=["no settings", "empty", "global only", "another schedule's", "a VM's", "null"],
)
def test_xo_crashes_when_it_starts_a_schedule_without_settings(settings):
    (finding,) = said(settings)
    assert (finding.code, finding.check) == ("SETTINGS_MISSING", "job_settings")
    assert (finding.level, finding.certainty, finding.harm) == (Level.BLOCK, Certainty.CERTAIN, Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.JOB, "job", "job"), ())
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary == "Job job has no settings for schedule schedule: XO crashes when it starts it."
    assert "set a retention" in finding.remedy


def test_a_retention_of_nothing_is_a_success_without_a_backup_and_so_a_warning_with_its_figure():
    (finding,) = said({"schedule": {}})
    assert (finding.code, finding.check) == ("SETTINGS_MISSING", "job_settings")
    assert (finding.level, finding.certainty, finding.harm) == (Level.WARN, Certainty.CERTAIN, Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.JOB, "job", "job"), ())
    assert facts(finding) == {"retention": read(0, "backups", "jobs")}
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary == (
        "Job job keeps nothing for schedule schedule: XO would report a success without a backup."
    )
    assert finding.remedy == "Edit schedule schedule of job job in XO and set a retention."


@pytest.mark.parametrize("name", ["exportRetention", "copyRetention", "snapshotRetention"])
@pytest.mark.parametrize(("retention", "found_levels"), [(0, [Level.WARN]), (1, [])])
def test_one_backup_of_any_kind_is_enough(name, retention, found_levels):
    assert levels({"schedule": {name: retention}}) == found_levels


@pytest.mark.parametrize(
    ("settings", "found_levels"),
    [
        ({"": KEPT, "schedule": {}}, []),
        ({"": KEPT, "schedule": {"exportRetention": 0}}, [Level.WARN]),
        ({"": {"exportRetention": 0}, "schedule": KEPT}, []),
        ({"schedule": {}, "another": KEPT}, [Level.WARN]),
        ({"schedule": {"exportRetention": "7"}}, [Level.WARN]),
        ({"schedule": {"timeout": 3600000}}, [Level.WARN]),
    ],
)
def test_the_effective_settings_of_the_schedule_decide(settings, found_levels):
    assert levels(settings) == found_levels


def test_a_long_term_retention_keeps_something():
    daily = {"daily": {"retention": 7, "settings": {}}}
    assert levels({"schedule": {"longTermRetention": daily, "timezone": "UTC"}}) == []


def test_an_empty_long_term_retention_keeps_nothing():
    assert levels({"schedule": {"longTermRetention": {}}}) == [Level.WARN]


def test_the_retention_of_a_crashing_run_is_not_told_as_nothing():
    (finding,) = said({"": KEPT})
    assert finding.facts == ()


@pytest.mark.parametrize(
    ("settings", "remotes", "srs", "found_levels"),
    [
        ({"exportRetention": 7}, {"id": "repo"}, UNSET, []),
        ({"copyRetention": 3}, UNSET, {"id": "sr"}, []),
        ({"snapshotRetention": 3}, UNSET, UNSET, []),
        ({"exportRetention": 7}, UNSET, UNSET, [Level.WARN]),
        ({"exportRetention": 7}, {"id": {"__or": []}}, UNSET, [Level.WARN]),
        ({"copyRetention": 3}, UNSET, UNSET, [Level.WARN]),
        ({"exportRetention": 7}, UNSET, {"id": "sr"}, [Level.WARN]),
        ({"copyRetention": 3}, {"id": "repo"}, UNSET, [Level.WARN]),
    ],
)
def test_a_retention_of_a_kind_the_job_has_no_target_for_keeps_nothing(settings, remotes, srs, found_levels):
    assert levels({"schedule": settings}, remotes=remotes, srs=srs) == found_levels


@pytest.mark.parametrize(
    ("settings", "found_levels"),
    [
        ({"schedule": KEPT, "vm": {"exportRetention": 0}}, [Level.WARN]),
        ({"schedule": KEPT, "repo": {"exportRetention": 0}}, [Level.WARN]),
        ({"schedule": {}, "vm": KEPT}, []),
        ({"schedule": {}, "repo": KEPT}, []),
        ({"schedule": KEPT, "vm": {"exportRetention": 0}, "repo": KEPT}, []),
        ({"schedule": KEPT, "vm": KEPT, "repo": {"exportRetention": 0}}, [Level.WARN]),
        ({"schedule": {}, "sr": {"copyRetention": 1}}, []),
        ({"schedule": {}, "sr": {"exportRetention": 1}}, [Level.WARN]),
        ({"schedule": {}, "another": KEPT}, [Level.WARN]),
    ],
)
def test_the_effective_settings_of_the_vm_and_of_the_target_decide_too(settings, found_levels):
    assert levels(settings) == found_levels


def test_one_target_that_keeps_something_is_enough():
    two = {"id": {"__or": ["repo", "repo2"]}}
    assert levels({"schedule": KEPT, "repo": {"exportRetention": 0}}, remotes=two) == []
    none = {"exportRetention": 0}
    assert levels({"schedule": KEPT, "repo": none, "repo2": none}, remotes=two) == [Level.WARN]


@pytest.mark.parametrize(
    ("nothing", "told"),
    [("b", "1 of 5 VMs (b)"), ("bcd", "3 of 5 VMs (b, c, d)"), ("bcde", "4 of 5 VMs (b, c, d and 1 more)")],
)
def test_the_vms_that_keep_nothing_are_named(nothing, told):
    settings = {"schedule": KEPT} | {vm: {"exportRetention": 0} for vm in nothing}
    jobs = [make_job(vms={"id": {"__or": list("abcde")}}, settings=settings)]
    (finding,) = found(CHECK, make_view(make_estate(jobs=jobs, vms=[make_vm(vm) for vm in "abcd"])))
    assert (finding.code, finding.level, finding.holds) == ("SETTINGS_MISSING", Level.WARN, ())
    assert finding.summary == (
        f"Job job keeps nothing of {told} for schedule schedule: XO would report a success without a backup of them."
    )
    assert facts(finding) == {
        "retention": read(0, "backups", "jobs"),
        "vms_without_retention": read(len(nothing), "VMs", "jobs"),
    }


def test_a_vm_with_a_retention_of_its_own_is_not_among_those_that_keep_nothing():
    jobs = [make_job(vms={"power_state": "Running"}, settings={"schedule": {}, "a": KEPT})]
    (finding,) = found(CHECK, make_view(make_estate(jobs=jobs, vms=[make_vm("a"), make_vm("b", name_label="web")])))
    assert "keeps nothing of 1 of 2 VMs (web)" in finding.summary


def test_a_job_that_takes_no_vm_now_is_judged_by_its_schedule():
    assert levels({"schedule": {}, "vm": KEPT}, vms={"power_state": "Halted"}) == [Level.WARN]
    assert levels({"schedule": KEPT, "vm": {"exportRetention": 0}}, vms={"power_state": "Halted"}) == []


@pytest.mark.parametrize(
    ("mode", "settings"),
    [
        ("delta", KEPT | {"longTermRetention": {"daily": {"retention": 7, "settings": {}}}}),
        ("delta", KEPT | {"longTermRetention": {"daily": {"retention": 0, "settings": {}}}, "timezone": "UTC"}),
        ("full", KEPT | {"offlineBackup": True, "snapshotRetention": 1}),
    ],
    ids=["long-term retention without a zone", "long-term retention of nothing", "offline with rolling snapshots"],
)
def test_settings_with_which_every_vm_fails_stand_in_the_way(mode, settings):
    assert levels({"schedule": settings}, mode=mode) == [Level.BLOCK]


@pytest.mark.parametrize(
    "settings",
    [
        KEPT | {"longTermRetention": {"daily": {"retention": 7, "settings": {}}}, "timezone": "Europe/Paris"},
        KEPT | {"offlineBackup": True},
        KEPT | {"snapshotRetention": 1},
    ],
)
def test_the_same_settings_in_order_are_fine(settings):
    assert levels({"schedule": settings}, mode="full") == []


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"snapshotRetention": 2, "preferNbd": True}, "keep 2 snapshots"),
        ({}, "not read disks by NBD"),
        ({"preferNbd": False}, "not read disks by NBD"),
    ],
)
def test_snapshot_data_that_is_never_purged_is_told_and_holds_nothing(settings, why):
    (finding,) = said({"schedule": KEPT | {"cbtDestroySnapshotData": True} | settings})
    assert (finding.code, finding.level, finding.certainty) == ("JOB_MISCONFIGURED", Level.WARN, Certainty.CERTAIN)
    assert facts(finding) == {"cbtDestroySnapshotData": read(True, "", "jobs")}
    assert why in finding.summary


def test_snapshot_data_that_is_purged_and_a_retention_of_nothing_beside_it():
    purged = {"cbtDestroySnapshotData": True, "preferNbd": True}
    assert levels({"schedule": KEPT | purged}) == []
    both = said({"schedule": {"cbtDestroySnapshotData": True}})
    assert [one.code for one in both] == ["JOB_MISCONFIGURED", "SETTINGS_MISSING"]


def ran(**world):
    return run_checks([CHECK], make_view(make_estate(**world)), {"job_settings": CHECK.options()})


def test_a_metadata_job_has_retentions_of_its_own_and_is_not_judged():
    assert len(ran(jobs=[make_job(settings={})])) == 1
    assert ran(jobs=[make_job(settings={}, type="metadataBackup")]) == []


@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({"ok": False, "error": "XO answered 500"}, False),
        ({"complete": False}, False),
        ({"read_at": NOW - timedelta(minutes=10)}, True),
        ({"read_at": NOW - timedelta(minutes=10, seconds=1)}, False),
    ],
)
def test_without_a_fresh_and_whole_list_of_jobs_their_settings_are_unknown(change, known):
    findings = ran(reading={PartName.JOBS: change})
    assert [one.level for one in findings] == ([] if known else [Level.UNKNOWN])
