"""A guard in a process of its own, in driven time, until it is killed: it asks on stdout, and is told on stdin.

Run as: night_guard.py URL LEDGER [POLICY]; with the file of a policy it acts. Before each look a line on stdin is the
time; after it a line on stdout is until when nothing is to be seen. The end of stdin is the end of the night.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

from guard.gate.watch import Watch
from guard.policy.load import load
from guard.policy.schema import Policy, default_policy
from guard.xo.client import XoSettings
from guard.xo.token import Token
from guard.xo.writes import WritingXo
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


async def watch_on(url: str, path: Path, policy: Policy) -> None:
    line = sys.stdin.readline()
    clock = Told(line)
    settings = XoSettings(url=url)
    with opened(path, xo=url, clock=clock) as ledger:
        xo = WritingXo(lambda: settings, lambda: Token("simulated-token"), clock=clock)
        watch = Watch(ledger, xo, Ear(), clock=clock, policy_of=lambda: policy, instance=ledger.instance)
        while line:
            clock.take(line)
            loop = await watch.tick()
            wake = loop.wake or clock.now + timedelta(minutes=5)
            os.write(1, f"{wake.isoformat()}\n".encode())
            line = sys.stdin.readline()


def policy_of(arguments: list[str]) -> Policy:
    """The policy of the file that is named third; one that only watches without."""
    if len(arguments) < 3:
        return default_policy(arguments[0])
    return load(Path(arguments[2]).read_text(), file=arguments[2])


if __name__ == "__main__":
    asyncio.run(watch_on(sys.argv[1], Path(sys.argv[2]), policy_of(sys.argv[1:])))
