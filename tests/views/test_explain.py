"""What a code means: every code of guard, in full and as a list, within 80 columns."""

from __future__ import annotations

import pytest
from guard.checks import CODES
from guard.finding import ClearedBy, Code
from guard.views.explain import codes_text, explain_text, has_runbook

CODE = Code(id="SR_FULL", title="An SR is full", why="It has no room.", do="Free some.", page_section="ENOSPC")


def test_a_code_is_told_in_paragraphs_and_with_the_place_of_its_runbook():
    assert explain_text(CODE) == (
        "SR_FULL: An SR is full.\n\n"
        "Why: It has no room.\n\n"
        "What to do: Free some.\n\n"
        'XO\'s troubleshooting page: "ENOSPC"\n\n'
        "Runbook: docs/runbook.md#sr_full\n"
    )


def test_where_the_runbook_lies_is_told_on_one_line_however_long_it_is():
    place = "/opt/guard-of-a-rather-long-name/and/more/of/it/that-goes-on/share/doc/guard/runbook.md"
    assert explain_text(CODE, place).endswith(f"\n\nRunbook: {place}#sr_full\n")


def test_a_code_that_is_not_on_xos_page_says_so():
    unknown = Code(id="X", title="t", why="w", do="d")
    assert "\n\nNot on XO's troubleshooting page.\n\n" in explain_text(unknown)


def test_what_time_alone_clears_needs_nobody_and_has_no_runbook():
    passing = Code(id="X", title="t", why="w", do="d", clears=(ClearedBy.TIME,))
    assert not has_runbook(passing)
    assert explain_text(passing).endswith("Not on XO's troubleshooting page.\n")
    by_both = Code(id="X", title="t", why="w", do="d", clears=(ClearedBy.TIME, ClearedBy.PERSON))
    assert has_runbook(by_both)


def test_the_list_names_each_code_once_in_order_with_its_title():
    other = Code(id="CHAIN", title="A chain is long", why="", do="")
    assert codes_text({"x": CODE, "y": other}) == (
        "CHAIN                   A chain is long\n"
        "SR_FULL                 An SR is full\n"
    )  # fmt: skip
    assert codes_text({}) == ""


def test_a_long_title_goes_on_below_itself():
    long = Code(id="X", title="one two three four five six seven eight nine ten eleven twelve", why="", do="")
    assert codes_text({"x": long}) == (
        "X                       one two three four five six seven eight nine ten eleven\n"
        "                        twelve\n"
    )  # fmt: skip


@pytest.mark.parametrize("code", CODES.values(), ids=list(CODES))
def test_every_code_of_guard_is_explained_within_80_columns_and_with_something_to_do(code):
    text = explain_text(code)
    assert max(map(len, text.splitlines())) <= 80
    assert " ".join(text.split()).startswith(f"{code.id}: {code.title}. ")
    assert all(part.strip() for part in (code.title, code.why, code.do))


def test_the_list_of_all_codes_fits_80_columns():
    lines = codes_text(CODES).splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "] == sorted(CODES)
    assert max(map(len, lines)) <= 80
