"""XO's filter language (xo-api.md 2.2; npm complex-matcher): text in, predicate out.

Words are substrings in any case, so ``status:connected`` matches ``disconnected`` too; arrays and objects match when
one of their elements does. A text XO cannot parse raises ``FilterError`` with XO's own words.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any

from guard.simulator import expressions

Predicate = Callable[[object], bool]

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
MISSING = object()


class FilterError(ValueError):
    """The text is not a filter. ``text`` is what XO gives back as ``data.stringToParse``."""

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text


def compile_filter(text: str) -> Predicate:
    """The predicate of a filter; an empty one matches everything."""
    return _Parser(text).parse()


class _Parser:
    """Recursive descent over one text. Every reader returns None, position unchanged, when it finds something else."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def parse(self) -> Predicate:
        self._blank()
        terms = self._terms()
        if self.at < len(self.text):
            raise FilterError(f"parse error: expected end of input at position {self.at}", self.text)
        return all_of(terms)

    def _blank(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _accept(self, expected: str) -> bool:
        if not self.text.startswith(expected, self.at):
            return False
        self.at += len(expected)
        return True

    def _terms(self) -> list[Predicate]:
        found = []
        while (term := self._term()) is not None:
            found.append(term)
        return found

    def _term(self) -> Predicate | None:
        start = self.at
        for reader in (self._group, self._or, self._not, self._comparison, self._property, self._value):
            predicate = reader()
            if predicate is not None:
                self._blank()
                return predicate
            self.at = start
        return None

    def _group(self) -> Predicate | None:
        terms = self._bracketed()
        return None if terms is None else all_of(terms)

    def _bracketed(self) -> list[Predicate] | None:
        if not self._accept("("):
            return None
        self._blank()
        terms = self._terms()
        return terms if terms and self._accept(")") else None

    def _or(self) -> Predicate | None:
        if not self._accept("|"):
            return None
        self._blank()
        terms = self._bracketed()
        return None if terms is None else any_of(terms)

    def _not(self) -> Predicate | None:
        if not self._accept("!"):
            return None
        self._blank()
        term = self._term()
        return None if term is None else lambda value: not term(value)

    def _comparison(self) -> Predicate | None:
        for symbol in (">=", "<=", ">", "<"):
            if self._accept(symbol):
                word = self._word()
                if word is None:
                    return None
                number = to_number(word)
                if math.isnan(number):
                    raise FilterError("value must be a number", self.text)
                return compares(COMPARISONS[symbol], number)
        return None

    def _property(self) -> Predicate | None:
        name = self._quoted()
        if name is None:
            name = self._word()
        if name is None:
            return None
        if self._accept("?"):
            return truthy(name)
        self._blank()
        if not self._accept(":"):
            return None
        self._blank()
        term = self._term()
        return None if term is None else property_is(name, term)

    def _value(self) -> Predicate | None:
        quoted = self._quoted()
        if quoted is not None:
            return contains(quoted)
        if self.text.startswith("/", self.at):
            return self._regular_expression()
        word = self._word(also="*")
        if word is None:
            return None
        number = to_number(word)
        if not math.isnan(number):
            return number_or_contains(number, word)
        return matches_glob(word) if "*" in word else contains(word)

    def _quoted(self) -> str | None:
        if not self._accept('"'):
            return None
        value = []
        while self.at < len(self.text) and self.text[self.at] != '"':
            self.at += self.text[self.at] == "\\"
            value.append(self.text[self.at : self.at + 1])
            self.at += 1
        self._accept('"')
        return "".join(value)

    def _word(self, also: str = "") -> str | None:
        start = self.at
        while self.at < len(self.text) and (is_word_character(self.text[self.at]) or self.text[self.at] in also):
            self.at += 1
        return self.text[start : self.at] or None

    def _regular_expression(self) -> Predicate | None:
        found = re.compile(r"/((?:[^/\\]|\\.)*)/(i?)").match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        try:
            return matches(expressions.compiled(found[1], found[2]))
        except ValueError as error:
            raise FilterError(str(error), self.text) from None


def is_word_character(character: str) -> bool:
    """Letters of any script that have two cases, the digits 0 to 9, and ``_ - . $``."""
    return character in "0123456789_-.$" or character.upper() != character.lower()


def to_number(word: str) -> float:
    """The number a word stands for in JavaScript, or NaN."""
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?Infinity", word.replace("E", "e")):
        return float(word)
    is_whole = re.fullmatch(r"0x[0-9a-f]+|0o[0-7]+|0b[01]+", word.lower())
    return float(int(word, 0)) if is_whole else math.nan


def member(value: object, name: str) -> Any:  # noqa: ANN401  whatever JSON holds
    """``value[name]`` in JavaScript, for what JSON can hold; MISSING where there is none."""
    if isinstance(value, dict):
        return value.get(name, MISSING)
    if not isinstance(value, list | str):
        return MISSING
    if name == "length":
        return len(value) if isinstance(value, list) else len(value.encode("utf-16-le")) // 2
    return value[int(name)] if is_index(name) and int(name) < len(value) else MISSING


def is_index(name: str) -> bool:
    return re.fullmatch("0|[1-9][0-9]*", name) is not None


def all_of(terms: list[Predicate]) -> Predicate:
    if len(terms) == 1:
        return terms[0]
    return lambda value: all(term(value) for term in terms)


def any_of(terms: list[Predicate]) -> Predicate:
    if len(terms) == 1:
        return terms[0]
    return lambda value: any(term(value) for term in terms)


def property_is(name: str, term: Predicate) -> Predicate:
    def holds(value: object) -> bool:
        return value is not None and value is not MISSING and term(member(value, name))

    return holds


def truthy(name: str) -> Predicate:
    """JavaScript's idea of true: empty arrays and objects are, 0 and "" are not."""

    def holds(value: object) -> bool:
        found = member(value, name)
        return isinstance(found, list | dict) or (found is not MISSING and bool(found))

    return holds


def anywhere(test: Callable[[object], bool]) -> Predicate:
    """The test on a plain value, or on any element of an array or object, however deep."""

    def holds(value: object) -> bool:
        if isinstance(value, dict):
            return any(holds(item) for item in value.values())
        if isinstance(value, list):
            return any(holds(item) for item in value)
        return test(value)

    return holds


def contains(word: str) -> Predicate:
    wanted = word.lower()
    return anywhere(lambda value: isinstance(value, str) and wanted in value.lower())


def number_or_contains(number: float, word: str) -> Predicate:
    wanted = word.lower()

    def test(value: object) -> bool:
        if isinstance(value, str):
            return wanted in value.lower()
        return is_number(value) and value == number

    return anywhere(test)


def matches(expression: re.Pattern[str]) -> Predicate:
    return anywhere(lambda value: isinstance(value, str) and expression.search(value) is not None)


def matches_glob(pattern: str) -> Predicate:
    """A glob is not anchored: ``b*r`` is found inside a longer text."""
    anything = expressions.NOT_A_LINE_END + "*"
    return matches(re.compile(anything.join(re.escape(part) for part in pattern.split("*")), re.IGNORECASE))


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def compares(comparison: Callable[[Any, Any], bool], number: float) -> Predicate:
    """JavaScript converts: null counts as 0, true as 1, a text as the number it spells; a missing one never matches."""

    def holds(value: object) -> bool:
        if value is None:
            return comparison(0, number)
        if isinstance(value, (bool, int, float)):
            return comparison(value, number)
        return isinstance(value, str) and comparison(to_number(value) if value.strip() else 0, number)

    return holds
