"""guard's cron and pattern against the npm packages XO runs, live and from golden vectors."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from zoneinfo import available_timezones

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from cases import START, YEAR, cron_cases, night_cases, pattern_cases
from compare import differences
from guard.mechanics.zones import offsets_of
from oracle import ask, require_oracle

GOLDEN = Path(__file__).parents[1] / "golden"
THREE_YEARS = (START + 2 * YEAR, START + 5 * YEAR)


@pytest.mark.parametrize("name", ["cron", "pattern"])
def test_golden_vectors_hold_without_node(name):
    pairs = [json.loads(line) for line in gzip.decompress((GOLDEN / f"{name}.jsonl.gz").read_bytes()).splitlines()]
    assert len(pairs) >= 3000
    assert differences([question for question, _ in pairs], [answer for _, answer in pairs]) == []


@pytest.mark.oracle
def test_20000_random_cron_cases_agree_with_npm(capsys):
    require_oracle()
    questions = cron_cases(20_000)
    found = differences(questions, ask(questions))
    with capsys.disabled():
        print(f"\noracle @xen-orchestra/cron: {len(questions)} random cases, {len(found)} differences")
    assert found == []


@pytest.mark.oracle
def test_every_zones_clock_changes_of_three_years_agree_with_npm(capsys):
    require_oracle()
    (answer,) = ask([{"op": "zones", "from": THREE_YEARS[0], "until": THREE_YEARS[1]}])
    same, apart = [], []
    known = {name.lower(): name for name in available_timezones()}
    for name, (first, *changes) in answer["result"].items():
        if name.lower() not in known:
            continue
        mine = offsets_of(name)
        own = [[one.minute, one.after] for one in mine.changes(*THREE_YEARS)]
        if mine.at(THREE_YEARS[0]) == first and own == changes:
            same += [(name, minute) for minute, _ in changes]
        else:
            apart.append(name)
    questions = night_cases(same)
    found = differences(questions, ask(questions))
    with capsys.disabled():
        print(
            f"\noracle @xen-orchestra/cron: {len(questions)} cases on {len(same)} clock-change nights, {len(found)} differences; "
            f"zones whose data differ and are left out: {', '.join(sorted(apart)) or 'none'}"
        )
    assert found == []
    assert len(same) > 500


@pytest.mark.oracle
def test_50000_pattern_pairs_agree_with_npm(capsys):
    require_oracle()
    questions = pattern_cases(50_000)
    answers = ask(questions)
    found = differences(questions, answers)
    with capsys.disabled():
        true = sum(answer.get("result") is True for answer in answers)
        print(f"\noracle value-matcher: {len(questions)} pairs ({true} match), {len(found)} differences")
    assert found == []
