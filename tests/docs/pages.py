"""The pages of the docs, read by a Markdown parser: their headings, links, code blocks and code in a line."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
TOP = (ROOT / "README.md", ROOT / "CHANGELOG.md")


@dataclass(frozen=True)
class Place:
    """Where something stands: the page, and its line counted from 1."""

    page: Path
    line: int

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Block:
    """A code block; ``info``: what follows the fence, "" for an indented one."""

    place: Place
    info: str
    text: str


@dataclass(frozen=True)
class Span:
    """Code in a line of text, or a link's target."""

    place: Place
    text: str


@dataclass(frozen=True)
class Page:
    path: Path
    headings: tuple[str, ...]
    links: tuple[Span, ...]
    blocks: tuple[Block, ...]
    spans: tuple[Span, ...]

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def slugs(self) -> frozenset[str]:
        return frozenset(slugs(self.headings))


def pages() -> list[Path]:
    """README.md, CHANGELOG.md and every page below docs/."""
    return [*TOP, *sorted(DOCS.rglob("*.md"))]


def page_name(path: Path) -> str:
    """A page as tests call it."""
    return str(path.relative_to(ROOT))


def slugs(headings: tuple[str, ...]) -> list[str]:
    """The anchors GitHub gives to headings, in their order.

    The heading's text without its marks, in lower case; what is no letter, digit, space, hyphen or underscore is left
    out; each space becomes a hyphen. The second heading of a name has ``-1`` behind it, the third ``-2``.
    """
    seen: Counter[str] = Counter()
    found = []
    for heading in headings:
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.append(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


@cache
def read(path: Path) -> Page:
    return parse(path, path.read_text(encoding="utf-8"))


def parse(path: Path, text: str) -> Page:
    lines = text.splitlines()
    headings: list[str] = []
    links: list[Span] = []
    blocks: list[Block] = []
    spans: list[Span] = []
    at, ends, heading = 0, 0, False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.map is not None:
            at, ends = token.map
        heading = token.type == "heading_open" or (heading and token.type != "heading_close")
        if token.type in ("fence", "code_block"):
            blocks.append(
                Block(Place(path, at + (2 if token.type == "fence" else 1)), token.info.strip(), token.content)
            )
        elif token.type == "inline":
            if heading:
                headings.append(
                    "".join(one.content for one in token.children or () if one.type in ("text", "code_inline"))
                )
            for kind, said in _inline(token):
                line = next((number for number in range(at, ends) if said in lines[number]), at)
                (links if kind == "link" else spans).append(Span(Place(path, line + 1), said))
        elif token.type == "html_block" and not token.content.lstrip().startswith("<!--"):
            raise AssertionError(f"{Place(path, at + 1)}: HTML in a page: its links would not be seen; write Markdown")
    return Page(path, tuple(headings), tuple(links), tuple(blocks), tuple(spans))


def _inline(token: Token) -> list[tuple[str, str]]:
    found = []
    for one in token.children or ():
        if one.type == "link_open":
            found.append(("link", str(one.attrs["href"])))
        elif one.type == "image":
            found.append(("link", str(one.attrs["src"])))
        elif one.type == "code_inline":
            found.append(("code", one.content))
    return found
