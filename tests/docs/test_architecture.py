"""docs/architecture.md is one page, and every folder and module it names is there; every package of guard is named."""

from __future__ import annotations

import re

import pytest
from tests.docs.pages import DOCS, ROOT, page_name, pages, read

PAGE = DOCS / "architecture.md"
_PATH = re.compile(r"(?:guard|tests|systemd|config|docs|benchmarks)/[\w@./*-]*")
LONGEST = 90  # lines


@pytest.mark.parametrize("path", pages(), ids=page_name)
def test_every_file_of_the_repository_that_a_page_names_is_there(path):
    named = [span for span in read(path).spans if _PATH.fullmatch(span.text)]
    missing = [f"{span.place}: {span.text}" for span in named if not list(ROOT.glob(span.text.rstrip("/")))]
    assert missing == []


def test_every_module_that_the_page_names_without_its_folder_is_in_a_folder_that_it_names():
    folders = [ROOT / span.text for span in read(PAGE).spans if span.text.endswith("/")]
    folders += [(ROOT / span.text).parent for span in read(PAGE).spans if _PATH.fullmatch(span.text)]
    names = {span.text for span in read(PAGE).spans if re.fullmatch(r"\w+\.py", span.text)}
    assert {name for name in names if not any((folder / name).exists() for folder in folders)} == set()


def test_every_package_and_module_right_below_guard_is_named_and_the_page_is_one_page():
    named = {span.text.rstrip("/") for span in read(PAGE).spans}
    there = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "guard").iterdir()
        if (path / "__init__.py").exists() or (path.suffix == ".py" and path.name != "__init__.py")
    }
    small = {"guard/errors.py", "guard/finding.py", "guard/threads.py", "guard/units.py"}  # what their names say
    assert there - named - small == set()
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) <= LONGEST
