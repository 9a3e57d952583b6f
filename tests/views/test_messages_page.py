"""docs/messages.md says what the code does; its examples are compared where they come about (tests/stories)."""

from __future__ import annotations

from pathlib import Path

import pytest
from guard.policy.load import load
from guard.policy.tiers_schema import STATES
from tests.views.tiers_table import BEGIN, table, with_table

TEXT = (Path(__file__).parents[2] / "docs" / "messages.md").read_text(encoding="utf-8")
XO = '[xo]\nurl = "https://xo.example.org"\n'


def test_the_tables_are_those_of_the_code():
    assert with_table(TEXT) == TEXT, "make reference"
    assert all(f"| `{state}` | {tier} |" in table() for state, tier in STATES.items())


def test_without_its_marks_nothing_is_written():
    with pytest.raises(ValueError, match="has lost the marks"):
        with_table(TEXT.replace(BEGIN, ""))


@pytest.mark.parametrize("section", ["[notify.tiers]", "[[accept]]"])
def test_its_examples_are_valid_policies(section):
    example = TEXT.partition(f"    {section}\n")[2].partition("\n\n")[0]
    policy = load(XO + f"{section}\n" + "\n".join(line.strip() for line in example.splitlines()), file="p")
    assert (len(policy.tiers), len(policy.accepts)) == ((3, 0) if section == "[notify.tiers]" else (0, 1))
