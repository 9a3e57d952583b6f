"""guard's checks against the published backup engine, on the same worlds."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from tests.engine import report, simulated
from tests.engine.engine import require_engine, running_engine
from tests.engine.families import CERTAIN, stages
from tests.engine.judge import judge
from tests.engine.stage import EARLIER, SUCCESS

pytestmark = pytest.mark.oracle

SIDE_BY_SIDE = 10
"""Most of a run is waiting: for files, and for events, which the XAPI client gathers for 200 ms."""


async def _judge_all(noise):
    places = asyncio.Semaphore(SIDE_BY_SIDE)
    async with running_engine(EARLIER, noise) as engine:

        async def one(stage):
            async with places:
                return await judge(stage, engine)

        return await asyncio.gather(*map(one, stages()))


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    require_engine()
    found = asyncio.run(_judge_all(tmp_path_factory.mktemp("engine") / "stderr.txt"))
    report.CLOSING[:] = report.closing(found)
    return found


def test_the_engine_does_in_every_scenario_what_it_was_made_for(judged):
    wrong = [f"{one.stage.family}, {one.stage.seed}: {text}" for one in judged for text in one.wrong]
    assert wrong == []


def test_there_are_200_scenarios_and_both_sides_of_every_family_that_must_be_certain(judged):
    assert len(judged) >= 200
    outcomes = {}
    for one in judged:
        sides = (told == SUCCESS for told in one.stage.expected.values())
        outcomes.setdefault(one.stage.family, Counter()).update(sides)
    assert {family for family in CERTAIN if len(outcomes[family]) < 2} == {"healthy"}


def test_no_prediction_that_is_certain_is_wrong_and_nothing_is_missed_where_all_must_be_certain(judged):
    compared = [one for each in judged for one in each.compared]
    assert report.bad(compared) == []


def test_the_simulated_run_engine_does_what_the_published_one_does(judged):
    differences = simulated.apart(judged, stages())
    report.CLOSING.extend(simulated.closing(differences))
    assert [one for one in differences if not one.expected] == []
