"""A simulated year of the acting gate: ``python -m tests.chaos.year YEARS SEED`` (make year), and a bounded part in the tests.

A year is 52 episodes, one in each week of 2027, the nights in which the clocks of Paris, New York and Lord Howe change
among them. An episode is a world of its own, 14 to 30 hours in driven time and as much longer as its last trouble takes,
then peace: two to seven schedules, a handful of happenings (year_plan.py), lived through by a guard on a real SQLite file
(year_life.py) and judged (year_judge.py). One in eight has no trouble at all; one in three is short, its happenings close to
one due time. What a year is made of follows from its seed; a failing episode replays with the command that is printed,
``python -m tests.chaos.year --episode SEED WEEK``, and ``--smaller SEED WEEK`` takes from it what it does not need. What is
``KNOWN`` already is counted, and breaks nothing.
"""

from __future__ import annotations

import re
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from tests.chaos.year_judge import Judge
from tests.chaos.year_life import Life
from tests.chaos.year_plan import WEEKS, Episode, draw_episode

KNOWN: dict[str, str] = {}
"""What a sentence of the judge's looks like -> the end of the name of the test in test_year_found.py that shows it."""


@dataclass
class Tally:
    """What was lived through. ``known``: how often what was found before; ``broken``: (what to replay, sentences)."""

    episodes: int = 0
    dues: int = 0
    starts: int = 0
    writes: int = 0
    exempt: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[str, list[str]]] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.episodes} episodes, {self.dues} due times, {self.starts} starts, {self.writes} writes to XO, "
            f"{self.known.total()} known, {len(self.broken)} broken"
        )

    def count(self, judge: Judge) -> None:
        self.episodes += 1
        self.dues += sum(len(dues) for dues in judge.dues.values())
        self.starts += len(judge.world.starts)
        self.writes += len(judge.world.writes)
        self.exempt += judge.exempt
        self.happened.update(one.what for one in judge.life.episode.happenings)

    def news(self, wrong: list[str]) -> list[str]:
        """Without what is known, which is counted."""
        found = {told: next((name for form, name in KNOWN.items() if re.search(form, told)), "") for told in wrong}
        self.known.update(name for name in found.values() if name)
        return [told for told, name in found.items() if not name]


def episode_of(seed: int, week: int) -> Episode:
    return draw_episode(Random(f"{seed}/{week}"), week)


def try_episode(episode: Episode, folder: Path, tally: Tally | None = None) -> list[str]:
    """What is broken in it; an exception that leaves guard is broken too."""
    life = Life(episode, folder / "ledger.sqlite")
    try:
        life.live_through()
        judge = Judge(life)
    except Exception as error:  # noqa: BLE001 - whatever it is, the episode is broken by it
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {error}"]
    else:
        if tally is not None:
            tally.count(judge)
        return judge.broken
    finally:
        life.close()
        for file in folder.iterdir():
            file.unlink()


def live_years(years: int, seed: int) -> Tally:
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        for one in range(seed, seed + years):
            for week in range(WEEKS):
                wrong = tally.news(try_episode(episode_of(one, week), Path(name), tally))
                if wrong:
                    tally.broken.append((f"{one} {week}", wrong))
                    print(f"year: broken in seed {one}, week {week}:", *wrong, sep="\n  ")
                    print(f"  again: python -m tests.chaos.year --episode {one} {week}", flush=True)
            print(f"year: seed {one} lived through, so far {tally}", flush=True)
    print(f"year: {dict(tally.happened)}; not demanded: {dict(tally.exempt)}; known: {dict(tally.known)}")
    print(f"year: {years} years: {tally}")
    return tally


def smaller(episode: Episode, folder: Path) -> Episode:
    """What is left of a broken episode when everything is taken from it without which it is broken still.

    One that is broken by something new stays so: it does not shrink into what is known.
    """
    is_new = bool(Tally().news(try_episode(episode, folder)))
    while True:
        for less in _less(episode):
            wrong = try_episode(less, folder)
            if Tally().news(wrong) if is_new else wrong:
                episode = less
                break
        else:
            return episode


def _less(episode: Episode) -> Iterator[Episode]:
    """The episode without one of its happenings, or one of its schedules and what happens to it; with calls at once."""
    for one in episode.happenings:
        yield replace(episode, happenings=tuple(other for other in episode.happenings if other is not one))
    for planned in episode.schedules:
        kept = tuple(one for one in episode.schedules if one.name != planned.name and one.job_of != planned.name)
        names = {"", *(one.name for one in kept)}
        if kept:
            left = tuple(one for one in episode.happenings if one.on in names)
            yield replace(episode, schedules=kept, happenings=left)
    if episode.latency:
        yield replace(episode, latency=0.0)


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("--episode", "--smaller"):
        episode = episode_of(int(arguments[1]), int(arguments[2]))
        if arguments[0] == "--smaller":
            with tempfile.TemporaryDirectory() as name:
                episode = smaller(episode, Path(name))
        print(f"begin {episode.begin}, {episode.hours} h, latency {episode.latency} s")
        print(*episode.schedules, *episode.happenings, sep="\n")
        with tempfile.TemporaryDirectory() as name:
            wrong = try_episode(episode, Path(name))
        print(*(wrong or ["whole"]), sep="\n")
        return 1 if wrong else 0
    return 1 if live_years(int(arguments[0]), int(arguments[1])).broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
