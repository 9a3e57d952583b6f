"""Asks the published npm packages. Without Node 20 the oracle tests are skipped, loudly; under CI that is a failure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def require_oracle():
    reason = _missing()
    if reason and os.environ.get("CI"):
        pytest.fail(f"the oracle is missing under CI: {reason}")
    if reason:
        pytest.skip(f"THE NPM ORACLES DID NOT RUN: {reason}; the golden vectors still did")


def _missing():
    if not shutil.which("node") or not shutil.which("npm"):
        return "node or npm is not installed"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 20:
        return f"node {version.strip()} is older than 20"
    if not (HERE / "node_modules" / "value-matcher").exists():
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=HERE,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return f"npm ci failed: {done.stderr[-300:]}"
    return ""


def ask(questions):
    text = "".join(json.dumps(one) + "\n" for one in questions)
    done = subprocess.run(
        ["node", "oracle.cjs"], cwd=HERE, input=text, capture_output=True, text=True, check=True, timeout=300
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
