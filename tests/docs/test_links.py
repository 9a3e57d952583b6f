"""Every link of the docs leads somewhere, and every page can be found from the first one."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tests.docs.pages import DOCS, INDEX, ROOT, TOP, page_name, pages, parse, read, slugs

HOSTS: dict[str, str] = {}
"""Hosts a page may link to, each with its reason. None so far: what a page needs is in the repository."""


def wrong(page) -> list[str]:
    """What is wrong with the links of a page, one sentence each."""
    found = []
    for link in page.links:
        parts = urlsplit(link.text)
        if parts.scheme or parts.netloc:
            if parts.netloc not in HOSTS:
                found.append(f"{link.place}: {link.text}: a link to another host that HOSTS does not allow")
            continue
        if parts.path.startswith("/"):
            found.append(f"{link.place}: {link.text}: not a relative link")
            continue
        target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
        if not target.is_relative_to(ROOT) or not (target == page.path or target.exists()):
            found.append(f"{link.place}: {link.text}: there is no such file in the repository")
        elif parts.fragment and (target.suffix != ".md" or parts.fragment not in _slugs(page, target)):
            found.append(f"{link.place}: {link.text}: there is no such heading")
    return found


def _slugs(page, target):
    return page.slugs if target == page.path else read(target).slugs


@pytest.mark.parametrize("path", pages(), ids=page_name)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(path):
    assert wrong(read(path)) == []


def test_every_page_is_reached_from_the_first_one():
    reached, waiting = set(), list(TOP)
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        for link in read(path).links:
            parts = urlsplit(link.text)
            if parts.path and not parts.netloc:
                waiting.append((path.parent / unquote(parts.path)).resolve())
    assert sorted(set(pages()) - reached) == []


def test_the_index_names_every_page_of_docs_once():
    named = [(INDEX.parent / urlsplit(link.text).path).resolve() for link in read(INDEX).links]
    assert sorted(path for path in named if path.suffix == ".md" and path.is_relative_to(DOCS)) == sorted(
        set(DOCS.rglob("*.md")) - {INDEX}
    )


def test_slugs_are_those_of_github():
    assert slugs(("What it does, and what not", "`[xo]` url", "CHAIN_TOO_LONG", "A - b", "A", "A", "A", "Ärger 2")) == [
        "what-it-does-and-what-not",
        "xo-url",
        "chain_too_long",
        "a---b",
        "a",
        "a-1",
        "a-2",
        "ärger-2",
    ]


def test_a_link_that_leads_nowhere_is_found():
    text = (
        "# One\n\n[a](nowhere.md) [b](#two) [c](#one) [d](observe.md#nowhere) [e](https://example.org/)\n"
        "[f](/etc/passwd) [g](../../../etc/passwd) [h](observe.md) ![i](nowhere.png)\n"
    )
    page = parse(DOCS / "made-up.md", text)
    assert [line.split(": ")[1] for line in wrong(page)] == [
        "nowhere.md",
        "#two",
        "observe.md#nowhere",
        "https://example.org/",
        "/etc/passwd",
        "../../../etc/passwd",
        "nowhere.png",
    ]
    assert [Path(line.split(": ")[0]).name for line in wrong(page)][:4] == ["made-up.md:3"] * 4


def test_links_in_code_are_no_links_and_headings_in_code_no_headings():
    page = parse(DOCS / "made-up.md", "    # no heading [x](y)\n\n`[x](y)`\n\n```\n# none\n```\n")
    assert (page.links, page.headings) == ((), ())
    assert [(str(block.place), block.text) for block in page.blocks] == [
        ("docs/made-up.md:1", "# no heading [x](y)\n"),
        ("docs/made-up.md:6", "# none\n"),
    ]
