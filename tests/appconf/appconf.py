"""Asks the npm package by which xo-server reads its configuration, and the TOML parser beside it.

Without Node 20 its tests are skipped, loudly; under CI that is a failure.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

from tests.npm import require_npm_project

HERE = Path(__file__).parent


def require_app_conf():
    require_npm_project(HERE, "package app-conf", "THE LOAD ORDER OF XO'S CONFIGURATION WAS NOT COMPARED")


def ask(questions):
    """``questions``: {"folder": path} or {"toml": text}; the answers are described in appconf.cjs."""
    text = "".join(json.dumps(one) + "\n" for one in questions)
    done = subprocess.run(
        ["node", "appconf.cjs"], cwd=HERE, input=text, capture_output=True, text=True, check=True, timeout=300
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def value_of(folder):
    """What app-conf finds in one folder: {"ms": n}, {"unusable": True}, {} or {"error": text}."""
    (answer,) = ask([{"folder": str(folder)}])
    return answer.get("value", answer)


@contextmanager
def watching(folder, scratch):
    """A function that waits for the next thing xo-server would see of the folder: {"value": ...} or {"error": text}."""
    env = {**os.environ, "XDG_CONFIG_HOME": str(scratch)}
    with subprocess.Popen(
        ["node", str(HERE / "watch.cjs"), str(folder)], cwd=scratch, env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        stop = threading.Timer(60, process.kill)  # then the line that is waited for is empty, which is no JSON
        stop.start()
        try:
            assert json.loads(process.stdout.readline()) == "ready"
            yield lambda: json.loads(process.stdout.readline())
        finally:
            stop.cancel()
            process.kill()
