"""How xo-server reads one folder of its configuration: which files, in which order, and what then holds (xo-api.md 7).

The rules are those of app-conf 3.1.1, with glob 8 under it; tests/appconf holds them against the packages themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, time
from typing import Final, Literal, NamedTuple

OWN_FILE = "config.zz-backup-guard.toml"
"""Guard's file. Of the names people choose nearly all are read before it, and what is read later wins."""
PAGE_FILE = "config.httpInactivityTimeout.toml"
"""The file that XO's documentation tells people to make."""
SECTION, KEY = "xapiOptions", "httpInactivityTimeout"
XO_DEFAULT_MS = 300_000
"""XO's own limit, where nothing sets another. A smaller one breaks its connection to the pools."""

Format = Literal["toml", "json", "other"]
_FORMATS: tuple[tuple[re.Pattern[str], Format], ...] = (
    (re.compile(r"\.toml\Z", re.IGNORECASE), "toml"),
    (re.compile(r"\.json5?\Z", re.IGNORECASE), "json"),
    # the last two only where their packages happen to be installed beside XO
    (re.compile(r"\.(yaml|cson|ini)\Z", re.IGNORECASE), "other"),
)
# Node sorts by ICU's collation for English: signs before digits before letters, of which case counts last
_ALPHABET = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz"
_RANK = {sign: rank for rank, sign in enumerate(_ALPHABET)}
_MOST = 2**53 - 1  # beyond it JavaScript knows no whole numbers
_ABSENT: Final = object()


class InForce(NamedTuple):
    """What the files of a folder set. ``file`` None: none of them does.

    ``value_ms`` None with a file: that file takes it back to XO's default, or (not ``usable``) sets what XO cannot use.
    """

    value_ms: int | None = None
    file: str | None = None
    usable: bool = True


def is_read(name: str) -> bool:
    """Whether app-conf opens an entry of this name at all: its pattern is ``config.*``."""
    return name.startswith("config.")


def format_of(name: str) -> Format | None:
    """How a file is read, by its real name (links are followed first). None: it is opened, and ignored.

    ``"json"`` is JSON5, of which JSON is a part; ``"other"`` YAML, CSON and INI.
    """
    return next((kind for pattern, kind in _FORMATS if pattern.search(name)), None)


def can_order(name: str) -> bool:
    """Whether ``order_key`` knows every sign of the name: printable ASCII."""
    return name.isascii() and name.isprintable()


def order_key(name: str) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Files are read in the order of this key. KeyError for a name that ``can_order`` denies."""
    return tuple(_RANK[sign] for sign in name.lower()), tuple(sign.isupper() for sign in name)


def in_force(files: Mapping[str, object]) -> InForce:
    """``files``: name -> content as parsed, of those that app-conf reads and ``can_order`` allows.

    Tables are merged, later values win, and a section that is no table takes away all that came before it.
    """
    value: object = _ABSENT
    file: str | None = None
    is_table = False
    for name in sorted(files, key=order_key):
        content = files[name]
        if not isinstance(content, dict) or SECTION not in content:
            continue
        section = content[SECTION]
        if not (is_table and _is_table(section)) and value is not _ABSENT:
            value, file = _ABSENT, name
        is_table = _is_table(section)
        if isinstance(section, dict) and KEY in section:
            value, file = section[KEY], name
    return _told(value, file)


def _is_table(value: object) -> bool:
    """What JavaScript calls an object."""
    return isinstance(value, (dict, list, date, time))


def _told(value: object, file: str | None) -> InForce:
    if value is _ABSENT or value is None:
        return InForce(None, file)
    whole = isinstance(value, float) and value.is_integer()
    if (whole or isinstance(value, int)) and not isinstance(value, bool) and 0 <= value <= _MOST:  # type: ignore[operator]
        return InForce(int(value), file)  # type: ignore[call-overload]
    return InForce(None, file, usable=False)
