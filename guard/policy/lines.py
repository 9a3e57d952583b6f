"""Where a key stands in a TOML text. tomli tells lines for syntax errors only. Never exact at any price: 0 = not found."""

from __future__ import annotations

import re

# no two parts of these can take the same characters: a line may be as long as the file
_HEADER = re.compile(r"(\[\[?)([^\]]+)\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""([A-Za-z0-9_."' \t-]+)=""")


def find_lines(text: str) -> dict[str, int]:
    """Key path ("xo.url", "schedule[2].name") -> line number, from 1. Tables of an array count from 1."""
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, whole in enumerate(text.split("\n"), start=1):
        line = whole.strip()
        header = _HEADER.match(line)
        key = _KEY.match(line)
        if header is not None:
            name = _plain(header[2])
            if header[1] == "[[":
                counts[name] = counts.get(name, 0) + 1
            first, _, rest = name.partition(".")
            table = f"{first}[{counts[first]}]" if first in counts else first
            table += f".{rest}" if rest else ""
            found.setdefault(table, number)
        elif key is not None:
            path = f"{table}.{_plain(key[1])}" if table else _plain(key[1])
            found.setdefault(path, number)
    return found


def _plain(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))
