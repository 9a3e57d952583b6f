"""Text for a terminal: names from outside made harmless, lines folded by the cells they take."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

WIDTH = 80


def clean(text: str) -> str:
    """Names come from XO, where anybody may write them: no control character of theirs reaches the terminal.

    Escapes, newlines, direction overrides and lone surrogates become U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(one) in _HARMFUL else one for one in text)


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
    while cells(word) > width:
        count = next(end for end in range(len(word), 0, -1) if cells(word[:end]) <= width)
        yield word[:count]
        word = word[count:]
    yield word
