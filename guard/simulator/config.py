"""XO's configuration files, as far as they act here: ``[xapiOptions] httpInactivityTimeout`` (xo-api.md 7).

::

    live.config.http_inactivity = 1800.0           # seconds, for runs that begin from now on
    live.config.folder = Path("/tmp/etc/xo-server")    # or what its files say, as app-conf reads them

Of a folder every ``config.*`` is read in alphabetical order, and what comes later is laid over what came before. A file
that cannot be read while XO runs leaves all as it was; at start it keeps XO from starting.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

DEFAULT_INACTIVITY = 300.0
"""Seconds: what XO's code has where no file says otherwise."""
LOOKS_EVERY = 10.0
"""Seconds of driven time between two looks at the folder. The real watcher needs 33 to 150 ms."""

_BEFORE_DIGITS = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$"
"""How a JavaScript engine sorts signs, which come before digits and letters."""


class BrokenConfigError(Exception):
    """XO cannot read its configuration."""


class Config:
    """``http_inactivity``: seconds of silence in a transfer, for runs that begin from now on; infinite for 0 in a file.

    ``warnings``: what XO logged of files it could not read. ``proxies``: the same seconds by proxy id, which have
    configurations of their own.
    """

    def __init__(self, on_folder: Callable[[], None] = lambda: None) -> None:
        self._on_folder = on_folder
        self.http_inactivity = DEFAULT_INACTIVITY
        self.warnings: list[str] = []
        self.proxies: dict[str, float] = {}
        self._folder: Path | None = None
        self._seen: object = None

    @property
    def folder(self) -> Path | None:
        return self._folder

    @folder.setter
    def folder(self, folder: Path | None) -> None:
        """From now on its files count. Raises BrokenConfigError: an XO with such a folder would not run."""
        self._folder = folder
        self.load()
        self._on_folder()

    def load(self) -> None:
        """Read the folder, if there is one. Raises BrokenConfigError, and then all stays as it was."""
        if self._folder is not None:
            self.http_inactivity = _inactivity(_merged_files(self._folder))

    def reload(self) -> None:
        """What the watcher of a running XO does, where anything changed."""
        seen = _signature(self._folder)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self.load()
        except BrokenConfigError as error:
            if str(error) not in self.warnings[-1:]:
                self.warnings.append(str(error))

    def of_proxy(self, proxy_id: str) -> float:
        return self.proxies.get(proxy_id, DEFAULT_INACTIVITY)


def _signature(folder: Path | None) -> list[tuple[str, int, int]]:
    """What a look at the folder shows without reading its files."""
    found = [] if folder is None else sorted(folder.glob("config.*"))
    told = [(path.name, path.lstat()) for path in found]
    return [(name, one.st_mtime_ns, one.st_size) for name, one in told]


def _inactivity(config: Mapping[str, Any]) -> float:
    options = config.get("xapiOptions")
    value = options.get("httpInactivityTimeout") if isinstance(options, dict) else None
    if value is None:
        return DEFAULT_INACTIVITY
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        raise NotImplementedError(f"what XO does with httpInactivityTimeout = {value!r} was never seen")
    return value / 1000 if value else float("inf")


def _merged_files(folder: Path) -> dict[str, Any]:
    """All files laid over one another. Raises BrokenConfigError; formats nobody knows are left out."""
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("config.*"), key=lambda one: _place(one.name)):
        try:
            real = path.resolve(strict=True)
            parsed = _as_object(_parsed(real))
        except (OSError, ValueError) as error:
            raise BrokenConfigError(f"{path.name}: {error}") from error
        if isinstance(parsed, dict):
            found = _laid_over(found, parsed)
    return found


def _as_object(value: Any) -> Any:  # noqa: ANN401  whatever a file holds
    """What JavaScript takes for an object, as one: lists have their places for keys, dates have none."""
    if isinstance(value, dict):
        return {key: _as_object(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return {str(place): _as_object(inside) for place, inside in enumerate(value)}
    return {} if isinstance(value, date | time) else value


def _parsed(path: Path) -> Any:  # noqa: ANN401  whatever a file holds
    """By the extension of the file itself, where ``path`` is no link. Raises OSError, ValueError."""
    match path.suffix.lower():
        case ".toml":
            return tomllib.loads(path.read_bytes().decode())
        case ".json" | ".json5":
            return json.loads(path.read_bytes())
        case ".yaml" | ".cson" | ".ini":
            raise NotImplementedError(f"the simulated XO does not read {path.suffix}")
        case _:
            path.read_bytes()  # XO reads it before it knows that it cannot tell what it is
            return {}


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        inside = result.get(key)
        result[key] = _laid_over(inside, value) if isinstance(inside, dict) and isinstance(value, dict) else value
    return result


def _place(name: str) -> tuple[list[tuple[int, str]], str]:
    """Where a name stands in the order: letters whatever their case, the small one first among equals."""
    weights = []
    for sign in name.lower():
        place = _BEFORE_DIGITS.find(sign)
        weights.append((place, "") if place >= 0 else (len(_BEFORE_DIGITS), sign))
    return weights, name.swapcase()
