"""Makes hostile inputs out of real ones: changed JSON values, changed bytes. The same seed always makes the same input."""

from __future__ import annotations

import atexit
import copy
import json
import shutil
import tempfile
from pathlib import Path

MARKER = "s3cr3t-that-nobody-may-see"
"""What stands for a secret in every input: it must never come out again."""

_TEXTS = (
    "",
    " ",
    "\0",
    "\x1b[31mred\x1b[0m",
    "\x9b2J",
    "\x07\r\n\t",
    "\u202eevil",
    "\u2028",
    "\ud800",
    "é",
    "\U0001f4a5",
    "中文",
    "e\u0301" * 5,
    "%s%n{0}{x}",
    "../../etc/passwd",
    "0",
    "-1",
    "NaN",
    "null",
    "local",
    "utc",
    "Europe/Paris",
    "* * * * *",
    "*/0 * * * *",
    "0 0 30 1 *",
    "0 2 29 1 *",
    "@yearly",
    "__proto__",
    "VM",
    "success",
    "failure",
    "pending",
    "20261124T000000Z",
    "9" * 5000,
    "a b" * 40,
)
_NUMBERS = (
    *(0, 1, -1, 7, 59, 255, 2**31, -(2**31), 2**53, 2**53 + 1, 2**63, -(2**63), 2**64, 10**30, -(10**30), 10**400),
    *(0.0, -0.0, 0.5, -1.5, 1e18, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
    *(946_684_800_000, 1_795_383_448_123, 4_102_444_800_000, -62_135_596_800_000, 253_402_300_800_000),
)
_OTHERS = (None, True, False, [], {}, [None], [[]], {"": None}, {"id": None}, {"__or": []}, {"__and": 1}, {"__not": {}})


def own_folder():
    """A folder that is gone when the process is."""
    folder = Path(tempfile.mkdtemp(prefix="guard-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _alike(value):
    """Hostile values of the same type: what no decoder refuses."""
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return tuple(one for one in _NUMBERS if isinstance(one, int))
    if isinstance(value, float):
        return _NUMBERS
    return _TEXTS if isinstance(value, str) else ([], {}) if isinstance(value, list) else ({}, [])


def nested(depth, inner=0, key=None):
    """A value so many levels deep: lists, or tables of one key."""
    for _ in range(depth):
        inner = [inner] if key is None else {key: inner}
    return inner


def hostile(random):
    """Any JSON value that nobody expects."""
    kind = random.random()
    if kind < 0.3:
        return random.choice(_TEXTS)
    if kind < 0.65:
        return random.choice(_NUMBERS)
    if kind < 0.9:
        return copy.deepcopy(random.choice(_OTHERS))
    if kind < 0.96:
        return nested(random.choice((3, 40, 90, 300)), 0, random.choice((None, "x", "__not", "tasks")))
    return random.choice("x\u4e2d ") * random.choice((200, 10_000))


def places(document):
    """(container, key) of every value in a JSON document."""
    found, rest = [], [document]
    while rest:
        one = rest.pop()
        pairs = list(one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ())
        found += [(one, key) for key, _ in pairs]
        rest += [value for _, value in pairs]
    return found


def bend(random, document, times):
    """A copy of a JSON document with so many values changed."""
    root = [copy.deepcopy(document)]
    for _ in range(times):
        spots = places(root)
        where, key = random.choice(spots)
        what = random.random()
        if what < 0.3:
            where[key] = random.choice(_alike(where[key]))
        elif what < 0.45:
            where[key] = hostile(random)
        elif what < 0.6 and isinstance(where, dict):
            del where[key]
        elif what < 0.75:
            alike = [one[same] for one, same in spots if same == key and isinstance(key, str)] or [where[key]]
            where[key] = copy.deepcopy(random.choice(alike))  # another's id, parent or time: cycles and twins
        elif what < 0.85 and isinstance(where[key], list):
            where[key] = where[key] * random.choice((0, 2, 50))
        elif what < 0.95 and isinstance(where[key], int | float):
            where[key] = random.choice((-where[key], where[key] * 1000, where[key] * 10**18, where[key] - 1))
        elif isinstance(where, dict):
            where[random.choice(("", "id", "__or", "parent", "tasks", "settings"))] = hostile(random)
    return root[0]


def swell(random, document):
    """A copy in which many numbers are huge, tiny or negative, all of the types they were of."""
    root = [copy.deepcopy(document)]
    share = random.choice((0.02, 0.2, 0.9))
    number = random.choice([one for one in _NUMBERS if isinstance(one, int)])
    for where, key in places(root):
        if type(where[key]) is int and random.random() < share:
            where[key] = number if random.random() < 0.7 else random.choice(_alike(1))
    return root[0]


def text_of(document):
    """JSON as others may write it: NaN and lone surrogates included."""
    return json.dumps(document, ensure_ascii=True).encode()


def bend_bytes(random, data, words=()):
    """Bytes with a few of them lost, changed, doubled or put in between."""
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(data) + 1)
        what = random.random()
        if what < 0.25:
            del data[at:]
        elif what < 0.45 and at < len(data):
            data[at] ^= 1 << random.randrange(8)
        elif what < 0.6:
            end = min(len(data), at + random.choice((1, 10, 200)))
            data[at:at] = data[at:end] * random.choice((1, 2, 30))
        elif what < 0.75:
            del data[at : at + random.choice((1, 4, 60))]
        else:
            data[at:at] = random.choice(
                (b"\xff", b"\0", b"\xed\xa0\x80", b"[" * 3000, b'{"":' * 3000, b'"', b"\\", *words)
            )
    return bytes(data)
