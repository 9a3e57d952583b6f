"""The simulated XO, looked over the shoulder of: every request a client sends, and answers replaced at will."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from guard.simulator.serve import Simulator, serve
from guard.xo.client import XoSettings, read_estate
from guard.xo.token import Token
from starlette.responses import Response

TOKEN = "simulated-token"


@dataclass
class Request:
    """One GET: path, query, headers, and the headers of its answer."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    answered: dict[str, str] = field(default_factory=dict)


def _headers(pairs):
    return {name.decode().lower(): value.decode() for name, value in pairs}


class Watched(Simulator):
    """``requests`` and ``calls``: what came in. ``instead``: path -> JSON text given in place of the true answer."""

    def __init__(self, world, faults=None, instead=None):
        super().__init__(world, faults)
        self.instead = instead or {}
        self.requests = []
        self.sockets = []
        self.calls = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            self.sockets.append((scope["path"], scope["query_string"]))
            await super().__call__(scope, self._overheard(receive), send)
            return
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        request = Request(scope["path"], query, _headers(scope["headers"]))
        self.requests.append(request)
        if scope["path"] in self.instead:
            await Response(self.instead[scope["path"]], media_type="application/json")(scope, receive, send)
            return

        async def noted(message):
            if message["type"] == "http.response.start":
                request.answered = _headers(message["headers"])
            await send(message)

        await super().__call__(scope, receive, noted)

    def _overheard(self, receive):
        async def listen():
            message = await receive()
            if message.get("text"):
                self.calls.append(json.loads(message["text"]))
            return message

        return listen


def read(app, now, token=TOKEN, **settings):
    """The estate as guard reads it from this application."""

    async def ask():
        async with serve(app) as url:
            return await read_estate(XoSettings(url=url, **settings), Token(token), clock=lambda: now)

    return asyncio.run(ask())
