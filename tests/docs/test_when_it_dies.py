"""docs/when-it-dies.md names for each row a test that is there, or says that there is none."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from tests.docs.pages import DOCS, ROOT, read

PAGE = DOCS / "when-it-dies.md"
_ROW = re.compile(r"^\| ([A-Z]\d+) \| (.*) \|$", re.MULTILINE)


@cache
def there_are() -> frozenset[str]:
    """The name of every test function."""
    found = set()
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found |= {
            one.name
            for one in ast.walk(tree)
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test_")
        }
    return frozenset(found)


def rows() -> tuple[dict[str, str], dict[str, str]]:
    """(number -> what happens, number -> what holds it)."""
    told, _, held = PAGE.read_text(encoding="utf-8").partition("## The tests behind each row")
    return dict(_ROW.findall(told)), dict(_ROW.findall(held))


def test_every_row_says_what_holds_it_and_each_number_is_there_once():
    told, held = rows()
    assert list(told) == list(held)
    numbers = [found[0] for found in _ROW.findall(PAGE.read_text(encoding="utf-8"))]
    assert len(numbers) == 2 * len(told)


@pytest.mark.parametrize("number", rows()[1])
def test_what_holds_a_row_is_a_test_that_is_there_or_it_says_that_there_is_none(number):
    held = rows()[1][number]
    named = re.findall(r"`([^`]+)`", held)
    assert named or "not tested" in held
    assert set(named) - there_are() == set()


def test_every_row_of_the_page_is_seen_by_the_parser_of_its_links_too():
    assert "the-tests-behind-each-row" in read(PAGE).slugs
