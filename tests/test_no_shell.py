"""guard runs no shell and no program, and builds no code or object from what it reads: every file of it, as a tree."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "guard").rglob("*.py"))

MODULES = {
    "pickle": "runs what it reads",
    "marshal": "crashes on what it reads",
    "shelve": "is pickle in a file",
    "dill": "is pickle",
    "yaml": "makes objects from what it reads; guard reads TOML and JSON",
    "pty": "starts programs",
    "commands": "starts programs",
    "popen2": "starts programs",
    "code": "runs what it reads",
    "telnetlib": "has no TLS",
    "ftplib": "has no TLS",
    "subprocess": "starts programs",
    "multiprocessing": "is pickle between processes",
    "ctypes": "calls what no test can watch",
}
CALLS = {
    "os.system": "a shell",
    "os.popen": "a shell",
    "os.startfile": "starts programs",
    "os.fork": "leaves a second guard behind",
    "os.posix_spawn": "starts programs",
    "os.posix_spawnp": "starts programs",
    "tempfile.mktemp": "another user can be faster",
    "asyncio.create_subprocess_shell": "a shell",
    "asyncio.create_subprocess_exec": "starts programs",
    "ssl._create_unverified_context": "trusts everybody",
    "eval": "runs what it reads",
    "exec": "runs what it reads",
    "compile": "is the first half of exec",
    "__import__": "hides what is imported",
}
STARTS = {"os.exec", "os.spawn"}
PROGRAMS: dict[str, str] = {}
"""File below guard/ -> why it may start a program. None does."""
UNVERIFIED = {
    "guard/http.py": "[xo], [[pool]] and [notify] verify = false; it is told at every start (docs/security.md)"
}
IMPORTED_BY_NAME = {"guard/cli/main.py": "the command's own module, of those that the parser knows"}


def names_of(path: Path) -> tuple[set[str], ast.Module]:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return {dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}, tree


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def wrong_in(path: Path) -> list[str]:
    """What is in a file that must not be, each with its reason."""
    calls, tree = names_of(path)
    names = imported(tree)
    found = [f"imports {name}: {why}" for name, why in MODULES.items() if name in {one.split(".")[0] for one in names}]
    found += [f"{name}: {why}" for name, why in CALLS.items() if name in calls or name in names]
    found += [f"{one} starts programs" for one in calls | names if any(one.startswith(start) for start in STARTS)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found += [
                f"line {node.lineno}: {keyword.arg} = {ast.unparse(keyword.value)}"
                for keyword in node.keywords
                if (keyword.arg == "shell" and ast.unparse(keyword.value) != "False")
                or (keyword.arg in ("verify", "check_hostname") and ast.unparse(keyword.value) == "False")
            ]
    return found


def test_there_is_something_to_look_at() -> None:
    assert len(FILES) > 300


@pytest.mark.parametrize("path", FILES, ids=place)
def test_no_file_of_guards_runs_a_shell_or_what_it_reads(path: Path) -> None:
    assert place(path) in PROGRAMS or wrong_in(path) == []


def test_certificates_go_unchecked_in_one_place_only_and_that_one_is_documented() -> None:
    found = {place(path) for path in FILES if "CERT_NONE" in path.read_text(encoding="utf-8")}
    assert found == set(UNVERIFIED)
    assert "verify = false" in (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_modules_are_imported_by_a_computed_name_in_one_place_only() -> None:
    found = {place(path) for path in FILES if {"importlib.import_module", "import_module"} & names_of(path)[0]}
    assert found == set(IMPORTED_BY_NAME)


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.system('ls')",
        "from os import popen\npopen('ls')",
        "import subprocess\nsubprocess.run(['ls'])",
        "from subprocess import run",
        "def f():\n    run('ls', shell=True)",
        "eval('1')",
        "import pickle",
        "from tempfile import mktemp",
        "import tempfile\ntempfile.mktemp()",
        "import yaml\nyaml.load(x)",
        "import os\nos.execv('/bin/sh', [])",
        "import asyncio\nasyncio.create_subprocess_shell('ls')",
        "httpx.get(url, verify=False)",
    ],
)
def test_each_of_these_would_be_found(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text, encoding="utf-8")
    assert wrong_in(path) != []
