"""The long run: python -m tests.fuzz.fuzz SECONDS [SEED]. Each boundary in a process of its own, with bounded memory.

A failure leaves the input that caused it in a file, and its seed on the line that tells of it; all others go on. Exit
code 1 when there was any. Nothing outside loopback is asked.
"""

from __future__ import annotations

import faulthandler
import importlib
import logging
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

BOUNDARIES = ("policies", "answers", "frames", "files")
MEMORY_BYTES = 3 * 1024**3
STUCK_S = 60
"""After which a process that does not even take a signal is ended from outside, with a traceback of where it was."""


def cases(name, seed):
    """(number, input) of one boundary, the same for a seed on every machine."""
    boundary = importlib.import_module(f"tests.fuzz.{name}")
    number = 0
    while True:
        yield number, boundary.make(random.Random(f"{name} {seed} {number}"))
        number += 1


def tried(name, data):
    """(outcome, problem) of one input; the problem is '' where all is well."""
    boundary = importlib.import_module(f"tests.fuzz.{name}")
    try:
        return boundary.run(data), ""
    except Exception as error:  # noqa: BLE001  whatever it is, it is what is sought
        frames = [
            one for one in traceback.extract_tb((error.__cause__ or error).__traceback__) if "/guard/" in one.filename
        ]
        place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return "broken", f"{type(error).__name__}: {str(error)[:300]}{place}"


def _work(name, seconds, seed, folder, results):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable(logging.CRITICAL)  # asyncio tells of each connection that a hostile server has cut
    warnings.simplefilter("ignore")
    outcomes, problems = Counter(), {}
    slowest = (0.0, 0)
    ends = time.monotonic() + seconds
    log = (folder / f"{name}.stuck").open("w")
    for number, data in cases(name, seed):
        (folder / f"{name}.last").write_bytes(data)
        faulthandler.dump_traceback_later(STUCK_S, exit=True, file=log)
        began = time.monotonic()
        outcome, problem = tried(name, data)
        faulthandler.cancel_dump_traceback_later()
        slowest = max(slowest, (time.monotonic() - began, number))
        outcomes[outcome] += 1
        if problem and problem not in problems:
            kept = folder / f"{name}-{seed}-{number}"
            kept.write_bytes(data)
            problems[problem] = str(kept)
        if time.monotonic() >= ends:
            break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    results.put((outcomes, problems, slowest, peak))


def main(seconds, seed):
    folder = Path(tempfile.mkdtemp(prefix="guard-fuzz-"))
    print(f"seed {seed}, {seconds} s, what fails is kept in {folder}", flush=True)
    start = multiprocessing.get_context("spawn")
    failed = False
    for name in BOUNDARIES:
        results = start.Queue()
        worker = start.Process(target=_work, args=(name, seconds / len(BOUNDARIES), seed, folder, results))
        worker.start()
        found = None
        while found is None and (worker.is_alive() or not results.empty()):
            try:
                found = results.get(timeout=1)
            except OSError:
                break
            except Exception:  # noqa: BLE001, S112  queue.Empty; the process may have died meanwhile
                continue
        worker.join()
        if found is None:
            failed = True
            print(f"{name}: the process ended ({worker.exitcode}); its last input is {folder / name}.last", flush=True)
            continue
        outcomes, problems, slowest, peak = found
        print(
            f"{name}: {outcomes.total()} inputs, {len(outcomes)} distinct outcomes, slowest {slowest[0]:.1f} s "
            f"(number {slowest[1]}), peak {peak} MiB, {outcomes['broken']} broken",
            flush=True,
        )
        for problem, kept in problems.items():
            failed = True
            print(f"  {problem}\n    {kept}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0, sys.argv[2] if len(sys.argv) > 2 else "1"))
