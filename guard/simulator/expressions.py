"""Regular expressions as JavaScript takes them, for Python's engine: what differs for the filters of a client."""

from __future__ import annotations

import re
from collections.abc import Iterator

NOT_A_LINE_END = "[^\\n\\r\\u2028\\u2029]"
"""JavaScript's dot."""

KNOWN_ESCAPES = frozenset("dDwWsSbBnrtfvxu")
"""Letters that mean the same after a backslash in both; JavaScript takes any other for the letter itself."""

EMPTY_CLASSES = {"[]": "(?!)", "[^]": "[\\s\\S]"}
"""Nothing, and anything at all."""

COMPLAINTS = {
    "missing ), unterminated subpattern": "Unterminated group",
    "unterminated character set": "Unterminated character class",
    "nothing to repeat": "Nothing to repeat",
    "multiple repeat": "Nothing to repeat",
    "unbalanced parenthesis": "Unmatched ')'",
    "min repeat greater than max repeat": "numbers out of order in {} quantifier",
    "bad character range": "Range out of order in character class",
}
"""How Python's complaint begins -> V8's words."""


def compiled(source: str, flags: str) -> re.Pattern[str]:
    """``/source/flags``; ``i`` is the only flag there is. Raises ValueError with the text of JavaScript's SyntaxError."""
    try:
        return re.compile("".join(translated(source)), re.IGNORECASE if flags == "i" else 0)
    except re.error as error:
        words = next((text for start, text in COMPLAINTS.items() if error.msg.startswith(start)), error.msg)
        raise ValueError(f"Invalid regular expression: /{source}/: {words}") from None


def translated(source: str) -> Iterator[str]:
    """Python's ``$`` also matches before a last line end, its ``\\A``, ``\\Z`` and ``\\a`` have meanings of their own, and
    its classes are never empty.
    """
    inside_class, at = False, 0
    while at < len(source):
        character = source[at]
        if character == "\\":
            at += 1
            following = source[at : at + 1]
            is_plain = following.isascii() and following.isalpha() and following not in KNOWN_ESCAPES
            yield following if is_plain else character + following
        elif inside_class:
            inside_class = character != "]"
            yield "\\[" if character == "[" else character
        elif empty := next((one for one in EMPTY_CLASSES if source.startswith(one, at)), ""):
            at += len(empty) - 1
            yield EMPTY_CLASSES[empty]
        else:
            inside_class = character == "["
            yield {"$": "\\Z", ".": NOT_A_LINE_END}.get(character, character)
        at += 1
