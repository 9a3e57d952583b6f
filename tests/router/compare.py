"""Asks both and says where they differ: status, the headers that matter, and the body."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from tests.router.questions import Question

HEADERS = ("content-type", "www-authenticate", "location")


Found = dict[str, Any]
"""``status``, ``body`` and those of HEADERS that were sent."""


class Answers:
    """One server on a connection of its own, asked with paths as they are: httpx would tidy them up."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)

    def of(self, question: Question) -> Found:
        headers = {"accept-encoding": "identity", **question.headers}
        self._connection.request(question.method, f"/rest/v0{question.path}", headers=headers)
        answer = self._connection.getresponse()
        body = answer.read().decode()
        found: Found = {"status": answer.status}
        found |= {name: answer.headers[name] for name in HEADERS if name in answer.headers}
        return found | {"body": read_body(body, found.get("content-type", ""))}

    def close(self) -> None:
        self._connection.close()


def read_body(text: str, kind: str) -> Any:
    if not text:
        return None
    if kind.startswith("application/json"):
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines()] if kind == "application/x-ndjson" else text


def difference(router: Any, simulator: Any, where: str = "") -> str:
    """The first place where two values differ, as the router's against the simulator's; '' where there is none."""
    if isinstance(router, dict) and isinstance(simulator, dict):
        for key in sorted(router.keys() | simulator.keys(), key=lambda one: (one != "status", one)):
            if key not in router or key not in simulator:
                owner, value = ("router", router[key]) if key in router else ("simulator", simulator[key])
                return f"{where}.{key}: only the {owner} has it: {short(value)}"
            if found := difference(router[key], simulator[key], f"{where}.{key}"):
                return found
        return ""
    if isinstance(router, list) and isinstance(simulator, list):
        if len(router) != len(simulator):
            return f"{where}: {len(router)} rows by the router, {len(simulator)} by the simulator"
        pairs = enumerate(zip(router, simulator, strict=True))
        return next(filter(None, (difference(one, other, f"{where}[{n}]") for n, (one, other) in pairs)), "")
    same_type = type(router) is type(simulator) or {type(router), type(simulator)} == {int, float}
    if same_type and router == simulator:
        return ""
    return f"{where}: router {short(router)}, simulator {short(simulator)}"


def short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 220 else text[:217] + "..."
