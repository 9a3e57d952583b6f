"""Asks the published npm packages. Without Node 20 the oracle tests are skipped, loudly; under CI that is a failure."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.npm import require_npm_project

HERE = Path(__file__).parent


def require_oracle():
    require_npm_project(HERE, "oracle", "THE NPM ORACLES DID NOT RUN, THE GOLDEN VECTORS STILL DID")


def ask(questions):
    text = "".join(json.dumps(one) + "\n" for one in questions)
    done = subprocess.run(
        ["node", "oracle.cjs"], cwd=HERE, input=text, capture_output=True, text=True, check=True, timeout=300
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
