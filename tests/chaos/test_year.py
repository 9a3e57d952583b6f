"""A part of a simulated year of the acting gate (year.py, make year); and its judge would see it if the gate were worse."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from guard.gate import hands, watch
from guard.lifecycle import acting, claiming
from guard.lifecycle.events import Released, ReleasedHow, Releasing
from guard.mechanics.fallback import FallbackKind
from guard.mechanics.zones import offsets_of
from guard.xo.writes import WritingXo
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from tests.chaos import test_year_found, year_life
from tests.chaos.year import KNOWN, Tally, episode_of, smaller, try_episode
from tests.chaos.year_judge import EXEMPT
from tests.chaos.year_plan import CHANGING, EPOCH, WEEKS, Episode, Happening, Planned

LIVED = Tally()


@settings(max_examples=2, derandomize=True, deadline=None, database=None, phases=(Phase.explicit, Phase.generate))
@example(seed=5, week=9)  # the clocks of New York go forward
@example(seed=10, week=11)  # of Paris
@example(seed=8, week=12)  # Lord Howe's go back, by half an hour
@example(seed=3, week=38)  # and forward
@example(seed=7, week=42)  # Paris goes back
@example(seed=12, week=43)  # and New York
@given(seed=st.integers(1, 10**6), week=st.integers(0, WEEKS - 1))
def test_in_any_week_every_due_time_ends_once_and_nothing_is_lost_doubled_or_undone(tmp_path_factory, seed, week):
    wrong = LIVED.news(try_episode(episode_of(seed, week), tmp_path_factory.mktemp("week"), LIVED))
    assert not wrong, f"python -m tests.chaos.year --episode {seed} {week}: {wrong}"


def test_the_part_that_was_lived_through(capsys):
    with capsys.disabled():
        print(f"\nyear: {LIVED}; not demanded: {dict(LIVED.exempt)}")
    assert LIVED.episodes >= 5
    assert LIVED.starts > LIVED.episodes
    assert LIVED.exempt.keys() <= EXEMPT.keys()


def test_a_week_without_trouble_writes_nothing_to_xo(tmp_path):
    calm = next(one for seed in count(1) if (one := episode_of(seed, 3)).is_calm)
    tally = Tally()
    assert try_episode(calm, tmp_path, tally) == []
    assert (tally.writes, tally.starts) == (0, tally.dues)


def test_every_seed_is_a_year_of_its_own_and_always_the_same():
    assert episode_of(3, 17) == episode_of(3, 17)
    assert episode_of(3, 17) != episode_of(4, 17)


@pytest.mark.parametrize("week", [9, 11, 12, 38, 42, 43])
def test_the_nights_in_which_clocks_change_are_in_every_year(week):
    for seed in range(20):
        episode = episode_of(seed, week)
        changes = [offsets_of(zone).changes(minute(episode.begin), minute(episode.end)) for zone in CHANGING]
        assert any(list(found) for found in changes)


def minute(moment):
    return (moment - EPOCH) // timedelta(minutes=1)


def test_what_is_known_is_shown_by_a_test_of_its_own():
    names = [name for name in vars(test_year_found) if name.startswith("test_")]
    assert all(any(name.endswith(shown) for name in names) for shown in KNOWN.values())


# --- the judge sees what it is there to see

NIGHT = Episode(
    begin=datetime(2027, 1, 12, 22, 0, 7, tzinfo=UTC),
    hours=8,
    schedules=(Planned("nightly", "0 2 * * *", claim="always"),),
)
CLAIMED = 4 * 3600 - 7 - 20
"""Seconds: 20 before the due time."""


def after(*happenings, **changes):
    return replace(NIGHT, happenings=happenings, **changes)


def sentences(episode, folder):
    return "\n".join(try_episode(episode, folder))


def test_the_gate_as_it_is_passes_the_nights_on_which_worse_ones_fail(tmp_path):
    for episode in (
        NIGHT,
        after(Happening(CLAIMED, "form", "nightly", value=10, text="mine")),
        after(Happening(CLAIMED - 3600, "hold", value=2 * 3600)),
        after(Happening(CLAIMED, "kill", value=1800)),
    ):
        assert try_episode(episode, tmp_path) == []


def test_a_gate_that_forgets_to_give_a_schedule_back_is_seen(tmp_path, monkeypatch):
    async def forgets(self, run, step, shown):
        grown = await self._append(run, Releasing(at=self._clock()))
        await self._drop(run, run.fired_by, shown, (FallbackKind.RELEASE,))
        return await self._append(grown, Released(at=self._clock(), how=ReleasedHow.ENABLED))

    monkeypatch.setattr(hands.Hands, "release", forgets)
    told = sentences(NIGHT, tmp_path)
    assert "nightly: is left off, and person left it on" in told
    assert re.search("off from .* without any trouble", told)


def test_a_gate_that_gives_back_blindly_is_seen_to_undo_what_a_person_wrote(tmp_path, monkeypatch):
    async def blindly(self, run, step, shown):
        grown = await self._append(run, Releasing(at=self._clock()))
        await self._xo.set_enabled(run.fired_by, True)
        await self._drop(run, run.fired_by, shown, (FallbackKind.RELEASE,))
        return await self._append(grown, Released(at=self._clock(), how=ReleasedHow.ENABLED))

    monkeypatch.setattr(hands.Hands, "release", blindly)
    told = sentences(after(Happening(CLAIMED, "form", "nightly", value=10, text="mine")), tmp_path)
    assert re.search("nightly: guard switched on at .* what person left off", told)


def test_a_gate_that_looks_for_no_run_before_it_starts_is_seen_to_start_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(hands.Hands, "_since_due", lambda *_: None)
    monkeypatch.setattr(acting, "news", lambda *_: ())
    monkeypatch.setattr(year_life, "LONGEST_REST", timedelta(minutes=30))  # its stories never end
    told = sentences(after(Happening(CLAIMED, "kill", value=600), hours=5), tmp_path)
    assert "2 starts where 1 are allowed" in told


def test_a_gate_that_gives_up_at_the_due_time_is_seen_to_lose_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(acting, "_start", lambda run, scene, *_: acting._expired(run, scene))
    assert "VMs never started; expired" in sentences(NIGHT, tmp_path)


@pytest.mark.parametrize(
    ("brake", "seen"), [("hold", "started by rpc at .* under a hold"), ("bypass", r"in spite of \['bypass'\]")]
)
def test_a_gate_that_knows_no_brakes_is_seen(tmp_path, monkeypatch, brake, seen):
    monkeypatch.setattr(watch, "read_brakes", lambda _: ())
    told = sentences(after(Happening(CLAIMED - 3600, brake, value=2 * 3600)), tmp_path)
    assert re.search(seen, told)


def test_a_gate_that_claims_in_a_rolling_update_is_seen(tmp_path, monkeypatch):
    async def none(_):
        return False

    monkeypatch.setattr(WritingXo, "rolling_updates", none)
    others = Planned("other", "0 12 * * *")  # of the other pool: the update leaves the nightly one alone
    rolls = Happening(CLAIMED - 3600, "rpu", "other", value=2 * 3600)
    told = sentences(after(rolls, schedules=(*NIGHT.schedules, others)), tmp_path)
    assert re.search(r"nightly: claimed at .* in spite of \['rpu'\]", told)


def test_a_gate_that_claims_without_need_is_seen_in_a_week_without_trouble(tmp_path, monkeypatch):
    for module in (acting, claiming):
        monkeypatch.setattr(module, "wants_claim", lambda run, **_: run.decided is not None)
    calm = replace(NIGHT, schedules=(Planned("nightly", "0 2 * * *"),))
    assert "writes to XO in a calm episode" in sentences(calm, tmp_path)


def test_what_is_broken_is_taken_down_to_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "read_brakes", lambda _: ())
    hold = Happening(CLAIMED - 3600, "hold", value=2 * 3600)
    more = Happening(100, "run", "nightly"), hold, Happening(CLAIMED + 7200, "restart", "nightly", value=20)
    schedules = (*NIGHT.schedules, Planned("other", "0 3 * * *"))
    assert smaller(after(*more, schedules=schedules), tmp_path) == after(hold)
