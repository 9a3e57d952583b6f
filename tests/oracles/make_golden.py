"""Writes the golden vectors: what the npm packages answered, for machines without Node.

Run by hand, from the root of the tree: PYTHONPATH=. python tests/oracles/make_golden.py
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from cases import cron_cases, night_cases, pattern_cases
from oracle import ask

GOLDEN = Path(__file__).parents[1] / "golden"
PARIS_NIGHTS = [("Europe/Paris", minute) for minute in (30_106_140, 30_418_620)]  # spring and autumn 2027

for name, questions in (
    ("cron", cron_cases(3000, seed=11) + night_cases(PARIS_NIGHTS)),
    ("pattern", pattern_cases(5000, seed=13)),
):
    lines = [json.dumps([one, answer]) for one, answer in zip(questions, ask(questions), strict=True)]
    (GOLDEN / f"{name}.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
