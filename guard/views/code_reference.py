"""The reference of all codes, docs/codes.md, made from the codes themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from guard.checks.check import Check
from guard.finding import Code
from guard.views.explain import predicted

_HEAD = """\
# Codes

Made from the code by `guard.views.code_reference`; a test holds the two together. The same code is used for what is
predicted before a run and for what a backup log shows afterwards. `guard explain CODE` prints one of them.

Verified by: *engine*, the published backup engine does what the prediction says (`tests/engine`); *npm oracle*, the rule
behind it is compared with XO's published package (`tests/oracles`); *recording*, a real xo-server's log of it is recognised
(`tests/recordings`); *simulator*, the demo's world shows it; *unit*, the check's own tests.
"""
_ELSEWHERE = "recognised in backup logs, or told by the daemon; no check predicts it yet"


def code_reference(
    codes: Mapping[str, Code], checks: Sequence[Check], verified: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> str:
    """Markdown: a table of contents, then each code with what it is predicted from and what a person does.

    ``verified``: code -> what holds guard against something other than its own words (tests/views/verified.py).
    """
    by_code = {code.id: check for check in checks for code in check.codes}
    listed = sorted(codes.values(), key=lambda one: one.id)
    table = ["| code | what it says | predicted by | how sure | verified by |", "|---|---|---|---|---|"]
    table += [_row(one, by_code.get(one.id), verified.get(one.id, ())) for one in listed]
    entries = (_entry(one, by_code.get(one.id), verified.get(one.id, ())) for one in listed)
    return "\n".join([_HEAD, *table, "", *entries])


def _row(code: Code, check: Check | None, verified: Sequence[str]) -> str:
    sure = ", ".join(one.value for one in code.certainty) if check is not None else ""
    cells = [f"[{code.id}](#{code.id.lower()})", code.title, _check_name(check), sure, ", ".join(verified)]
    return f"| {' | '.join(cells)} |"


def _check_name(check: Check | None) -> str:
    return f"`{check.name}`" if check is not None else ""


def _entry(code: Code, check: Check | None, verified: Sequence[str]) -> str:
    needs = ", ".join(sorted(part.value for part in check.needs)) if check is not None else ""
    told = f"the check `{check.name}`, from XO's {needs}" if check is not None else _ELSEWHERE
    page = f'"{code.page_section}"' if code.page_section else "not there"
    lines = [
        f"## {code.id}",
        f"{code.title}.",
        f"**Why.** {code.why}",
        f"**What to do.** {_escaped(code.do)}",
        f"**Predicted by:** {told}. **On XO's troubleshooting page:** {_escaped(page)}.",
    ]
    if check is not None:
        lines.append(f"**As a prediction:** {predicted(code)}")
    if verified:
        lines.append(f"**Verified by:** {', '.join(verified)}.")
    return "\n\n".join(textwrap.fill(one, 120, break_long_words=False, break_on_hyphens=False) for one in lines) + "\n"


def _escaped(text: str) -> str:
    """Markdown takes <UUID> for a tag of HTML."""
    return text.replace("<", "\\<")
