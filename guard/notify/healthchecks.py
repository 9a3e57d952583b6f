"""Pings in the way of healthchecks: a monitor elsewhere that notices when a run, or guard itself, is silent.

``<url>/start``, ``<url>`` (success), ``<url>/fail``, ``<url>/log``; the message is the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

from guard.http import Poster
from guard.notify.message import Event, Message, lines, one_line
from guard.notify.secret import Secret

BODY_BYTES = 10_000  # what every server of this kind keeps; the larger ones keep 100,000
_PATHS = {Event.START: "/start", Event.SUCCESS: "", Event.FAIL: "/fail", Event.LOG: "/log"}


class Healthchecks:
    """``url``: for every schedule, with ``{schedule_id}``; ``schedules``: schedule id -> its own; ``loop_url``: guard's.

    ``{ping_key}`` in any of them stands for the secret of ``ping_key_file``. '' = no ping.
    """

    name = "healthchecks"

    def __init__(
        self,
        poster: Poster,
        *,
        url: str = "",
        loop_url: str = "",
        schedules: Mapping[str, str] | None = None,
        ping_key: Secret | None = None,
    ) -> None:
        self._poster = poster
        self._url = url
        self._loop_url = loop_url
        self._schedules = schedules or {}
        self._ping_key = ping_key
        self._latest: dict[str, datetime] = {}

    def wants(self, message: Message) -> bool:
        """The four events of a schedule (or of guard) that has a check, whatever their tier is for people."""
        return message.event in _PATHS and bool(self._check(message))

    async def send(self, message: Message) -> None:
        """Raises NotifyError. Silent about what it does not want, and about what a newer ping has overtaken:

        a start that arrives after its success would leave the check "running".
        """
        if not self.wants(message):
            return
        check = self._check(message)
        if message.event is not Event.LOG and message.at < self._latest.get(check, message.at):
            return
        text = f"{one_line(message.title)}\n\n{lines(message.text)}"
        body = text.encode()[:BODY_BYTES].decode(errors="ignore").encode()
        headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "guard"}
        await self._poster.post(self._address(check).rstrip("/") + _PATHS[message.event], body, headers)
        if message.event is not Event.LOG:
            self._latest[check] = message.at

    def _check(self, message: Message) -> str:
        """The address of the message's check, but for the ping key; '' for none."""
        own = message.schedule is None
        template = self._loop_url if own else self._schedules.get(message.schedule or "", self._url)
        return template.replace("{schedule_id}", quote(message.schedule or "", safe=""))

    def _address(self, check: str) -> str:
        key = self._ping_key
        return check.replace("{ping_key}", quote(key.reveal(), safe="") if key is not None else "")
