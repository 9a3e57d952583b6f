"""What plan and story both say of a finding."""

from __future__ import annotations

from guard.finding import Finding
from guard.views.text import wrap


def accepted_lines(finding: Finding, indent: str) -> list[str]:
    """That a person accepted it, until when and why; nothing where nobody did."""
    accepted = finding.accepted
    if accepted is None:
        return []
    return wrap(f"accepted until {accepted.shown}: {accepted.reason}", f"{indent}  ", first=indent)
