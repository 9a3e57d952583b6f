"""Which runs XO's own timer must not start."""

from __future__ import annotations

import msgspec
import pytest
from guard.decision.verdict import Action
from guard.lifecycle.claiming import wants_claim
from guard.lifecycle.due_run import fold
from tests.lifecycle.stories import KEY, decided, seen

FEWER = {"": {"concurrency": 2}}


def judged(action=Action.START, settings=None):
    one = decided()
    verdict = msgspec.structs.replace(one.verdict, action=action, settings=settings or {})
    return fold(KEY, (seen(), msgspec.structs.replace(one, verdict=verdict)))


@pytest.mark.parametrize(
    ("run", "always", "wanted"),
    [
        (fold(KEY, (seen(),)), True, False),
        (judged(), False, False),
        (judged(), True, True),
        (judged(settings=FEWER), False, True),
        *((judged(action), False, True) for action in Action if action is not Action.START),
    ],
)
def test_what_xo_would_start_otherwise_is_claimed(run, always, wanted):
    assert wants_claim(run, always=always) is wanted
