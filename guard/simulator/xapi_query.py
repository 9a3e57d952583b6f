"""The expressions of ``get_all_records_where``: ``field "x" = "y"``, ``true``, ``not``, ``and``, ``or``, parentheses.

Values are compared as texts, the way XAPI's database holds them: ``true``, references, numbers. A field of a namespace
is written with two underscores there (``name__label``), except for messages (xapi-storage.md 8).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from guard.simulator.xapi_wire import Record, Value, XapiError

Test = Callable[[Record], bool]

TOKEN = re.compile(r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\')|(?P<word>[A-Za-z]+)|(?P<sign>[()=]))')
NAMESPACES = ("name_", "memory_", "VCPUs_", "HVM_", "PV_", "actions_", "API_version_", "snapshot_schedule_")


def condition(expression: str) -> Test:
    """What an expression asks of a record. Raises XapiError for one that XAPI cannot read."""
    parser = _Parser(expression)
    found = parser.expression()
    if parser.words:
        raise parser.failure()
    return found


class _Parser:
    def __init__(self, expression: str) -> None:
        self._expression = expression
        self.words: list[str] = []
        position, rest = 0, expression.rstrip()
        while position < len(rest):
            found = TOKEN.match(rest, position)
            if found is None:
                raise self.failure()
            self.words.append(found.group().strip())
            position = found.end()

    def failure(self) -> XapiError:
        return XapiError("INTERNAL_ERROR", f"Db_filter parse error: {self._expression}")

    def _next(self) -> str:
        if not self.words:
            raise self.failure()
        return self.words.pop(0)

    def _expect(self, word: str) -> None:
        if self._next() != word:
            raise self.failure()

    def _accept(self, word: str) -> bool:
        if self.words and self.words[0] == word:
            self.words.pop(0)
            return True
        return False

    def expression(self) -> Test:
        """``and`` and ``or`` bind alike, from the left; ``not`` takes all that follows (db_filter_parse.mly)."""
        found = self._one()
        while True:
            if self._accept("and"):
                found = _both(found, self._one())
            elif self._accept("or"):
                found = _either(found, self._one())
            else:
                return found

    def _one(self) -> Test:
        word = self._next()
        if word == "(":
            inner = self.expression()
            self._expect(")")
            return inner
        if word == "not":
            negated = self.expression()
            return lambda record: not negated(record)
        if word in {"true", "false"}:
            return lambda _record: word == "true"
        if word != "field":
            raise self.failure()
        name = self._text()
        self._expect("=")
        wanted = self._text()
        return lambda record: as_text(field_of(record, name)) == wanted

    def _text(self) -> str:
        word = self._next()
        if word[0] not in "\"'":
            raise self.failure()
        return re.sub(r"\\(.)", r"\1", word[1:-1])


def _both(one: Test, other: Test) -> Test:
    return lambda record: one(record) and other(record)


def _either(one: Test, other: Test) -> Test:
    return lambda record: one(record) or other(record)


def field_of(record: Record, name: str) -> Value:
    """Raises XapiError for a field the database does not know by that name."""
    plain = name.replace("__", "_")
    spaced = "__" in name
    if plain not in record or spaced != (plain.startswith(NAMESPACES)):
        raise XapiError("INTERNAL_ERROR", f'Db_exn.DBCache_NotFound("missing field", "{name}", "")')
    return record[plain]


def as_text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
