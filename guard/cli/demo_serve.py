"""guard demo --serve: a simulated XO on loopback that lives in real time, for a first evening without a real one."""

from __future__ import annotations

import asyncio
import signal
from typing import TextIO

from guard.cli import clock
from guard.errors import UsageError
from guard.simulator import playground
from guard.simulator.serve import Simulator, serve

LAST_PORT = 65535
_TOLD = """\
A simulated Xen Orchestra serves on this machine until Ctrl-C. In the policy:

    [xo]
    url = "{url}"
    token_file = "/etc/guard/xo-token"

Its token, put into that file, for its user alone (any other file will do):

    echo {token} | install -m 600 /dev/stdin /etc/guard/xo-token

When it ends it forgets everything, renewed tokens too: put this one back then.
Two of its schedules are due every three minutes, one every half hour (guard can
act on that one), one at half past one (UTC).
"""


def serve_until_stopped(port: int, stderr: TextIO) -> None:
    """Port 0: any free one. Raises UsageError when the port cannot be had."""
    if not 0 <= port <= LAST_PORT:
        raise UsageError(f"--serve {port}: expected a port from 0 (any free one) to {LAST_PORT}")
    asyncio.run(_serve(port, stderr))


async def _serve(port: int, stderr: TextIO) -> None:
    live, stop, loop = playground.build(clock.now), asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with serve(Simulator(live.world), port=port) as url:
            stderr.write(_TOLD.format(url=url, token=playground.TOKEN))
            stderr.flush()
            living, stopped = asyncio.ensure_future(live.drive()), asyncio.ensure_future(stop.wait())
            await asyncio.wait((living, stopped), return_when=asyncio.FIRST_COMPLETED)
            living.cancel()
            stopped.cancel()
            [end, _] = await asyncio.gather(living, stopped, return_exceptions=True)
            if isinstance(end, Exception):
                raise end
    except OSError as error:
        raise UsageError(f"--serve {port}: the port cannot be had ({error.strerror}); name another one") from error
