"""`guard --help` against a bare interpreter start. Target: 8 times or less."""

from __future__ import annotations

import json
import subprocess
import sys
import time


def best(command: list[str], rounds: int = 10) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return min(times)


bare = best([sys.executable, "-c", "pass"])
told = best([sys.executable, "-c", "from guard.cli.main import run; run()", "--help"])
print(f"bare interpreter {bare * 1000:.0f} ms, guard --help {told * 1000:.0f} ms")
print(
    json.dumps({"name": "startup", "bare_s": round(bare, 4), "help_s": round(told, 4), "ratio": round(told / bare, 2)})
)
