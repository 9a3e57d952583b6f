"""Text for a terminal: names from outside made harmless, lines folded by the cells they take."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator

import msgspec

WIDTH = 80


def clean(text: str) -> str:
    """Names come from XO, where anybody may write them: no control character of theirs reaches the terminal.

    Escapes, newlines, direction overrides and lone surrogates become U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(one) in _HARMFUL else one for one in text)


def json_line(document: object) -> str:
    """A document as one line of JSON. What could move a terminal's cursor or turn its text around is escaped."""
    return _BEYOND_ASCII.sub(_escaped, msgspec.json.encode(document).decode()) + "\n"


def _escaped(found: re.Match[str]) -> str:
    one = found[0]
    if unicodedata.category(one) not in _HARMFUL:
        return one
    return json.dumps(one)[1:-1]


_BEYOND_ASCII = re.compile(r"[^\x00-\x7e]")
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def cells(text: str) -> int:
    """How many columns a text takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in ("W", "F") else 1 for one in text
    )


def wrap(text: str, indent: str, first: str | None = None, width: int = WIDTH) -> list[str]:
    """Lines of at most ``width`` cells. ``first``: the first line's indent. A word longer than a line is broken."""
    lines: list[str] = []
    line = indent if first is None else first
    empty = True
    for word in clean(text).split(" "):
        for piece in _pieces(word, width - cells(indent)):
            if not empty and cells(line) + 1 + cells(piece) > width:
                lines.append(line.rstrip())
                line, empty = indent, True
            line += piece if empty else " " + piece
            empty = False
    return [*lines, line.rstrip()]


def _pieces(word: str, width: int) -> Iterator[str]:
    """Each character is looked at once: a word from outside may be megabytes long."""
    if cells(word) <= width:
        yield word
        return
    start = taken = 0
    for at, one in enumerate(word):
        size = cells(one)
        if taken + size > width:
            yield word[start:at]
            start, taken = at, 0
        taken += size
    yield word[start:]
