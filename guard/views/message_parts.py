"""What every message about a due run is made of. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo

from guard.decision.verdict import Held
from guard.lifecycle.due_run import DueRun
from guard.policy.accept_schema import AcceptRule
from guard.policy.codes import EVERY_CODE
from guard.units import format_time, some_of

MOST_NAMES = 5
MOST_LINES = 10
MOST_REMEDIES = 3
MOST_REASON = 500  # characters of one line; XO's errors may be pages long
NOTHING_MORE = "guard does nothing more for this due time"


@dataclass(frozen=True)
class Context:
    """What the policy says of a due run, as far as messages need it. ``zone``: of times in messages."""

    zone: tzinfo
    recheck_every: timedelta = timedelta(minutes=10)
    follow_up: bool = True
    accepts: Sequence[AcceptRule] = ()


@dataclass(frozen=True)
class Told:
    """``state``: of [notify.tiers]; ``codes``: why; ``umbrella``: the code that stands for these, ''. ``mark``: what two
    nights must share for the second to say the same again. ``silent``: accepted, or told before. ``urgent``: False for what
    must never be a page, as a person is at it.
    """

    state: str
    title: str
    text: str
    codes: tuple[str, ...] = ()
    umbrella: str = ""
    mark: tuple[str, ...] = ()
    silent: bool = False
    urgent: bool = True

    @property
    def code(self) -> str:
        """The one code of the message."""
        return self.umbrella or (self.codes[0] if self.codes else "")


def composed(reason: str, details: Iterable[str] = (), *, to_do: Iterable[str] = (), then: str = "") -> str:
    """The parts of a message, a line each."""
    lines = [cut(reason), *_capped(cut(line) for line in details)]
    remedies = list(dict.fromkeys(one for one in to_do if one))
    lines += [f"To do: {one}" for one in remedies[:MOST_REMEDIES]]
    if len(remedies) > MOST_REMEDIES:
        lines.append(f"To do: and {len(remedies) - MOST_REMEDIES} more; guard why lists them.")
    return "\n".join([*lines, f"Next: {then}"] if then else lines)


def cut(text: str) -> str:
    """At most ``MOST_REASON`` characters, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_REASON else line[: MOST_REASON - 1] + "…"


def _capped(lines: Iterable[str]) -> list[str]:
    told = list(dict.fromkeys(lines))
    return told[:MOST_LINES] + [f"and {len(told) - MOST_LINES} more; guard why lists them."] * (len(told) > MOST_LINES)


def name_of(run: DueRun) -> str:
    """Job and schedule, as titles have them."""
    return f"{run.seen.job_name} / {run.seen.schedule_name}"


def due_of(run: DueRun, context: Context) -> str:
    return format_time(run.key.due, context.zone)


def by_hand(run: DueRun, more: str = "") -> str:
    """The command by which a person starts it."""
    return f"`guard start {shlex.quote(run.seen.schedule_name)}{more}`"


def names_of(held: Iterable[Held]) -> str:
    return some_of((one.name for one in held), MOST_NAMES) or "all of it"


def do_of(code: str) -> str:
    """What a person does about a code, '' for one that a newer guard wrote."""
    found = EVERY_CODE.get(code)
    return found.do if found is not None else ""
