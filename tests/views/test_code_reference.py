"""docs/codes.md is made from the codes, and holds every one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from guard.checks import ALL, CODES
from guard.policy.codes import EVERY_CODE
from guard.views.code_reference import code_reference
from tests.views.verified import verified

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_in_docs_is_that_of_the_code():
    assert (DOCS / "codes.md").read_text() == code_reference(EVERY_CODE, ALL, verified()), "make reference"


def test_every_code_is_there_once_with_its_check_and_its_page():
    text = code_reference(EVERY_CODE, ALL)
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == sorted(EVERY_CODE)
    told = " ".join(text.split())
    assert "the check `chain_depth`, from XO's vbds, vdi_snapshots, vdi_unmanaged, vdis, vms." in told
    assert '**On XO\'s troubleshooting page:** "Error: no XAPI associated to \\<UUID>".' in told


def test_codes_that_no_check_predicts_say_so():
    text = " ".join(code_reference({"UNCLASSIFIED": EVERY_CODE["UNCLASSIFIED"]}, ()).split())
    assert "no check predicts it yet. **On XO's troubleshooting page:** not there." in text


@pytest.mark.parametrize("code", CODES.values(), ids=lambda one: one.id)
def test_a_code_that_is_predicted_says_how_sure_that_is_and_what_clears_it(code):
    assert code.certainty
    assert code.harm
    assert code.clears


def test_every_code_that_is_predicted_is_verified_by_its_own_tests_at_least():
    held = verified()
    assert {code for code in CODES if "unit" not in held[code]} == set()
