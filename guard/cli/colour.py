"""Colour for a terminal; plain text everywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from guard.views.plan import Style, plain

_STYLES = {
    "start": "green",
    "start_some": "yellow",
    "defer": "yellow",
    "skip": "cyan",
    "refuse": "bold red",
    "block": "red",
    "warn": "yellow",
    "unknown": "magenta",
}


def style_for(stdout: TextIO, env: Mapping[str, str]) -> Style:
    """A style that colours only where a person sees a terminal and NO_COLOR is not set."""
    if not stdout.isatty() or env.get("NO_COLOR"):
        return plain
    from rich.style import Style as RichStyle

    styles = {kind: RichStyle.parse(text) for kind, text in _STYLES.items()}
    return lambda text, kind: styles[kind].render(text) if kind in styles else text
