"""The simulator's tokens against the real xo-server's list of methods and its published document."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
from guard.simulator.tokens import RpcTokens
from tests.contract.openapi import document
from tests.simulator.faces import call
from tests.simulator.worlds import small_world

METHODS = Path(__file__).parent / "recordings" / "rpc" / "system.listMethods.json"
RECORD = "Unbrand_XoAuthenticationToken_"


def test_the_real_xo_has_every_method_of_tokens_that_the_simulator_has() -> None:
    real = json.loads(METHODS.read_text())["response"]["result"]
    assert set(RpcTokens(small_world().world).methods()) <= set(real)


def test_a_listed_token_is_what_the_published_document_says() -> None:
    world = small_world().world
    client = {"id": "guard-1"}
    made = {"client": client, "description": "guard on here", "expiresIn": 86_400_000}
    answer = call(world, ("token.create", made), ("user.getAuthenticationTokens", {}))[-1]["result"]
    schema = {"$ref": f"#/components/schemas/{RECORD}", "components": document()["components"]}
    for record in answer:
        jsonschema.validate(record, schema)
    assert [one["client"] for one in answer if "client" in one] == [client]
    known = set(document()["components"]["schemas"][RECORD]["properties"])
    assert {key for one in answer for key in one} <= known
