"""The query of a request for a list: what XO takes, what it refuses, and what becomes of the rows (xo-api.md 2.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from starlette.requests import Request

from guard.simulator import answers
from guard.simulator.answers import JsonValue, RestError
from guard.simulator.filters import FilterError, compile_filter
from guard.simulator.shapes import XoObject

BASE = "/rest/v0"
FLOAT = re.compile(r"[+-]?[0-9]*(\.[0-9]*)?([eE][+-]?[0-9]+)?")
"""What XO's validator takes for a number."""
NO_NUMBERS = frozenset({"", "+", "-", "."})


@dataclass(frozen=True)
class ListQuery:
    """``limit`` None: no limit."""

    filter: str | None = None
    limit: int | None = None
    ndjson: bool = False


def read_list_query(request: Request) -> ListQuery:
    """Raises RestError 422 with XO's object of complaints."""
    sent = sent_values(request)
    problems: dict[str, tuple[str, JsonValue]] = {}
    for name in ("fields", "filter"):
        if isinstance(sent.get(name), list):
            problems[name] = ("invalid string value", sent[name])
    limit = sent.get("limit")
    if limit is not None and not is_float(limit):
        problems["limit"] = ("invalid float number", limit)
    if not is_flag(sent.get("ndjson")):
        problems["ndjson"] = ("invalid boolean value", sent["ndjson"])
    if problems:
        raise answers.invalid(problems)
    # XO takes the word in any case and looks for this one only
    return ListQuery(sent.get("filter"), None if limit is None else rows_of(limit), sent.get("ndjson") == "true")


def read_sync(request: Request) -> bool:
    """``sync`` of an action. Raises RestError 422."""
    sent = sent_values(request).get("sync")
    if not is_flag(sent):
        raise answers.invalid({"sync": ("invalid boolean value", sent)})
    return isinstance(sent, str) and sent.lower() == "true"


def sent_values(request: Request) -> dict[str, JsonValue]:
    """Parameter -> its text, or a list of them when it was sent more than once."""
    values: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        values.setdefault(name, []).append(value)
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in values.items()}


def is_flag(sent: JsonValue) -> bool:
    return sent is None or (isinstance(sent, str) and sent.lower() in {"true", "false"})


def is_float(sent: JsonValue) -> bool:
    return isinstance(sent, str) and sent not in NO_NUMBERS and FLOAT.fullmatch(sent) is not None


def rows_of(limit: str) -> int | None:
    """XO counts down by one and stops at 0, so a negative number and one with a fraction never stop it."""
    try:
        number = float(limit)
    except ValueError:  # an exponent alone passes the validator
        return None
    return int(number) if number >= 0 and number.is_integer() else None


def filtered(found: Iterable[XoObject], text: str | None) -> Iterable[XoObject]:
    """Raises RestError 400 for a text that is no filter, even where there is nothing to filter."""
    if text is None:
        return found
    try:
        return filter(compile_filter(text), found)
    except FilterError as error:
        raise RestError(400, str(error), {"stringToParse": error.text}) from None


def shape_rows(found: Iterable[XoObject], request: Request, collection: str) -> Iterator[XoObject | str]:
    """Hrefs without ``fields``; else the whole objects or the asked properties, with their href."""
    fields = request.query_params.get("fields")
    # XO repeats the path as it was asked for, but for jobs
    path = f"{BASE}/{collection}" if collection == "backup-jobs" else request.url.path.removesuffix("/")
    if fields is None:
        return (f"{path}/{item['id']}" for item in found)
    if fields == "*":
        return (item | {"href": f"{path}/{item['id']}"} for item in found)
    wanted = {field: answers.path_of(field) for field in fields.split(",")}
    return (answers.pick(item, wanted) | {"href": f"{path}/{item['id']}"} for item in found)
