"""make audit: which packages it asks about, and that its command is one that pip-audit takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.audit import pinned

ROOT = Path(__file__).parents[1]
OPTIONS = ("--strict", "--no-deps", "--disable-pip", "--progress-spinner", "off")


def test_every_library_of_guards_and_what_they_need_is_asked_about() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    found = pinned()
    assert own <= set(found)
    assert {"h11", "httpcore", "certifi"} <= set(found)  # what the libraries themselves need
    assert all(re.fullmatch(r"[\w.+!-]+", version) for version in found.values())


def test_what_only_tests_need_is_not_asked_about() -> None:
    assert {"pytest", "ruff", "mypy", "hypothesis", "pip-audit"} & set(pinned()) == set()


def test_pip_audit_takes_the_command_of_the_make_target(tmp_path: Path) -> None:
    """A dry run asks nobody; whether the vulnerability service answers is for the target itself to tell."""
    tool = Path(sys.executable).with_name("pip-audit")
    if not tool.exists():
        pytest.skip("pip-audit is not installed")
    listed = tmp_path / "requirements.txt"
    listed.write_text("".join(f"{name}=={version}\n" for name, version in pinned().items()), encoding="utf-8")
    command = [str(tool), *OPTIONS, "--dry-run", "--requirement", str(listed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, f"would have audited {len(pinned())} packages" in done.stderr) == (0, True), done.stderr
