"""What a code means, and the list of all codes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from guard.finding import ClearedBy, Code, Harm
from guard.views.text import wrap

RUNBOOK = "docs/runbook.md"


def has_runbook(code: Code) -> bool:
    """Whether there is a section for it: for each code but those that time alone clears, as nobody is needed for these."""
    return code.clears != (ClearedBy.TIME,)


def explain_text(code: Code, runbook: str = RUNBOOK) -> str:
    """One code in full, with the place of its runbook. ``runbook``: where that lies, for a person to open."""
    page = (
        f'XO\'s troubleshooting page: "{code.page_section}"'
        if code.page_section
        else "Not on XO's troubleshooting page."
    )
    told = f"As a prediction: {predicted(code)}" if code.certainty else ""
    paragraphs = [f"{code.id}: {code.title}.", f"Why: {code.why}", f"What to do: {code.do}", told, page]
    lines = [textwrap.fill(one, 80, break_long_words=False) for one in paragraphs if one]
    if has_runbook(code):
        lines.append(f"Runbook: {runbook}#{code.id.lower()}")  # never broken: it is to be copied
    return "\n\n".join(lines) + "\n"


_HARMS = {
    Harm.NONE: "starting all the same damages nothing",
    Harm.PRODUCTION: "starting all the same may hurt production",
    Harm.REPOSITORY: "starting all the same may cost what is on the backup repository",
}
_CLEARED = {ClearedBy.TIME: "time", ClearedBy.REMEDY: "a remedy of guard's", ClearedBy.PERSON: "a person"}


def predicted(code: Code) -> str:
    """How sure a prediction of this code is, what starting anyway would damage, and what clears it, as a sentence."""
    sure = " or ".join(one.value for one in code.certainty)
    harm = " or ".join(_HARMS[one] for one in code.harm)
    cleared = " or ".join(_CLEARED[one] for one in code.clears)
    return f"{sure}; {harm}; cleared by {cleared}."


def codes_text(codes: Mapping[str, Code]) -> str:
    """Every code with its title, in order."""
    listed = sorted(codes.values(), key=lambda one: one.id)
    return "".join(f"{line}\n" for code in listed for line in wrap(f"{code.id:<23} {code.title}", " " * 24, first=""))
