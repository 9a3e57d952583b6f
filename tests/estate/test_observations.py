"""What guard has seen of coalesces, as the ledger keeps it."""

from __future__ import annotations

import msgspec
import pytest
from guard.estate.observations import Observations, Progress, Waiting, read_observations
from tests.builders import NOW

SEEN = Observations(
    since=NOW,
    looked_at=NOW,
    waiting={"node": Waiting(sr="sr", child="child", bytes=1, since=NOW)},
    collected={"sr": NOW},
    begun={"sr": NOW},
    progress={"sr": (Progress(pairs=1, bytes=2, seconds=3.0),)},
)


def test_it_comes_back_as_it_was():
    assert read_observations(msgspec.json.encode(SEEN)) == SEEN
    assert read_observations(None) is None


@pytest.mark.parametrize("told", [b"", b"{}", b"[]", b"\xff", b'{"since":"2026-11-24T22:00:00","looked_at":"x"}'])
def test_what_another_guard_wrote_and_this_one_cannot_read_is_learned_anew(told):
    assert read_observations(told) is None
