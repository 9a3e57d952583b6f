"""What a code means, and the list of all codes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from guard.finding import Code
from guard.views.text import wrap


def explain_text(code: Code) -> str:
    """One code in full."""
    page = (
        f'XO\'s troubleshooting page: "{code.page_section}"'
        if code.page_section
        else "Not on XO's troubleshooting page."
    )
    paragraphs = [f"{code.id}: {code.title}.", f"Why: {code.why}", f"What to do: {code.do}", page]
    return "\n\n".join(textwrap.fill(one, 80, break_long_words=False) for one in paragraphs) + "\n"


def codes_text(codes: Mapping[str, Code]) -> str:
    """Every code with its title, in order."""
    listed = sorted(codes.values(), key=lambda one: one.id)
    return "".join(f"{line}\n" for code in listed for line in wrap(f"{code.id:<23} {code.title}", " " * 24, first=""))
