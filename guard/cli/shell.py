"""What the outside gives a command that watches or acts: the real clock, this machine's name, a random name."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Mapping

from guard.cli import clock
from guard.daemon.compose import Shell
from guard.views.log import Line


def shell_of(
    env: Mapping[str, str], log: Callable[[str], None], lines: Callable[[Line], None] = lambda _: None
) -> Shell:
    """``log`` takes a text without its end; ``lines`` what happens, with its fields."""
    return Shell(
        clock=clock.now,
        monotonic_us=lambda: time.monotonic_ns() // 1000,
        env=env,
        instance=secrets.token_bytes(8),
        holder=socket.gethostname(),
        log=log,
        lines=lines,
    )
