"""Writes the table of docs/metrics.md from the code (make reference)."""

from __future__ import annotations

from pathlib import Path

from guard.views.metrics import reference

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
BEGIN, END = "## Every figure\n\n", "\n## Alerts\n"


def written(text: str) -> str:
    """The page with the table as the code has it now."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{reference()}{END}{tail}"


def write() -> None:
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
