"""A webhook: each message as one JSON document ``guard.message/1``, POSTed."""

from __future__ import annotations

from guard.http import Poster
from guard.notify.message import Message, key, to_bytes
from guard.notify.secret import Secret


class Webhook:
    """``token``: sent as bearer token. ``Idempotency-Key`` is the same for every try of a message."""

    name = "webhook"

    def __init__(self, url: str, poster: Poster, token: Secret | None = None) -> None:
        self._url = url
        self._poster = poster
        self._token = token

    async def send(self, message: Message) -> None:
        """Raises NotifyError."""
        headers = {"Content-Type": "application/json", "User-Agent": "guard", "Idempotency-Key": key(message)}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.reveal()}"
        await self._poster.post(self._url, to_bytes(message), headers)
