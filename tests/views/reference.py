"""Writes what is made from the code: config/guard.toml, docs/codes.md, docs/policy.md, man pages, completion (make reference)."""

from __future__ import annotations

from pathlib import Path

from guard.checks import ALL
from guard.policy.codes import EVERY_CODE
from guard.policy.sample import sample
from guard.views.code_reference import code_reference
from tests.metrics import pages as metrics_pages
from tests.packaging import pages
from tests.views.policy_reference import policy_reference
from tests.views.tiers_table import with_table
from tests.views.verified import verified

ROOT = Path(__file__).parents[2]


def main() -> None:
    (ROOT / "config" / "guard.toml").write_text(sample(), encoding="utf-8")
    (ROOT / "docs" / "codes.md").write_text(code_reference(EVERY_CODE, ALL, verified()), encoding="utf-8")
    (ROOT / "docs" / "policy.md").write_text(policy_reference(), encoding="utf-8")
    pages.write()
    metrics_pages.write()
    messages = ROOT / "docs" / "messages.md"
    messages.write_text(with_table(messages.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
