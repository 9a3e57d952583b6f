"""A guard that acts, in a process of its own and in driven time, with the daemon's lease and last resort round its look.

Run as: process_guard.py URL LEDGER POLICY INSTANCE. Each line on stdin is the time, ``full`` (from now on no file may
grow) or ``room`` again; after each time one line on stdout is until when nothing is to be seen. The end of stdin is the
end of the process. What it would write into its journal goes to stderr.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from guard.daemon.compose import Kept, Shell
from guard.daemon.news import News
from guard.errors import LedgerError
from guard.gate.look import LOOK_EVERY
from guard.gate.watch import Watch
from guard.ledger.last_resort import LastResort
from guard.policy.load import load
from guard.policy.schema import Policy
from guard.xo.client import XoSettings
from guard.xo.token import Token
from guard.xo.writes import WritingXo
from tests.ledger.opening import opened


class Quiet:
    """A queue that keeps nothing."""

    async def tell(self, message) -> None:
        print(f"told {message.code or message.event}", file=sys.stderr, flush=True)


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


async def live(url: str, path: Path, policy: Policy, instance: bytes) -> None:
    now = [datetime.fromtimestamp(0, UTC)]
    line = sys.stdin.readline()
    now[0] = datetime.fromisoformat(line.strip())
    settings = XoSettings(url=url)
    with opened(path, xo=url, clock=lambda: now[0], instance=instance, ballast_bytes=0) as ledger:
        xo = WritingXo(lambda: settings, lambda: Token("simulated-token"), clock=lambda: now[0])
        resort = LastResort(ledger, lambda text: print(text, file=sys.stderr, flush=True))
        news = News(Quiet().tell, lambda: UTC)
        watch = Watch(resort, xo, news, clock=lambda: now[0], policy_of=lambda: policy, instance=ledger.instance)
        shell = Shell(lambda: now[0], lambda: 0, {}, instance, f"process {os.getpid()}", print)
        kept = Kept(watch, ledger, resort, Quiet(), news, shell)
        while line:
            match line.strip():
                case "full":
                    limit_files(1)
                case "room":
                    limit_files(resource.RLIM_INFINITY)
                case moment:
                    now[0] = datetime.fromisoformat(moment)
                    try:
                        wake = (await kept.tick()).wake or now[0] + timedelta(minutes=5)
                    except LedgerError:
                        wake = now[0] + LOOK_EVERY
                    os.write(1, f"{wake.isoformat()}\n".encode())
            line = sys.stdin.readline()


if __name__ == "__main__":
    given = load(Path(sys.argv[3]).read_text(encoding="utf-8"), file="guard.toml")
    asyncio.run(live(sys.argv[1], Path(sys.argv[2]), given, bytes.fromhex(sys.argv[4])))
