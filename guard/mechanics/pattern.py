"""Smart-mode patterns: which objects a job's pattern selects, exactly as XO decides it.

Source: value-matcher (packages/value-matcher/index.js; failure-modes.md 6.3). Values are what JSON holds. Names that
every JavaScript object inherits (``constructor``, ``toString``) count as absent here.
"""

from __future__ import annotations

_MISSING = object()
MOST_LEVELS = 64
MOST_STEPS = 1_000_000
"""Lists are held against lists, each element against each: what XO itself would take minutes for, guard leaves."""


class UndecidedError(TypeError):
    """A pattern, or the value it is held against, that is deeper or larger than guard follows."""


def matches(pattern: object, value: object) -> bool:
    """Whether ``value`` matches ``pattern``; both are JSON values.

    Raises TypeError when an ``__and`` or ``__or`` that is looked at holds no list: XO's whole job fails with it. Raises
    UndecidedError where XO may well find an answer.
    """
    return _Matcher().matches(pattern, value, 0)


class _Matcher:
    """One question, and how many more steps it may take."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MOST_STEPS

    def matches(self, pattern: object, value: object, level: int) -> bool:
        self._left -= 1
        if level > MOST_LEVELS or self._left < 0:
            raise UndecidedError("it is nested too deeply, or too long")
        if isinstance(pattern, dict):
            if len(pattern) == 1:
                (operator, operand), *_ = pattern.items()
                if operator in ("__and", "__or", "__not"):
                    return self._operate(operator, operand, value, level + 1)
            return self._has_properties(pattern, value, level + 1)
        if isinstance(pattern, list):
            # one element may satisfy several sub-patterns
            return isinstance(value, list) and all(
                any(self.matches(part, item, level + 1) for item in value) for part in pattern
            )
        return _is_same(pattern, value)

    def _operate(self, operator: str, operand: object, value: object, level: int) -> bool:
        if operator == "__not":
            return not self.matches(operand, value, level)
        if not isinstance(operand, list):
            raise TypeError(f"{operator} needs a list in a job's pattern")
        if operator == "__and":
            return all(self.matches(part, value, level) for part in operand)
        return any(self.matches(part, value, level) for part in operand)

    def _has_properties(self, pattern: dict[str, object], value: object, level: int) -> bool:
        if isinstance(value, dict):
            for name, part in pattern.items():
                item = value.get(name, _MISSING)
                if item is _MISSING or not self.matches(part, item, level):
                    return False
            return True
        if isinstance(value, list):
            return all(
                (item := _element(value, name)) is not _MISSING and self.matches(p, item, level)
                for name, p in pattern.items()
            )
        return False


def _element(values: list[object], name: str) -> object:
    """A JavaScript array has ``length`` and its elements by canonical decimal index."""
    if name == "length":
        return len(values)
    if name.isascii() and name.isdigit() and len(name) < 10 and str(int(name)) == name and int(name) < len(values):
        return values[int(name)]
    return _MISSING


def _is_same(pattern: object, value: object) -> bool:
    """JavaScript's ``===`` for a scalar pattern: no coercion, numbers are doubles, true is not 1."""
    if isinstance(pattern, bool) or isinstance(value, bool):
        return pattern is value
    if isinstance(pattern, (int, float)) and isinstance(value, (int, float)):
        return pattern == value or _as_double(pattern) == _as_double(value)
    return pattern == value


def _as_double(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer beyond any double: JavaScript reads it as infinite
        return float("inf") if number > 0 else float("-inf")
