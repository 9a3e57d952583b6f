"""What systemd is told, and how: datagrams to $NOTIFY_SOCKET (sd_notify(3)). Without the variable, nothing happens."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping


class Systemd:
    """The service manager's ear. A message that cannot be delivered is dropped: it must not stop the work."""

    def __init__(self, env: Mapping[str, str], *, monotonic_us: Callable[[], int]) -> None:
        self._address = env.get("NOTIFY_SOCKET", "")
        self._monotonic_us = monotonic_us

    def ready(self, status: str) -> None:
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """systemd wants to know when, on its own clock, so that it can tell this reload from an older one."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={self._monotonic_us()}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self, status: str) -> None:
        self._send("WATCHDOG=1", f"STATUS={status}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        text = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as ear:
                ear.setblocking(False)
                ear.sendto(text.encode(errors="replace"), address)
        except OSError:
            return
