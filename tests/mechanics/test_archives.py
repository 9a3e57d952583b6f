"""What the backups on a repository tell: deletions that the storage refuses, and deltas that have lost their base."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.mechanics.archives import lacks_base, refused_deletions
from guard.mechanics.outlook import Outlook
from guard.mechanics.retention import newest_bases
from guard.mechanics.settings import Settings
from tests.builders import LAST_NIGHT, NOW, make_archive, make_due, make_estate, make_job, make_snapshot


def nights(count, immutable=(), **more):
    return [
        make_archive(start=LAST_NIGHT - timedelta(days=count - night), isImmutable=night in immutable, **more)
        for night in range(count)
    ]


@pytest.mark.parametrize(
    ("kept", "retention", "immutable", "refused"),
    [
        (6, 7, {0}, 0),  # the seventh comes tonight, none has to go
        (7, 7, {0}, 1),
        (7, 7, {1}, 0),
        (9, 7, {0, 1, 2}, 3),
        (9, 7, {0, 2, 3}, 2),
        (1, 1, {0}, 1),
        (3, 0, {0, 1, 2}, 0),  # nothing is exported
    ],
)
def test_the_oldest_backups_beyond_retention_must_go_and_those_that_are_protected_cannot(
    kept, retention, immutable, refused
):
    found = refused_deletions(nights(kept, immutable), make_job(), "schedule", Settings(export_retention=retention))
    assert len(found) == refused


def test_backups_of_another_schedule_job_or_mode_do_not_count():
    others = [
        *nights(2, {0, 1}, scheduleId="other"),
        *nights(2, {0, 1}, jobId="other"),
        *nights(2, {0, 1}, mode="full"),
    ]
    assert refused_deletions(others, make_job(), "schedule", Settings(export_retention=1)) == ()


def test_with_long_term_retention_nothing_is_claimed():
    settings = Settings(export_retention=1, long_term_retention={"monthly": {"retention": 3}})
    assert refused_deletions(nights(3, {0, 1, 2}), make_job(), "schedule", settings) == ()


def test_a_base_is_the_delta_of_this_job_that_was_made_from_the_snapshot():
    job = make_job()
    assert not lacks_base([make_archive(disks=[{"uuid": "snap"}])], job, {"snap"})
    assert lacks_base([make_archive(disks=[{"uuid": "older"}])], job, {"snap"})
    assert lacks_base([make_archive(disks=[{"uuid": "snap"}], jobId="other")], job, {"snap"})
    assert lacks_base([make_archive(disks=[{"uuid": "snap"}], mode="full")], job, {"snap"})
    assert lacks_base([], job, {"snap"})


def outlook(archives, *, targets=("repo",), mode="delta", reading=None, **world):
    job = make_job(mode=mode, remotes={"id": {"__or": list(targets)}})
    estate = make_estate(
        jobs=[job], archives=archives, reading=reading, **{"vdi_snapshots": [make_snapshot("base")]} | world
    )
    return Outlook(estate, NOW), job


KEPT, OTHER = [{"uuid": "base"}], [{"uuid": "older"}]


@pytest.mark.parametrize(
    ("archives", "world", "lost"),
    [
        ([make_archive(disks=KEPT)], {}, 0),
        ([make_archive(disks=OTHER)], {}, 1),
        ([make_archive("another vm", disks=KEPT)], {}, 1),
        ([], {}, 0),
        ([make_archive(disks=OTHER)], {"mode": "full"}, 0),
        ([make_archive(disks=OTHER)], {"vdi_snapshots": []}, 0),
        ([make_archive(disks=OTHER)], {"reading": {"archives": {"ok": False}}}, 0),
        ([make_archive(disks=OTHER)], {"targets": ("repo", "cloud")}, 0),
        ([make_archive(disks=OTHER), make_archive(repository="cloud", disks=KEPT)], {"targets": ("repo", "cloud")}, 0),
        ([make_archive(disks=OTHER), make_archive(repository="cloud")], {"targets": ("repo", "cloud")}, 1),
    ],
    ids=[
        "the backup of the base is there",
        "it is not",
        "this VM has no backup there",
        "nothing was listed, so XO may be unable to",
        "a full job",
        "no snapshot either: that is told elsewhere",
        "the list was not read",
        "one of several was not listed",
        "another of several has it",
        "none of several has it",
    ],
)
def test_a_disk_has_lost_its_archive_where_every_target_was_listed_and_none_has_it(archives, world, lost):
    shared, job = outlook(archives, **world)
    targets = world.get("targets", ("repo",))
    assert shared.lost_archives(job, "vm", targets) == lost


def test_such_a_disk_makes_the_next_transfer_a_full():
    due = make_due()
    for archives, full in (([make_archive(disks=KEPT)], False), ([make_archive(disks=OTHER)], True)):
        shared, _ = outlook(archives)
        assert shared.bytes_of(shared.expect(due), "vm", "repo").full is full


def test_the_newest_snapshots_of_the_job_are_the_base_and_copies_are_not():
    older = make_snapshot("older", taken=LAST_NIGHT - timedelta(days=1))
    copy = make_snapshot("copy", taken=LAST_NIGHT + timedelta(hours=1), marks={"xo:copy_of": "x"})
    assert newest_bases(make_job(), "vm", [older, make_snapshot("new"), make_snapshot("too"), copy]) == {"new", "too"}
    assert newest_bases(make_job(), "vm", [copy]) == frozenset()
