"""What msgspec says of a value of the wrong type, in the words of someone who writes a policy."""

from __future__ import annotations

import re

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "datetime": "a date and time",
    "date": "a date",
    "time": "a time of day",
}
_MESSAGE = re.compile(r"Expected `([^`]+)`([^`]*?)(?:, got `([^`]+)`)?( - at `\$.+`)?")


def in_plain_words(message: str) -> str:
    """``"Expected `int` >= 10"`` -> ``"expected a whole number, at least 10"``; what is no such message stays as it is.

    A value inside a list or a table is told as one of its values.
    """
    found = _MESSAGE.fullmatch(message)
    if found is None:
        return message
    wanted, more, got, inside = found.groups()
    told = f"expected each value to be {_type(wanted)}" if inside else f"expected {_type(wanted)}"
    return told + _bound(more.strip()) + (f", got {_type(got)}" if got else "")


def _type(written: str) -> str:
    """TOML has no null: a value that may be left out is not given as one."""
    return " or ".join(_TYPES.get(one, one) for one in written.split(" | ") if one != "null")


def _bound(more: str) -> str:
    if not more:
        return ""
    for sign, words in ((">= ", "at least "), ("<= ", "at most ")):
        if more.startswith(sign):
            return f", {words}{more.removeprefix(sign).removesuffix('.0')}"
    return " " + more.replace("matching regex '^/'", 'that begins with "/"')
