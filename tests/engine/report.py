"""The confusion table of all scenarios, and what of it may not be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.engine.families import CERTAIN
from tests.engine.judge import AGREES, FALSE_ALARM, MISS, OPEN, OTHER_CODE, Compared, Judged

CLOSING: list[str] = []
"""What pytest prints when all is done (conftest.py)."""


def bad(compared: Iterable[Compared]) -> list[Compared]:
    """Misses, false alarms and doubts where all must be certain; elsewhere what a certain finding got wrong."""
    return [one for one in compared if _is_bad(one)]


def _is_bad(one: Compared) -> bool:
    if not one.foreseeable:
        return False
    if one.family in CERTAIN:
        return one.result != AGREES or one.certain is False
    return one.certain is True and one.result in (FALSE_ALARM, OTHER_CODE)


def table(compared: Sequence[Compared]) -> list[str]:
    """Rows: predicted; columns: what the engine made of it. What nothing foretells has a row of its own."""
    counts = Counter((_row(one), one.observed) for one in compared)
    rows = sorted({row for row, _ in counts}, key=lambda row: (row.isupper(), row))
    columns = sorted({column for _, column in counts}, key=lambda column: (column.isupper(), column))
    width = max(map(len, rows))
    numbers = {column: f"({number})" for number, column in enumerate(filter(str.isupper, columns), 1)}
    short = {column: numbers.get(column, column) for column in columns}
    lines = [" " * width + "".join(f"{short[column]:>9}" for column in columns)]
    lines += [f"{row:<{width}}" + "".join(f"{counts[row, column] or '.':>9}" for column in columns) for row in rows]
    return [*lines, "  ".join(f"{short[column]} {column}" for column in columns if column.isupper())]


def _row(one: Compared) -> str:
    return one.predicted if one.foreseeable else "none, by fault"


def closing(judged: Sequence[Judged]) -> list[str]:
    compared = [one for each in judged for one in each.compared]
    told = [one for one in compared if one.certain is not None]
    lines = [
        f"{len(judged)} scenarios, {len(compared)} comparisons of guard (rows) with the published engine (columns)",
        *table(compared),
    ]
    for family in dict.fromkeys(one.family for one in compared):
        own = [one for one in compared if one.family == family]
        results = Counter(one.result for one in own if one.foreseeable)
        sure = [one for one in own if one.certain is not None]
        share = f"{sum(bool(one.certain) for one in sure)} of {len(sure)} certain" if sure else "nothing predicted"
        by_fault = sum(not one.foreseeable for one in own)
        parts = [f"{results[name]} {name}" for name in (AGREES, MISS, FALSE_ALARM, OTHER_CODE, OPEN) if results[name]]
        parts += [f"{by_fault} by fault"] if by_fault else []
        lines.append(f"{'* ' if family in CERTAIN else '  '}{family}: {', '.join(parts)}; {share}")
    must = [one for one in told if one.family in CERTAIN]
    lines.append(
        f"certain share: {_share(told)} of all predictions, {_share(must)} in the families marked *; "
        f"wrong among those marked certain: {len(bad(compared))}"
    )
    return lines


def _share(told: Sequence[Compared]) -> str:
    sure = sum(bool(one.certain) for one in told)
    return f"{sure}/{len(told)} ({100 * sure / max(1, len(told)):.0f} %)"
