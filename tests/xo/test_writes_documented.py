"""docs/writes.md against the code: the methods that guard writes with, no more and no less, and what is said of each."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from guard.simulator.faults import Faults
from guard.simulator.rpc import RpcApi
from guard.xo.methods import READS, WRITES
from tests.simulator.worlds import small_world

ROOT = Path(__file__).parents[2]
COLUMNS = ("method", "when", "mode", "how undone", "permission", "why")
_METHOD = re.compile(r"[a-z][A-Za-z]*\.[a-z][A-Za-z]*")


def table() -> list[dict[str, str]]:
    lines = (ROOT / "docs" / "writes.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    head, _, *body = rows
    assert tuple(head) == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in body]


def documented() -> list[str]:
    return [row["method"].strip("`") for row in table()]


def named_in_code() -> set[str]:
    """Every text in guard/xo that is one of XO's methods, by the simulated XO's list of them."""
    known = set(RpcApi(small_world().world, Faults()).methods)
    texts = {
        node.value
        for path in (ROOT / "guard" / "xo").glob("*.py")
        if path.name != "methods.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if _METHOD.fullmatch(text) and text in known}


def test_the_table_has_each_method_that_guard_writes_with_once() -> None:
    assert sorted(documented()) == sorted(WRITES)


def test_the_code_sends_no_method_that_neither_list_has() -> None:
    assert named_in_code() <= READS | WRITES
    assert named_in_code() & WRITES == WRITES


def test_what_the_simulated_xo_takes_for_a_write_is_a_write() -> None:
    methods = RpcApi(small_world().world, Faults()).methods
    assert {name for name in READS | WRITES if methods[name].writes} == set(WRITES)


@pytest.mark.parametrize("row", table(), ids=documented())
def test_each_row_says_when_how_undone_and_why(row: dict[str, str]) -> None:
    assert all(row[column] for column in COLUMNS)


@pytest.mark.parametrize("row", table(), ids=documented())
def test_the_permission_is_the_one_that_the_simulated_xo_asks_for(row: dict[str, str]) -> None:
    method = RpcApi(small_world().world, Faults()).methods[row["method"].strip("`")]
    assert row["permission"].startswith({"admin": "admin", "": "any user"}[method.permission or ""])


def test_observe_mode_is_named_for_one_method_alone() -> None:
    assert [row["method"] for row in table() if "observe" in row["mode"]] == ["`token.create`"]


def test_the_number_of_methods_in_the_security_notes_is_right() -> None:
    words = {13: "thirteen", 14: "fourteen", 15: "fifteen"}
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert f"{words[len(WRITES)]} methods" in text
