"""Random cases for the oracles, the same every time."""

from __future__ import annotations

import random

ZONES = [
    "utc",
    "Europe/Paris",
    "Europe/London",
    "America/New_York",
    "America/Los_Angeles",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "America/St_Johns",
    "Pacific/Chatham",
    "Asia/Tokyo",
    "America/Santiago",
    "Asia/Beirut",
    "Europe/Dublin",
    "Atlantic/Azores",
    "America/Havana",
    "America/Nuuk",
]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wen", "thu", "fri", "sat"]
START = 28_401_120  # 2024-01-01 in minutes
YEAR = 365 * 24 * 60


def _item(rng, low, high):
    kind = rng.random()
    first, last = sorted((rng.randint(low, high), rng.randint(low, high)))
    if kind < 0.55:
        return str(first)
    if kind < 0.75:
        return f"{first}-{last}"
    if kind < 0.8:
        return f"{last}-{first}"
    return f"{first}-{last}/{rng.randint(1, max(1, (high - low) // 3))}"


def _field(rng, low, high, star, names=()):
    kind = rng.random()
    if kind < star:
        return "*"
    if kind < star + 0.12:
        return f"*/{rng.randint(1, max(2, (high - low) // 2))}"
    if names and kind < star + 0.22:
        return rng.choice(names)
    return ",".join(_item(rng, low, high) for _ in range(rng.choice((1, 1, 1, 2, 3))))


def expression(rng):
    return " ".join(
        (
            _field(rng, 0, 59, 0.2),
            _field(rng, 0, 23, 0.3),
            _field(rng, 1, 31, 0.6),
            _field(rng, 0, 11, 0.65, MONTHS),
            _field(rng, 0, 6, 0.6, DAYS),
        )
    )


def cron_cases(count, seed=1):
    rng = random.Random(seed)
    return [
        {
            "op": "cron",
            "expression": expression(rng),
            "zone": rng.choice(ZONES),
            "after": START + rng.randrange(5 * YEAR),
            "count": 3,
        }
        for _ in range(count)
    ]


def night_cases(changes, seed=2):
    """Around each change of a zone: expressions inside and beside the changed hour, asked from before it."""
    rng = random.Random(seed)
    own = ("0 2 * * *", "30 2 * * *", "0,30 2 * * *", "*/15 1-3 * * *")
    return [
        {"op": "cron", "expression": text, "zone": zone, "after": minute - rng.randrange(300), "count": 3}
        for zone, minute in changes
        for text in (*own, f"{rng.randrange(60)} {rng.randrange(4)} * * *")
    ]


def job_cases(changes, count, seed=4):
    """Schedules whose hours lie in or beside a changed hour, armed 70 days before that night by a job of their own."""
    rng = random.Random(seed)
    minutes = ("0", "30", "59", "0,30", "*/15", "*/20", "5,50")
    hours = ("0", "1", "2", "3", "23", "0,1", "1,2", "2,3", "1-3", "22-23", "*/2", "2,14", "0-2", "0,12", "*", "0-23")
    dates = (*["*"] * 6, "1", "28", "28-31", "1,15", "*/7")
    months = (*["*"] * 5, "2", "9", "2,9", "mar")
    days = (*["*"] * 4, "0", "sun", "6,0", "1-5")
    found = []
    for zone, minute in rng.choices(changes, k=count):
        text = " ".join(map(rng.choice, (minutes, hours, dates, months, days)))
        found.append(
            {"op": "job", "expression": text, "zone": zone, "from": minute - 70 * 1440, "until": minute + 1440}
        )
    return found


def _scalar(rng):
    return rng.choice(("a", "b", "prod", "db", "", 0, 1, 1.0, 2, True, False, None))


def _value(rng, depth):
    kind = rng.random()
    if depth == 0 or kind < 0.3:
        return _scalar(rng)
    if kind < 0.6:
        return [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {
        key: _value(rng, depth - 1) for key in rng.sample(("a", "b", "tags", "0", "length", "__or"), rng.randrange(4))
    }


def _pattern(rng, depth):
    kind = rng.random()
    if depth == 0 or kind < 0.25:
        return _scalar(rng)
    if kind < 0.4:
        return [_pattern(rng, depth - 1) for _ in range(rng.randrange(3))]
    if kind < 0.65:
        operator = rng.choice(("__and", "__or", "__not"))
        return {
            operator: _pattern(rng, depth - 1)
            if operator == "__not"
            else [_pattern(rng, depth - 1) for _ in range(rng.randrange(4))]
        }
    keys = rng.sample(("a", "b", "tags", "0", "1", "length"), rng.randrange(1, 3))
    return {key: _pattern(rng, depth - 1) for key in keys}


def pattern_cases(count, seed=3):
    rng = random.Random(seed)
    return [{"op": "match", "pattern": _pattern(rng, 3), "value": _value(rng, 3)} for _ in range(count)]
