"""A guard in a process of its own, in driven time, until it is killed: it asks on stdout, and is told on stdin.

Run as: night_guard.py URL LEDGER. Before each look a line on stdin is the time; after it a line on stdout is until when
nothing is to be seen. The end of stdin is the end of the night.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

from guard.gate.watch import Watch
from guard.policy.schema import default_policy
from guard.xo.client import XoSettings
from guard.xo.live import LiveXo
from guard.xo.token import Token
from tests.ledger.opening import opened
from tests.stories.driven import Ear


class Told:
    """The clock: what the last line said."""

    def __init__(self, line: str) -> None:
        self.take(line)

    def take(self, line: str) -> None:
        self.now = datetime.fromisoformat(line.strip())

    def __call__(self) -> datetime:
        return self.now


async def watch_on(url: str, path: Path) -> None:
    line = sys.stdin.readline()
    clock = Told(line)
    settings, policy = XoSettings(url=url), default_policy(url)
    with opened(path, xo=url, clock=clock) as ledger:
        xo = LiveXo(lambda: settings, lambda: Token("simulated-token"), clock=clock)
        watch = Watch(ledger, xo, Ear(), clock=clock, policy_of=lambda: policy)
        while line:
            clock.take(line)
            loop = await watch.tick()
            wake = loop.wake or clock.now + timedelta(minutes=5)
            os.write(1, f"{wake.isoformat()}\n".encode())
            line = sys.stdin.readline()


if __name__ == "__main__":
    asyncio.run(watch_on(sys.argv[1], Path(sys.argv[2])))
