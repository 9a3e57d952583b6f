"""What the backups on a repository tell: deletions that the storage refuses, and deltas that have lost their base."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.mechanics.archives import lacks_base, refused_deletions
from guard.mechanics.settings import Settings
from tests.builders import LAST_NIGHT, make_archive, make_job


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
