"""The httpInactivityTimeout workaround in words: what stands, what would change, what to put where by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo

from guard.estate.workaround import Plan, Setting, State
from guard.mechanics.xo_config import KEY, OWN_FILE, PAGE_FILE, XO_DEFAULT_MS
from guard.units import format_duration
from guard.views.text import clean, wrap

XO_FOLDER, PROXY_FOLDER = "/etc/xo-server", "/etc/xo-proxy"
ROOT_CAUSE = (
    "It hides the cause: a host (its dom0) that answers too slowly, overloaded, short of memory, or with trouble attaching the "
    "disk. Find that, or the errors come back."
)
_FOR_ALL = "It is for all runs of this XO that start while it stands; runs that go on keep the value they started with."
_UNSEEN = (
    "XO reads the folder anew by itself, within a second. Guard verifies the file; which value XO has loaded, and what is set "
    "in the home of XO's user, no interface shows."
)
_UNSET = (
    "The policy names no [remedies] xo_config: guard does not see XO's configuration, and tells by guard workaround apply what "
    "to put where."
)


def setting_text(setting: Setting) -> str:
    """What holds by the load order, as half a sentence: ``"config.toml sets 600000 (10 min)"``."""
    default = f"XO's own {XO_DEFAULT_MS} ({format_duration(XO_DEFAULT_MS / 1000)})"
    if setting.file is None:
        return f"no file sets it, so {default} holds"
    if not setting.usable:
        return f"{setting.file} sets something that is no whole number of milliseconds, which XO cannot use"
    if setting.value_ms is None:
        return f"{setting.file} takes it back to {default}"
    return f"{setting.file} sets {value_text(setting.value_ms)}"


def value_text(value_ms: int) -> str:
    """``"1800000 (30 min)"``, ``"0 (no limit)"``."""
    return f"{value_ms} ({format_duration(value_ms / 1000) if value_ms else 'no limit'})"


def state_text(state: State, zone: tzinfo) -> str:
    """``guard workaround show``: guard's file, what holds and where it stands, and what guard cannot know."""
    if state.folder is None:
        return _text(wrap(_UNSET, ""))
    if state.problem:
        return _text(wrap(state.problem, ""))
    lines = [*wrap(f"{state.folder}/{OWN_FILE}: {_own_text(state, zone)}.", "  ", "")]
    held = setting_text(state.in_force)
    if state.in_force.file is None and (state.own.state == "unreadable" or state.unsure):
        held = "no file that guard can read sets it"
    lines += wrap(f"{KEY} by the load order of {state.folder}: {held}.", "  ", "")
    if state.own.state == "intact":
        lines += wrap(f"Without guard's file: {setting_text(state.elsewhere)}.", "  ", "")
    for line in _troubles(state):
        lines += wrap(line, "  ", "")
    if state.own.state in ("intact", "edited"):
        lines += [*wrap(_FOR_ALL, ""), *wrap(ROOT_CAUSE, "")]
    return _text([*lines, *wrap(_UNSEEN, "")])


def _own_text(state: State, zone: tzinfo) -> str:
    own = state.own
    value = f"{KEY} = {value_text(own.value_ms)}" if own.value_ms is not None else f"no {KEY} that guard can read"
    until = f", until {_time(own.until, zone)}"
    if own.state == "absent":
        return "none"
    if own.state == "unreadable":
        return f"{own.why}, so guard leaves it alone"
    if own.state == "edited":
        return f"edited by a person since guard wrote it, so guard leaves it alone; {value}{until if own.until else ''}"
    written = f"written {_time(own.written_at, zone)}, asked by {own.by}"
    return f"file verified, {value}{until}, {written}: {own.reason.rstrip('.')}"


def _troubles(state: State) -> Iterator[str]:
    if state.own.state == "intact" and state.in_force.file != OWN_FILE:
        yield f"{state.in_force.file} is read after guard's file and overrides it."
    for broken in state.broken:
        yield f"{state.folder}/{broken.file}: {broken.why}; XO reads nothing anew, and would not start, until it is mended."
    for one in state.unsure:
        names = f"names {KEY}" if one.names_it else f"may set {KEY}"
        order = {True: ", and is read after guard's file", False: ", and is read before guard's file", None: ""}[
            one.later
        ]
        yield f"{state.folder}/{one.file}: {names}{order}; guard cannot tell its value ({one.why})."


def plan_text(plan: Plan, folder: str) -> str:
    """``--dry-run``: the sentence, the diff, the file that is taken over."""
    lines = wrap(f"{'Nothing to do' if plan.action == 'nothing' else 'Would do'}: {plan.sentence}", "  ", "")
    lines += [clean(line) for line in plan.diff.splitlines()]
    if plan.moved:
        lines.append(f"rename {folder}/{plan.moved[0]} -> {plan.moved[1]}")
    return _text(lines)


def done_text(sentence: str, *, written: bool) -> str:
    """What was done; where guard's file was ``written``, also for whom it holds and what it hides."""
    lines = wrap(sentence, "  ", "")
    return _text([*lines, *wrap(_FOR_ALL, ""), *wrap(ROOT_CAUSE, ""), *wrap(_UNSEEN, "")] if written else lines)


def by_hand_text(content: str, until: datetime, zone: tzinfo) -> str:
    """Where guard does not run on XO's machine: which file, with which content, and when to take it away."""
    first = (
        f"The policy names no [remedies] xo_config, so guard writes nothing. On XO's machine make {XO_FOLDER}/{OWN_FILE} with "
        "this content, under another name first (cp, then mv): a file that XO reads half-written is an error."
    )
    then = (
        f"Where the job runs on an XO proxy, the same goes on the proxy's machine, as {PROXY_FOLDER}/{OWN_FILE}. XO and its "
        f"proxies read the folder anew by themselves. {_FOR_ALL} Another file there that sets {KEY} and is read after it "
        f"wins (docs/workaround.md). Delete it by {_time(until, zone)}: guard cannot."
    )
    shown = [clean(line) for line in content.splitlines()]
    return _text([*wrap(first, ""), "", *shown, "", *wrap(then, ""), *wrap(ROOT_CAUSE, "")])


def by_hand_revert_text() -> str:
    """How to take it back where guard does not run on XO's machine."""
    told = (
        f"The policy names no [remedies] xo_config, so guard removes nothing. On XO's machine delete {XO_FOLDER}/{OWN_FILE} "
        f"(or {PAGE_FILE}, where it was made after XO's documentation), on an XO proxy the same in {PROXY_FOLDER}. XO reads "
        "the folder anew by itself."
    )
    return _text(wrap(told, ""))


def _time(moment: datetime | None, zone: tzinfo) -> str:
    if moment is None:
        return "at a time nobody knows"
    return moment.astimezone(zone).strftime("%d %b %Y %H:%M %Z")


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
