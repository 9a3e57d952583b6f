"""guard's due times against the scheduler job XO runs: npm's own Job on a driven clock, over clock-change nights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from cases import START, YEAR, job_cases
from guard.estate.xo_records import Schedule
from guard.mechanics.cron import CronError, to_minute, to_time
from guard.mechanics.due import due_times
from guard.mechanics.zones import offsets_of
from oracle import ask, require_oracle

NIGHT = 12 * 60
ZONES = (
    "Europe/Paris",
    "Europe/London",
    "America/New_York",
    "America/Havana",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Beirut",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "America/St_Johns",
)


def ours(question, change):
    """(starts, minutes of the storm that XO reaches) around one change, as guard's due times tell them."""
    schedule = Schedule(id="s", cron=question["expression"])
    after, until = to_time(change - NIGHT), to_time(change + NIGHT)
    try:
        dues = due_times(schedule, zone=question["zone"], after=after, until=until)
    except CronError:
        return None
    starts = sorted(to_minute(start) for due in dues for start in due.starts)
    storm = next((due.storm for due in dues if due.storm is not None), None)
    return starts, storm and (to_minute(storm.first), to_minute(storm.last))


def agrees(question, answer):
    change = question["until"] - 1440
    mine = ours(question, change)
    if mine is None or "error" in answer:
        return mine is None and "error" in answer
    starts, storm = mine
    told = [start for start in answer["result"]["starts"] if change - NIGHT < start <= change + NIGHT]
    if answer["result"]["storm"] is None:
        return storm is None and starts == told
    first, last = storm or (0, -1)
    # from the storm on XO is dying: what it still starts is nobody's guess
    quiet = [start for start in told if start < first]
    return first <= answer["result"]["storm"] <= last and [start for start in starts if start < first] == quiet


@pytest.mark.oracle
def test_due_times_of_3000_clock_change_nights_are_the_starts_of_npms_own_job(capsys):
    require_oracle()
    years = (START + 2 * YEAR, START + 5 * YEAR)
    changes = [(zone, one.minute) for zone in ZONES for one in offsets_of(zone).changes(*years)]
    questions = job_cases(changes, 3000)
    answers = ask(questions)
    found = [(one, answer) for one, answer in zip(questions, answers, strict=True) if not agrees(one, answer)]
    storms = sum(1 for answer in answers if answer.get("result", {}).get("storm") is not None)
    with capsys.disabled():
        print(f"\noracle @xen-orchestra/cron Job: {len(questions)} nights, {storms} storms, {len(found)} differences")
    assert found == []
    assert storms > 20
