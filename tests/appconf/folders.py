"""Random configuration folders: names, cases and endings mixed, contents that set the value, touch it or leave it."""

from __future__ import annotations

import json
import random

STEMS = [
    "",
    "a",
    "A",
    "z-auto",
    "httpInactivityTimeout",
    "zz",
    "ZZ",
    "zz-backup-guard",
    "zz-backup-guarD",
    "zzz",
    "1",
    "_",
]
SIGNS = " _-,;:!?'\"()[]{}@*\\&#%`^+<=>|~$.0aAzZ"
ENDINGS = ["toml", "TOML", "json", "Json", "json5", "toml.new", "toml~", "txt", "bak", "yml", "conf"]
VALUES = [0, 1, 300_000, 600_000, 1_800_000, 7_200_000, -5, 600_000.0, 0.5, "30 min", True]
SECTIONS_JSON = [None, 5, "text", [1, 2], [], {}, {"maxUncoalescedVdis": 3}]


def name(random_: random.Random) -> str:
    stem = random_.choice(STEMS)
    if random_.random() < 0.5:
        stem += "".join(random_.choice(SIGNS) for _ in range(random_.randint(1, 3)))
    prefix = random_.choices(["config.", "Config.", "conf.", ".config."], [20, 1, 1, 1])[0]
    return prefix + (f"{stem}." if stem else "") + random_.choice(ENDINGS)


def toml(random_: random.Random) -> str:
    kind = random_.randrange(6)
    value = json.dumps(random_.choice(VALUES))
    return (
        f"[xapiOptions]\nhttpInactivityTimeout = {value} # 30 mins\n",
        f"xapiOptions.httpInactivityTimeout = {value}\n",
        f"xapiOptions = {{ httpInactivityTimeout = {value} }}\n",
        "[xapiOptions]\nmaxUncoalescedVdis = 2\n",
        '[http]\nport = 80\n[xapiOptions2]\nhttpInactivityTimeout = 3\n[redis]\nuri = "redis://x"\n',
        f"xapiOptions = {random_.choice(['5', '[1, 2]', '2026-01-01', 'false', chr(34) * 2])}\n",
    )[kind]


def as_json(random_: random.Random) -> str:
    if random_.random() < 0.4:
        section = random_.choice(SECTIONS_JSON)
    else:
        section = {"httpInactivityTimeout": random_.choice([*VALUES, None, [1], {"a": 1}])}
    return json.dumps(random_.choice([{"xapiOptions": section}, {"xapiOptions": section, "http": {}}, {}, None, [1]]))


def folder(random_: random.Random) -> dict[str, str]:
    """Name -> text, of files that XO can read."""
    files: dict[str, str] = {}
    for _ in range(random_.randint(1, 6)):
        called = name(random_)
        ending = called.rpartition(".")[2].lower()
        files[called] = (
            toml(random_) if ending == "toml" else as_json(random_) if ending in ("json", "json5") else "{{ no [ format"
        )
    return files
