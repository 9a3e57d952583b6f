"""Crash points of the acting gate: ``python -m tests.chaos.chaos CRASHES SEED`` (make chaos), and a bounded part in the tests.

A point is one (port call of a night, before / after / answer lost / XO restarts / XO hangs), with a time for which guard
is away after it. Each is one night in driven time on a real SQLite file, and must leave every invariant whole.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tests.chaos.acting import END, XO_WRITES, Acting, LostAnswers, XoFails, acting_world, broken
from tests.chaos.mortal import Fate

DOWNTIMES = (
    timedelta(0),
    timedelta(seconds=2),
    timedelta(seconds=20),
    timedelta(seconds=70),
    timedelta(minutes=5),
    timedelta(minutes=40),
)
KILLS = ("before", "after")
XO_TROUBLES = ("restarts", "hangs")


@dataclass(frozen=True)
class Point:
    """``call``: the number of the port call at which it happens; ``name``: which it is; ``away``: guard's absence."""

    call: int
    name: str
    how: str
    away: timedelta
    seed: int = 0

    def __str__(self) -> str:
        away = f", away {self.away.total_seconds():g} s" if self.how in KILLS else ""
        return f"seed {self.seed}, call {self.call} ({self.name}), {self.how}{away}"


def fate_of(point: Point, live):
    match point.how:
        case "lost":
            return LostAnswers(point.call)
        case "restarts" | "hangs":
            return XoFails(point.call, live, hangs=point.how == "hangs")
        case _:
            return Fate(lambda number, _name: number == point.call, before=point.how == "before")


def try_point(point: Point, folder: Path) -> list[str]:
    """What is broken after it; an exception that no crash explains is broken too."""
    live = acting_world(point.seed)
    path = folder / "ledger.sqlite"
    guarded = Acting(live, path, fate_of(point, live), (point.away,))
    try:
        guarded.live_through(END)
        return broken(guarded, live)
    except Exception as error:  # noqa: BLE001 - whatever it is, the point is broken by it
        return [f"{type(error).__name__}: {error}"]
    finally:
        guarded.close()
        for file in folder.iterdir():
            file.unlink()


def calls_of_a_night(folder: Path, seed: int = 0) -> list[tuple[int, str]]:
    """Every port call of a night without a crash, which itself has to be whole."""
    live = acting_world(seed)
    fate = Fate(lambda _number, _name: False, before=True)
    guarded = Acting(live, folder / "ledger.sqlite", fate)
    guarded.live_through(END)
    wrong = broken(guarded, live)
    guarded.close()
    for file in folder.iterdir():
        file.unlink()
    if wrong:
        raise AssertionError(f"seed {seed}: without any crash: {wrong}")
    return list(enumerate(fate.names, 1))


def points_of(calls: Iterable[tuple[int, str]], names: frozenset[str], seed: int = 0) -> Iterator[Point]:
    """Every point at the calls of these names; the times away go round."""
    count = seed
    for call, name in calls:
        if name not in names:
            continue
        for how in (*KILLS, *(("lost", *XO_TROUBLES) if name in XO_WRITES else ())):
            yield Point(call, name, how, DOWNTIMES[count % len(DOWNTIMES)], seed)
            count += 1


def chaos(crashes: int, seed: int) -> int:
    """Random nights and random points until so many were tried; the number of broken ones."""
    tried = failed = 0
    night = seed
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        while tried < crashes:
            chance = random.Random(night)
            calls = calls_of_a_night(folder, night)
            points = list(points_of(calls, frozenset(name for _, name in calls), night))
            chosen = [one for one in points if one.name in XO_WRITES | {"append"}]
            others = [one for one in points if one.name not in XO_WRITES | {"append"}]
            chosen += chance.sample(others, min(len(others), len(chosen) // 4))
            for point in chosen[: crashes - tried]:
                wrong = try_point(point, folder)
                tried += 1
                if wrong:
                    failed += 1
                    print(f"chaos: broken at {point}:", *wrong, sep="\n  ")
                    print(
                        f"  again: python -m tests.chaos.chaos --point {point.call} {point.how} "
                        f"{point.away.total_seconds():g} {point.seed}"
                    )
            night += 1
    print(f"chaos: {tried} crash points, {failed} broken")
    return failed


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] == "--point":
        call, how, away, seed = arguments[1:]
        with tempfile.TemporaryDirectory() as name:
            calls = dict(calls_of_a_night(Path(name), int(seed)))
            point = Point(int(call), calls[int(call)], how, timedelta(seconds=float(away)), int(seed))
            wrong = try_point(point, Path(name))
        print(point, *(wrong or ["whole"]), sep="\n  ")
        return 1 if wrong else 0
    return 1 if chaos(int(arguments[0]), int(arguments[1])) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
