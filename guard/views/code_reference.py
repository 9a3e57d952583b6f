"""The reference of all codes, docs/codes.md, made from the codes themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from guard.checks.check import Check
from guard.finding import Code

_HEAD = """\
# Codes

Made from the code by `guard.views.code_reference`; a test holds the two together. The same code is used for what is
predicted before a run and for what a backup log shows afterwards. `guard explain CODE` prints one of them.
"""
_ELSEWHERE = "recognised in backup logs, or told by the daemon; no check predicts it yet"


def code_reference(codes: Mapping[str, Code], checks: Sequence[Check]) -> str:
    """Markdown: a table of contents, then each code with what it is predicted from and what a person does."""
    by_code = {code.id: check for check in checks for code in check.codes}
    listed = sorted(codes.values(), key=lambda one: one.id)
    table = ["| code | what it says | predicted by |", "|---|---|---|"]
    table += [f"| [{one.id}](#{one.id.lower()}) | {one.title} | {_check_name(by_code.get(one.id))} |" for one in listed]
    return "\n".join([_HEAD, *table, "", *(_entry(one, by_code.get(one.id)) for one in listed)])


def _check_name(check: Check | None) -> str:
    return f"`{check.name}`" if check is not None else ""


def _entry(code: Code, check: Check | None) -> str:
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
    return "\n\n".join(textwrap.fill(one, 120, break_long_words=False, break_on_hyphens=False) for one in lines) + "\n"


def _escaped(text: str) -> str:
    """Markdown takes <UUID> for a tag of HTML."""
    return text.replace("<", "\\<")
