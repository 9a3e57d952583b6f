"""The simulated scheduler against npm's own Job on a driven clock, over clock-change nights and the weeks before them."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest
from guard.mechanics.cron import to_minute, to_time
from guard.mechanics.zones import offsets_of
from guard.simulator.live import Live
from guard.simulator.world import World

sys.path.insert(0, str(Path(__file__).parents[1] / "oracles"))
from cases import START, YEAR, job_cases
from oracle import ask, require_oracle

ZONES = ("Europe/Paris", "America/New_York", "America/Santiago", "Africa/Cairo", "Atlantic/Azores", "Asia/Beirut")
NIGHTS = 400


def ours(question: dict) -> tuple[list[int], bool]:
    """Minutes of all starts, a storm's once, and whether a storm ended it."""
    begin = to_time(question["from"])
    world = World(lambda: begin)
    world.add_schedule(world.add_job("any"), question["expression"], question["zone"])
    live, starts = Live(world), []
    live.scheduler.storm_cap = 3
    live.jobs.run_schedule = lambda *_: starts.append(to_minute(live.now()))  # type: ignore[method-assign]
    live.advance(to_time(question["until"]) + timedelta(seconds=1))  # its timers are 5 ms late
    return (sorted(set(starts)) if live.down else starts), bool(live.down)


@pytest.mark.oracle
def test_the_scheduler_starts_what_npms_own_job_starts(capsys: pytest.CaptureFixture[str]) -> None:
    require_oracle()
    changes = [(zone, one.minute) for zone in ZONES for one in offsets_of(zone).changes(START, START + 3 * YEAR)]
    questions = job_cases(changes, NIGHTS, seed=7)
    differences, storms = [], 0
    for question, answer in zip(questions, ask(questions), strict=True):
        if "error" in answer:
            continue
        real = answer["result"]
        storms += real["storm"] is not None
        if ours(question) != (real["starts"], real["storm"] is not None):
            differences.append(question)
    with capsys.disabled():
        print(f"\noracle @xen-orchestra/cron Job: {NIGHTS} nights, {storms} storms, {len(differences)} differences")
    assert differences == []
    assert storms > 3
