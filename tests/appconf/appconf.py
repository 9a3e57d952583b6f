"""Asks the npm package by which xo-server reads its configuration, and the TOML parser beside it.

Without Node 20 its tests are skipped, loudly; under CI that is a failure.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.npm import require_npm_project

HERE = Path(__file__).parent
QUIET_S = 0.4


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
    """A function that tells all that a running xo-server sees of the folder until it has been quiet for a while.

    A list of {"value": ...} and {"error": text}. chokidar, by which app-conf watches, may lose the second of two changes that
    come within a tenth of a second of each other, and those right after its start: each is waited out.
    """
    env = {**os.environ, "XDG_CONFIG_HOME": str(scratch)}
    with subprocess.Popen(
        ["node", str(HERE / "watch.cjs"), str(folder)], cwd=scratch, env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        lines = queue.SimpleQueue()
        threading.Thread(target=lambda: [lines.put(json.loads(line)) for line in process.stdout], daemon=True).start()

        def settled(first_s=QUIET_S):
            seen = []
            with suppress(queue.Empty):
                seen.append(lines.get(timeout=first_s))
                while True:
                    seen.append(lines.get(timeout=QUIET_S))
            return seen

        try:
            assert settled(30) == ["ready"]
            yield lambda: settled(10)
        finally:
            process.kill()
