"""XO's published OpenAPI document, fetched with npm when it is needed: it has XO's licence and is never kept here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.npm import alone

PACKAGE = "@xen-orchestra/rest-api@0.39.0"
CACHE = Path(__file__).parents[2] / "node_modules" / ".openapi"


@cache
def document() -> dict[str, Any]:
    """The document as JSON. Without npm: the test is skipped, or fails where ``CI`` is set."""
    file = CACHE / "package" / "open-api" / "spec" / "swagger.json"
    with alone(Path(__file__)):
        if not file.exists():
            fetch()
    return as_json_schema(json.loads(file.read_text()))


def fetch() -> None:
    if shutil.which("npm") is None:
        give_up(f"npm is not installed, so the simulator was NOT held against the OpenAPI document of {PACKAGE}")
    CACHE.mkdir(parents=True, exist_ok=True)
    command = ["npm", "pack", PACKAGE, "--pack-destination", str(CACHE)]
    packed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if packed.returncode != 0:
        give_up(f"npm could not fetch {PACKAGE}, so the simulator was NOT held against XO's OpenAPI document")
    with tarfile.open(CACHE / packed.stdout.split()[-1]) as archive:
        archive.extractall(CACHE, filter="data")


def give_up(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def as_json_schema(value: Any) -> Any:
    """OpenAPI 3.0 says ``nullable`` where JSON schema has a type for null."""
    if isinstance(value, list):
        return [as_json_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    converted = {key: as_json_schema(item) for key, item in value.items() if key != "nullable"}
    return {"anyOf": [converted, {"type": "null"}]} if value.get("nullable") is True else converted


def problems(path: str, status: str, body: Any, method: str = "get") -> set[str]:
    """What the document has against an answer: ``place: keyword``, list positions left out."""
    answer = document()["paths"][path][method]["responses"][status]
    schema = answer["content"]["application/json"]["schema"]
    validator = jsonschema.Draft7Validator({**schema, "components": document()["components"]})
    return {described(error) for found in validator.iter_errors(body) for error in leaves(found)}


def leaves(error: jsonschema.ValidationError) -> list[jsonschema.ValidationError]:
    """The innermost reasons: of alternatives, those of the alternative that got furthest."""
    if not error.context:
        return [error]
    branches: dict[Any, list[jsonschema.ValidationError]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    best = max(branches.values(), key=lambda branch: max(len(inner.absolute_path) for inner in branch))
    return [leaf for inner in best for leaf in leaves(inner)]


def described(error: jsonschema.ValidationError) -> str:
    place = ".".join("[]" if isinstance(part, int) else str(part) for part in error.absolute_path)
    return f"{place}: {error.validator} {error.message if error.validator in {'required', 'enum'} else ''}".strip()
