"""kill -9 at random moments: every acknowledged append is there, none is there by half."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from tests.contract.ledger_suite import DUE, alarmed, day, decided, ended, seen
from tests.ledger.opening import NOW, opened

KILLS = 30
ROOT = Path(__file__).parents[2]


def killed_after(path, first, lines):
    """What a writer acknowledged in its life of at least ``lines`` acknowledgements, killed in the middle of more."""
    command = [sys.executable, "-m", "tests.ledger.writer", str(path), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as writer:
        said = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        said += writer.stdout.readlines()
    return [line.split() for line in said if line.endswith(b"\n")]


def test_a_writer_killed_at_random_moments_loses_nothing_it_acknowledged_and_leaves_nothing_half(tmp_path):
    chance, path, first, written, mark = random.Random(13), tmp_path / "ledger.db", 0, 0, -1
    for _ in range(KILLS):
        said = killed_after(path, first, chance.randrange(1, 40))
        acknowledged = {int(number): int(seq) for number, seq in said if seq != b"mark"}
        mark = max((int(number) for number, seq in said if seq == b"mark"), default=mark)
        written += len(said)
        with opened(path) as ledger:
            asyncio.run(ledger.lease("writer", NOW + timedelta(minutes=2)))
            runs = asyncio.run(ledger.between(DUE, DUE + timedelta(days=100_000)))
            still_open = asyncio.run(ledger.open_runs())
            marks = asyncio.run(ledger.processed_through())
        assert marks.get("nightly", day(-1).due) >= day(mark).due
        for number, seq in acknowledged.items():
            assert len(runs[day(number)]) >= seq
        for number in range(first, (max(runs).due - DUE).days + 1):
            whole = (seen(), decided(number % 40 + 1), alarmed("x" * (number % 7 * 3000)), ended())
            assert runs[day(number)] in (whole, whole[:3])
        first = (max(runs).due - DUE).days + 1
        assert [key for key, events in runs.items() if len(events) == 3] == list(still_open)
    print(f"{KILLS} kills, {written} acknowledged calls, {first} due runs: nothing lost, nothing half")
