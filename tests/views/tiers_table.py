"""The tables of docs/messages.md that are made from the code (make reference)."""

from __future__ import annotations

from guard.policy.sample import descriptions
from guard.policy.tiers_schema import PAIRS, STATES, TiersSection

BEGIN, END = "<!-- made from the code: make reference -->", "<!-- end -->"


def table() -> str:
    """Every state with its tier, then what another code makes of it."""
    said = descriptions(TiersSection)
    rows = ["| state | by default | when |", "|---|---|---|"]
    rows += [f"| `{state}` | {tier} | {said[state]} |" for state, tier in STATES.items()]
    rows += ["", "| state | code | by default |", "|---|---|---|"]
    rows += [f"| `{state}` | [{code}](codes.md#{code.lower()}) | {tier} |" for (state, code), tier in PAIRS.items()]
    return "\n".join(rows)


def with_table(text: str) -> str:
    """The document with its tables made anew. Raises ValueError where its marks are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("docs/messages.md has lost the marks around its tables")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"
