"""The policy's [coverage]: its defaults, and what a person gets wrong in it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.errors import PolicyError
from guard.policy.coverage_schema import CoverageSection
from guard.policy.load import load
from guard.policy.sample import sample, show

XO = '[xo]\nurl = "https://xo.example.org"\n[coverage]\n'


def test_by_default_no_tag_is_ignored_and_each_schedule_tells_its_own_limit():
    found = load(XO, file="guard.toml").coverage
    assert found == CoverageSection()
    assert (found.ignore_tags, found.max_age, found.full_within_days) == ((), None, 14)


def test_the_section_is_read_shown_and_in_the_sample():
    policy = load(XO + 'ignore_tags = ["no-backup"]\nmax_age = "48 h"\nfull_within_days = 7\n', file="guard.toml")
    assert policy.coverage == CoverageSection(
        ignore_tags=("no-backup",), max_age=timedelta(hours=48), full_within_days=7
    )
    assert ("coverage.max_age", '"2 d"', "policy") in show(policy)
    assert "[coverage]\n" in sample()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('max_age = "0 s"', "coverage.max_age = '0 s': expected more than 0 s"),
        ("max_age = 48", "coverage.max_age = 48: expected a duration"),
        ('ignore_tags = [" "]', "coverage.ignore_tags = ' ': expected tags of VMs"),
        ("full_within_days = 0", "coverage.full_within_days = 0: expected"),
        ('max_ages = "1 d"', "did you mean max_age?"),
    ],
)
def test_a_wrong_value_gets_one_error_that_names_key_value_and_what_is_right(text, said):
    with pytest.raises(PolicyError) as caught:
        load(XO + text + "\n", file="guard.toml")
    assert said in "\n".join(caught.value.problems)
