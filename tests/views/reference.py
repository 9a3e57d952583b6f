"""Writes what is made from the code: config/guard.toml and docs/codes.md (make reference)."""

from __future__ import annotations

from pathlib import Path

from guard.checks import ALL
from guard.decision.codes import EVERY_CODE
from guard.policy.sample import sample
from guard.views.code_reference import code_reference
from tests.views.verified import verified

ROOT = Path(__file__).parents[2]


def main() -> None:
    (ROOT / "config" / "guard.toml").write_text(sample(), encoding="utf-8")
    (ROOT / "docs" / "codes.md").write_text(code_reference(EVERY_CODE, ALL, verified()), encoding="utf-8")


if __name__ == "__main__":
    main()
