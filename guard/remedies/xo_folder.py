"""XO's configuration folder, read: what holds there by XO's load order, guard's own file, and what is broken."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import tomli

from guard.errors import XoConfigError
from guard.estate.workaround import OwnFile, Setting, State, Trouble, Unsure
from guard.mechanics.xo_config import (
    KEY,
    OWN_FILE,
    PAGE_FILE,
    SECTION,
    InForce,
    can_order,
    format_of,
    in_force,
    is_read,
    order_key,
)
from guard.remedies.timeout_text import read_back

MOST_BYTES = 1024**2
_MOST_FILES = 1000
_LINE = re.compile(r"at line (\d+)")
HELPER = "guard-workaround.socket (docs/workaround.md) may write there for it"


class Looked(NamedTuple):
    """``own_text``: guard's file as it is; ``others``: the content of the other files, of those that could be parsed."""

    state: State
    own_text: str | None
    others: Mapping[str, object]


class _BrokenError(Exception):
    """XO cannot load the folder with this file in it."""


class _UnreadError(Exception):
    """XO may read this file, guard cannot."""

    def __init__(self, why: str, text: str = "") -> None:
        super().__init__(why)
        self.text = text


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """The folder's descriptor. Raises XoConfigError."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise XoConfigError(f"{folder}: {because(error)}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def because(error: OSError) -> str:
    """Why the folder could not be read or written, and what to do, without a full stop."""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return "there is no such folder; is XO on another machine? Then leave xo_config out of the policy"
        case errno.EACCES | errno.EPERM:
            return f"guard's user may not do that there; {HELPER}"
        case errno.EROFS:
            return "its file system is read-only"
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full"
        case _:
            return spelled(error)


def spelled(error: OSError) -> str:
    """The system's own words, without paths."""
    return error.strerror or str(error) or type(error).__name__


def look(folder: Path, now: datetime) -> State:
    """One look; what cannot be looked at is in the state's ``problem``."""
    try:
        with opened(folder) as descriptor:
            return look_in(descriptor, folder, now).state
    except XoConfigError as error:
        return State(folder=str(folder), looked_at=now, problem=str(error), own=OwnFile(state="unreadable"))


def look_in(descriptor: int, folder: Path, now: datetime) -> Looked:
    """Every file that XO reads there. Raises XoConfigError where the folder cannot be listed."""
    try:
        names = sorted(name for name in os.listdir(descriptor) if is_read(name))
    except OSError as error:
        raise XoConfigError(f"{folder}: {because(error)}") from error
    if len(names) > _MOST_FILES:
        raise XoConfigError(f"{folder}: holds {len(names)} files config.*; that is no configuration folder of XO's")
    contents: dict[str, object] = {}
    broken, unsure = [], []
    for name in names:
        try:
            parsed = _parsed(_read(descriptor, name), format_of(_real_name(folder, name)))
        except _BrokenError as error:
            broken.append(Trouble(file=_shown(name), why=str(error)))
        except _UnreadError as error:
            unsure.append(_unsure(name, str(error), error.text))
        else:
            if can_order(name):
                contents[name] = parsed
            elif SECTION in (text := json.dumps(parsed, default=str)):
                unsure.append(_unsure(name, "its name has signs whose order guard does not know", text))
    own, own_text = _own(descriptor)
    without = {name: one for name, one in contents.items() if name != OWN_FILE}
    state = State(
        folder=str(folder),
        looked_at=now,
        own=own,
        in_force=_setting(in_force(contents)),
        elsewhere=_setting(in_force(without)),
        page_file=_page_file(descriptor, contents.get(PAGE_FILE)),
        broken=tuple(broken),
        unsure=tuple(one for one in unsure if one.file != OWN_FILE),
    )
    return Looked(state, own_text, without)


def _real_name(folder: Path, name: str) -> str:
    """XO follows links before it looks at the ending."""
    return os.path.realpath(folder / name)


def _read(descriptor: int, name: str) -> str:
    try:
        file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, dir_fd=descriptor)
    except FileNotFoundError:
        if name in os.listdir(descriptor):
            raise _BrokenError("is a link that leads nowhere") from None
        return ""  # gone since the folder was listed
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _BrokenError("is no file that can be read") from None
        raise _UnreadError(spelled(error)) from None
    try:
        content = _content(file)
    except ValueError as error:
        raise _BrokenError(str(error)) from None
    except OSError as error:
        raise _UnreadError(spelled(error)) from None
    if len(content) > MOST_BYTES:
        raise _UnreadError("too large to be a configuration")
    return content.decode("utf-8", "replace")  # as Node does


def _content(file: int) -> bytes:
    """Of a plain file, one byte more than ``MOST_BYTES`` at most; ``file`` is closed. Raises OSError, and ValueError."""
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise ValueError("is no file")
        parts: list[bytes] = []
        left = MOST_BYTES + 1
        while left and (part := os.read(file, left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(file)


def _parsed(text: str, kind: str | None) -> object:
    if kind is None:
        return {}
    if kind == "toml":
        return _toml(text)
    if not _could_set(text):
        return {}
    if kind == "other":
        raise _UnreadError("guard reads TOML and JSON only", text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _UnreadError("it is no JSON; XO reads JSON5 there", text) from None


def _toml(text: str) -> dict[str, Any]:
    try:
        parsed = tomli.loads(text)
    except (ValueError, RecursionError) as error:
        line = _LINE.search(str(error))  # not the rest of it: it may repeat what the file holds
        raise _BrokenError(f"is no TOML (line {line[1]})" if line else "is no TOML") from None
    if _has_mixed_list(parsed):
        raise _BrokenError("has a list with values of different kinds, which XO's TOML parser refuses")
    return parsed


def _has_mixed_list(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_mixed_list, value.values()))
    if not isinstance(value, list):
        return False
    return len({type(one) for one in value}) > 1 or any(map(_has_mixed_list, value))


def _could_set(text: str) -> bool:
    """False where the text cannot touch the setting, in whatever language: its section is not named, nor spelled in escapes."""
    return SECTION in text or "\\" in text


def _unsure(name: str, why: str, text: str) -> Unsure:
    later = order_key(name) > order_key(OWN_FILE) if can_order(name) else None
    return Unsure(file=_shown(name), why=why, names_it=KEY in text, later=later)


def _shown(name: str) -> str:
    """Of a name that is no UTF-8 what can be written down."""
    return os.fsencode(name).decode("utf-8", "replace")


def _setting(found: InForce) -> Setting:
    return Setting(value_ms=found.value_ms, file=found.file, usable=found.usable)


def _page_file(descriptor: int, content: object) -> Setting | None:
    if not isinstance(content, dict) or set(content) != {SECTION}:
        return None
    section = content[SECTION]
    alone = in_force({PAGE_FILE: content})
    if not isinstance(section, dict) or set(section) != {KEY} or not alone.usable:
        return None
    return _setting(alone) if _is_plain(descriptor, PAGE_FILE) else None


def _is_plain(descriptor: int, name: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode)
    except OSError:
        return False


def read_own(descriptor: int) -> str | None:
    """Guard's file as it is; None: there is none. Raises OSError, and ValueError for what guard never wrote."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        file = os.open(OWN_FILE, flags, dir_fd=descriptor)
    except FileNotFoundError:
        return None
    content = _content(file)
    if len(content) > MOST_BYTES:
        raise ValueError("is far larger than what guard writes")
    return content.decode("utf-8", "replace")


def _own(descriptor: int) -> tuple[OwnFile, str | None]:
    try:
        text = read_own(descriptor)
    except ValueError as error:
        return OwnFile(state="unreadable", why=str(error)), None
    except OSError as error:
        why = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be read ({spelled(error)})"
        return OwnFile(state="unreadable", why=why), None
    return (OwnFile(state="absent") if text is None else read_back(text)), text
