"""What is to be done with guard's httpInactivityTimeout file, for a folder as it was found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from guard.errors import XoConfigRefusedError
from guard.estate.workaround import Plan, Setting, State
from guard.mechanics.xo_config import KEY, OWN_FILE, PAGE_FILE, SECTION, in_force
from guard.remedies.timeout_text import MOST_MS, Wanted, check, render
from guard.remedies.xo_folder import Looked
from guard.units import format_duration, some_of
from guard.views.workaround import setting_text

KEPT_AS = f"kept-by-guard.{PAGE_FILE}"
"""A person's file that guard took over, under a name that XO does not read."""


def plan_apply(looked: Looked, wanted: Wanted, now: datetime, *, most_ms: int = MOST_MS, adopt: bool = False) -> Plan:
    """What is to be done. Raises XoConfigRefusedError where guard leaves the folder as it is.

    ``adopt``: take over the page's file: the larger of the two values is written, and the person's file kept aside.
    A value that stands in guard's file is never lowered. Where enough is set elsewhere guard's file is not needed.
    """
    state = looked.state
    check(wanted, now, most_ms)
    _refuse_touched(state)
    if state.broken:
        told = some_of(f"{one.file} {one.why}" for one in state.broken)
        raise XoConfigRefusedError(
            f"{state.folder}: {told}: XO reads nothing anew, and would not start, until that is mended; guard changes nothing"
        )
    page = state.page_file
    taken = page if adopt and page is not None and _at_most(page, most_ms) else None
    if _is_enough(state.elsewhere, wanted.value_ms) and not (taken and state.elsewhere.file == PAGE_FILE):
        return _enough(looked)
    _refuse_hidden(state)
    value_ms = max(wanted.value_ms, min(state.own.value_ms or 0, most_ms), (taken and taken.value_ms) or 0)
    wanted = wanted._replace(value_ms=value_ms)
    _refuse_overridden(looked, wanted.value_ms)
    own = state.own
    if taken is None and (own.value_ms, own.until, own.reason) == (value_ms, _whole(wanted.until), wanted.reason):
        return Plan(action="nothing", sentence=f"{_path(state)}: stands as wanted.", text=looked.own_text)
    text = render(wanted, now)
    told = f"{_path(state)}: {KEY} = {value_ms} ({format_duration(value_ms / 1000)}) until {_day(wanted.until)}."
    told += _may_override(one.file for one in state.unsure if one.later is not False)
    if taken:
        told += f" {PAGE_FILE} is taken over, and kept as {KEPT_AS}."
    return Plan(
        action="write",
        sentence=told,
        text=text,
        diff=_diff(state, looked.own_text, text),
        moved=(PAGE_FILE, KEPT_AS) if taken else None,
    )


def plan_revert(looked: Looked) -> Plan:
    """Raises XoConfigRefusedError where the file is not as guard wrote it."""
    state = looked.state
    if state.own.state == "absent":
        return Plan(action="nothing", sentence=f"{_path(state)}: there is no such file.")
    _refuse_touched(state)
    rest = f"then {setting_text(state.elsewhere)}"
    return Plan(action="remove", sentence=f"{_path(state)}: removed; {rest}.", diff=_diff(state, looked.own_text, None))


def _refuse_touched(state: State) -> None:
    if state.own.state == "edited":
        raise XoConfigRefusedError(
            f"{_path(state)}: a person has edited it since guard wrote it, so guard leaves it alone; delete it to have guard "
            "go on by itself"
        )
    if state.own.state == "unreadable":
        raise XoConfigRefusedError(f"{_path(state)}: {state.own.why}; guard leaves it alone")


def _refuse_hidden(state: State) -> None:
    for one in state.unsure:
        if one.names_it and one.later is not True:
            raise XoConfigRefusedError(
                f"{state.folder}/{one.file}: names {KEY}, and guard cannot tell what it sets ({one.why}): guard's file might "
                "lower it; look there"
            )


def _refuse_overridden(looked: Looked, value_ms: int) -> None:
    found = in_force({**looked.others, OWN_FILE: {SECTION: {KEY: value_ms}}})
    if found.file != OWN_FILE:
        setting = Setting(value_ms=found.value_ms, file=found.file, usable=found.usable)
        raise XoConfigRefusedError(
            f"{looked.state.folder}: {found.file} is read after guard's file and overrides it: {setting_text(setting)}; change "
            "it there"
        )


def _enough(looked: Looked) -> Plan:
    state = looked.state
    enough = f"{state.folder}: {setting_text(state.elsewhere)}; that is enough"
    may = _may_override(one.file for one in state.unsure)
    if state.own.state == "absent":
        return Plan(action="nothing", sentence=f"{enough}, guard's file is not needed.{may}")
    return Plan(
        action="remove",
        sentence=f"{enough}, guard's own file is removed.{may}",
        diff=_diff(state, looked.own_text, None),
    )


def _is_enough(setting: Setting, value_ms: int) -> bool:
    return setting.value_ms is not None and (setting.value_ms == 0 or setting.value_ms >= value_ms)


def _at_most(setting: Setting, most_ms: int) -> bool:
    return setting.value_ms is None or 0 < setting.value_ms <= most_ms


def _may_override(files: Iterable[str]) -> str:
    told = some_of(files)
    return f" {told}, which guard cannot read, may override it." if told else ""


def _path(state: State) -> Path:
    return Path(state.folder or "") / OWN_FILE


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M %Z")


def _diff(state: State, before: str | None, after: str | None) -> str:
    path = str(_path(state))
    lines = difflib.unified_diff(
        (before or "").splitlines(keepends=True),
        (after or "").splitlines(keepends=True),
        fromfile="/dev/null" if before is None else path,
        tofile="/dev/null" if after is None else path,
    )
    return "".join(lines)
