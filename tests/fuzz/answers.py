"""XO's answers: those of the demo and of a real xo-server bent, as JSON and as bytes, read and planned as a command does."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from contextlib import contextmanager
from functools import cache
from unittest import mock

import msgspec
from guard.simulator.demo import DEMO_NOW, TOKEN, build
from guard.simulator.serve import running
from guard.xo import client
from guard.xo.client import XoSettings, read_estate
from guard.xo.token import Token
from tests.fuzz.judge import call
from tests.fuzz.mutate import MARKER, bend, bend_bytes, own_folder, swell, text_of
from tests.replay import recorded, replaying

NAME = "answers"
_TLS = ssl.create_default_context()


def _key(*asked):
    """What was asked for, without what makes two askings differ: ids of logs, VM fields, the time."""
    name, params = asked
    return f"{name} {'trees' if 'id:' in str(params) else ''}".strip()


@cache
def conversations():
    """What XO answers to everything that a plan asks: {question: bytes}. The demo's XO, and a real one, recorded."""

    async def of_demo(url):
        await read_estate(XoSettings(url=url), Token(TOKEN), clock=lambda: DEMO_NOW)

    async def of_real():
        async with replaying() as url:
            await read_estate(XoSettings(url=url), Token(TOKEN), clock=lambda: DEMO_NOW)

    found = []
    for read in ("demo", "real"):
        kept: dict[str, bytes] = {}
        with _listening(kept):
            if read == "demo":
                with running(build(lambda: DEMO_NOW)) as url:
                    asyncio.run(of_demo(url))
            else:
                asyncio.run(of_real())
        found.append(kept)
    assert all(len(one) > 12 for one in found)
    assert recorded("rest/vms")["status"] == 200
    return tuple(found)


@contextmanager
def _listening(kept):
    class Http(client.Http):
        async def get(self, path, params=None):
            body = await super().get(path, params)
            kept[_key(path, params)] = body
            return body

    class Rpc(client.Rpc):
        async def call(self, method, params=None):
            answer = await super().call(method, params)
            kept[_key(method, params)] = bytes(answer)
            return answer

    with mock.patch.object(client, "Http", Http), mock.patch.object(client, "Rpc", Rpc):
        yield


@contextmanager
def _answering(answers):
    """The client without its sockets: each question gets its bytes."""

    class Answers:
        def __init__(self, *_, **__):
            pass

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            return None

        async def get(self, path, params=None):
            return answers.get(_key(path, params), b"[]")

        async def call(self, method, params=None):
            return msgspec.Raw(answers.get(_key(method, params), b"null"))

    with (
        mock.patch.object(client, "Http", Answers),
        mock.patch.object(client, "Rpc", Answers),
        mock.patch.object(client, "tls_context", lambda *_, **__: _TLS),
    ):
        yield


def make(random):
    """The whole conversation, as JSON, with one to three answers changed."""
    demo, real = conversations()
    answers = dict(demo if random.random() < 0.5 else real)
    for name in random.sample(sorted(answers), random.choice((1, 1, 2, 3))):
        if random.random() < 0.25:
            answers[name] = text_of(swell(random, json.loads(answers[name])))
        elif random.random() < 0.85:
            answers[name] = text_of(bend(random, json.loads(answers[name]), random.choice((1, 1, 2, 6))))
        else:
            answers[name] = bend_bytes(random, answers[name], (b"NaN", b"-", b"1e999", b",", b"]", b"}"))
    return json.dumps({name: base64.b85encode(body).decode() for name, body in answers.items()}).encode()


@cache
def _policy():
    folder = own_folder()
    token = folder / "token"
    token.write_text(MARKER)
    token.chmod(0o600)
    (folder / "policy").write_text(
        f'[xo]\nurl = "http://127.0.0.1:1"\ntoken_file = "{token}"\nread_archives = true\n'
        '[[window]]\ncron = "0 18 * * *"\nduration = "14 h"\n[[limit]]\nslots = 2\nper = "sr"\n'
    )
    return str(folder / "policy")


def run(data):
    answers = {name: base64.b85decode(body) for name, body in json.loads(data).items()}
    with _answering(answers), tempfile.TemporaryDirectory() as folder:
        start = ("--from", DEMO_NOW.isoformat())
        told, _ = call("plan", "--config", _policy(), *start)
        call("plan", "--config", _policy(), "--json", *start)
        call("match", "mail", "--config", _policy())
        saved, _ = call("capture", f"{folder}/estate", "--config", _policy())
        if not saved.startswith("error"):  # what was captured must be readable, and tell the same kind of thing
            again, _ = call("plan", "--estate", f"{folder}/estate", *start)
            assert not again.startswith("error: this"), again
    return told
