"""A server that answers as a real xo-server once did: REST and JSON-RPC from the recordings, on loopback."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from pathlib import Path

from guard.simulator.faults import Faults
from guard.simulator.serve import serve
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

RECORDINGS = Path(__file__).parent / "recordings"


def recorded(name):
    return json.loads((RECORDINGS / f"{name}.json").read_text())["response"]


def picked(row, fields):
    return {key: value for key, value in row.items() if key in fields or key == "href"}


async def rest(request):
    collection = request.path_params["collection"]
    answer = recorded(f"rest/{collection}")
    fields = {field.partition(".")[0] for field in request.query_params["fields"].split(",")}
    body = [picked(row, fields) for row in answer["body"]]
    return Response(json.dumps(body), status_code=answer["status"], headers=answer["headers"])


async def rpc(socket):
    await socket.accept()
    answers = {
        "system.getServerVersion": recorded("rpc/system.getServerVersion"),
        "session.signIn": {"result": {"id": "u", "email": "a@example.org", "permission": "admin"}},
        "job.getAll": recorded("rpc/job.getAll"),
        "remote.getAllInfo": recorded("rpc/remote.getAllInfo-later"),
        "xo.getAllObjects": recorded("rpc/xo.getAllObjects-string-filter"),
    }
    async for text in socket.iter_text():
        request = json.loads(text)
        await socket.send_text(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answers[request["method"]]}))


@asynccontextmanager
async def replaying():
    app = Starlette(routes=[Route("/rest/v0/{collection}", rest), WebSocketRoute("/api/", rpc)])
    app.faults = Faults()
    async with serve(app) as url:
        yield url
