"""A bounded part of the fuzzing: the same inputs every time, at each of the four boundaries. The long one: make fuzz."""

from __future__ import annotations

import logging
import random

import pytest
from guard.cli.main import main
from tests.fuzz import files, frames, giants, policies
from tests.fuzz.fuzz import cases, tried
from tests.fuzz.judge import BrokenError, call, check, check_text, watched
from tests.fuzz.mutate import MARKER, bend, text_of

HOW_MANY = {"policies": 100, "answers": 30, "frames": 250, "files": 100}


@pytest.fixture(autouse=True)
def _no_log():
    """asyncio tells of every connection that a hostile server cuts."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # connections that were cut in the middle, by design
@pytest.mark.parametrize("boundary", HOW_MANY)
def test_whatever_comes_in_the_answer_is_right_or_one_clear_sentence(boundary):
    outcomes = set()
    for number, data in cases(boundary, "make test"):
        outcome, problem = tried(boundary, data)
        assert not problem, f"{boundary} {number}: {problem}"
        outcomes.add(outcome)
        if number + 1 == HOW_MANY[boundary]:
            break
    assert len(outcomes) >= 10  # else the inputs are all alike


@pytest.mark.parametrize("large", giants.LOGS, ids=range(len(giants.LOGS)))
def test_a_log_of_twenty_thousand_entries_is_explained_in_seconds(large, tmp_path):
    (tmp_path / "log").write_bytes(text_of(large(20_000)))
    call("explain", "--log", str(tmp_path / "log"))


@pytest.mark.parametrize("large", giants.ESTATES, ids=lambda one: one.__name__.strip("_"))
def test_an_estate_that_is_large_deep_or_tangled_is_planned_in_seconds(large, tmp_path):
    (tmp_path / "estate").write_bytes(files.to_bytes(large(4000)))
    for command in (("plan", "--json"), ("match", "job"), ("when", "schedule")):
        told, _ = call(*command, "--estate", str(tmp_path / "estate"))
        assert not told.startswith("error: this is no capture")


def test_the_same_seed_makes_the_same_inputs_and_another_seed_others():
    def made(boundary, seed):
        return [boundary.make(random.Random(f"{seed} {number}")) for number in range(20)]

    for boundary in (policies, frames, files):
        assert made(boundary, 1) == made(boundary, 1)
        assert made(boundary, 1) != made(boundary, 2)


@pytest.mark.parametrize(
    ("out", "err", "told"),
    [
        ("plan\x1b[2J\n", "", "control characters"),
        ("\u202e\n", "", "control characters"),
        (f"token {MARKER}\n", "", "secret"),
        ("", f"guard: {MARKER}\n", "secret"),
        ("", "Traceback (most recent call last)\n", "not guard's own words"),
        ("chain is unknown: the check itself\n  failed (KeyError: 'x').\n", "", "KeyError"),
    ],
)
def test_the_judge_sees_what_must_not_be(out, err, told):
    with pytest.raises(BrokenError, match=told):
        check(0, out, err)


def test_the_judge_sees_a_failure_without_words_and_one_that_takes_for_ever():
    with pytest.raises(BrokenError, match="without a word"):
        check(1, "", "")
    with pytest.raises(BrokenError, match="took longer"), watched(0.05):
        while True:
            pass
    check(0, "é\n", "guard: 中文\n")
    check_text("")


def test_a_bent_document_leaves_the_original_as_it_was():
    document = {"a": [1, {"b": "c"}], "d": None}
    for number in range(200):
        bend(random.Random(number), document, 3)
    assert document == {"a": [1, {"b": "c"}], "d": None}


def test_a_policy_of_which_every_line_is_wrong_is_told_in_a_hundred_lines(tmp_path, capsys):
    policy = tmp_path / "policy"
    policy.write_text("[xo]\nurl = 'https://xo'\n" + "".join(f"k{one} = 1\n" for one in range(5000)))
    import io

    err = io.StringIO()
    assert main(["config", "check", "--config", str(policy)], io.StringIO(), err, {}) == 1
    lines = err.getvalue().splitlines()
    assert len(lines) == 101
    assert lines[-1] == f"guard: {policy}: and 4900 more"
