"""What guard hold, unhold, bypass and unbypass share: they change one document of the ledger, beside the daemon."""

from __future__ import annotations

import asyncio
import re
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, time, tzinfo
from pathlib import Path
from typing import Literal, TextIO

import msgspec

from guard.assess import rules_of
from guard.cli import clock, source
from guard.cli.last_policy import Known, read_or_last
from guard.cli.state import ledger_path
from guard.cli.who import person
from guard.daemon.compose import zone_of
from guard.decision.brakes import Brake, in_force, read_brakes
from guard.decision.named import names_nothing, near_names, schedules_meant
from guard.errors import LedgerError, PolicyError, UsageError, XoError
from guard.gate.watch import BRAKES
from guard.ledger.sqlite import open_beside
from guard.mechanics.zones import next_showing
from guard.policy.schema import Policy
from guard.policy.scopes import parse_scope
from guard.units import parse_duration
from guard.views.brakes import brakes_line, brakes_text, names_nothing_text, not_checked_text, not_enforced_text
from guard.xo.named import read_named
from guard.xo.settings import xo_settings
from guard.xo.token import read_token

Kind = Literal["hold", "bypass"]
_BYPASS_KINDS = ("all", "schedule", "job")
_RIGHT = 'expected a duration such as "4 h", a time of day such as 09:00, or a time such as 2027-03-27T18:00+01:00'
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}", re.ASCII)


def put(kind: Kind, arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    """Set a brake; one of the same kind and scope is replaced. Raises UsageError, LedgerError.

    What it names is looked up only when it is in force: XO may be away, or slow.
    """
    now, scope = clock.now(), scope_of(kind, arguments.scope)
    known = read_or_last(arguments, env)
    brake = Brake(
        kind=kind,
        scope=scope,
        until=until_of(arguments.until, now, zone_of(known.policy)) if arguments.until is not None else None,
        reason=arguments.reason.strip(),
        since=now,
        by=person(env),
    )
    if not brake.reason:
        raise UsageError("--reason is empty: say why, for those who see it later")

    def added(before: tuple[Brake, ...]) -> tuple[Brake, ...]:
        return (*(one for one in before if (one.kind, one.scope) != (brake.kind, brake.scope)), brake)

    known.warn(stderr)
    _change(added, known.policy, arguments, stdout, env, now)
    for line in _doubts(brake, known, env):
        print(f"guard: {line}", file=stderr)
    return 0


def take(kind: Kind, arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    """End a brake. Raises UsageError when there is none of that scope."""
    now, scope = clock.now(), scope_of(kind, arguments.scope)
    known = read_or_last(arguments, env)

    def without(before: tuple[Brake, ...]) -> tuple[Brake, ...]:
        left = tuple(one for one in before if (one.kind, one.scope) != (kind, scope))
        if len(left) == len(before):
            raise UsageError(f"{scope!r}: there is no such {kind}. {brakes_line(before, zone_of(known.policy))}")
        return left

    known.warn(stderr)
    _change(without, known.policy, arguments, stdout, env, now)
    return 0


def _doubts(brake: Brake, known: Known, env: Mapping[str, str]) -> list[str]:
    """Why a brake may not do what its author thinks: nothing is named by it, or guard holds nothing of what is."""
    policy, found = known.policy, list[str]()
    # what a broken file says of gates nobody knows
    holds = brake.kind == "hold" and known.is_whole
    enforced = policy.may_act
    if brake.scope != "all" or (holds and enforced):
        try:
            token = read_token(Path(policy.xo.token_file) if policy.xo.token_file else None, env)
            kind, _ = parse_scope(brake.scope)
            estate = asyncio.run(read_named(xo_settings(policy), token, kind, clock=clock.now))
        except (XoError, PolicyError) as error:
            if brake.scope != "all":
                found.append(not_checked_text(brake, str(error)))
        else:
            if names_nothing(brake.scope, estate):
                return [names_nothing_text(brake, near_names(brake.scope, estate))]
            meant = schedules_meant(brake.scope, estate)
            enforced = any(rules_of(policy, estate, one).gate == "enforce" for one in meant)
    if holds and not enforced:
        found.append(not_enforced_text(brake))
    return found


def scope_of(kind: Kind, text: str) -> str:
    """The scope without spaces around its parts. Raises UsageError saying what would be right."""
    try:
        what, name = parse_scope(text)
    except ValueError as error:
        raise UsageError(f"SCOPE {error}") from None
    if kind == "bypass" and what not in _BYPASS_KINDS:
        raise UsageError(
            f'SCOPE {text!r}: a bypass is for "all", or for a schedule or job, such as "job:nightly": XO starts those as a'
            f" whole; guard hold {what}:... keeps a {what} out"
        )
    return f"{what}:{name}" if name else what


def until_of(text: str, now: datetime, zone: tzinfo) -> datetime:
    """``--until`` as a time; a time of day is the next one in ``zone``. Raises UsageError; also for one that has come already."""
    until: datetime | None = None
    with suppress(ValueError, OverflowError):
        until = now + parse_duration(text)
    if until is None and _TIME_OF_DAY.fullmatch(text.strip()):
        with suppress(ValueError):
            hour, minute = map(int, text.split(":"))
            until = next_showing(time(hour, minute), zone, now)
    if until is None:
        try:
            until = source.parse_time(text, option="--until")
        except UsageError as error:
            raise UsageError(f'{error}, a time of day such as 09:00, or a duration such as "4 h"') from None
    if until <= now:
        raise UsageError(f"--until {text!r}: that is over already; {_RIGHT}")
    return until


def _change(
    work: Callable[[tuple[Brake, ...]], tuple[Brake, ...]],
    policy: Policy,
    arguments: Namespace,
    stdout: TextIO,
    env: Mapping[str, str],
    now: datetime,
) -> None:
    path = ledger_path(arguments.state, env)
    left: tuple[Brake, ...] = ()

    def change(value: bytes | None) -> bytes:
        nonlocal left
        try:
            before = read_brakes(value)
        except LedgerError as error:
            raise LedgerError(f"{path}: {error}") from None
        left = work(in_force(before, now))
        return msgspec.json.encode(left)

    with open_beside(path, xo=policy.xo.url, clock=clock.now) as ledger:
        asyncio.run(ledger.change(BRAKES, change))
    stdout.write(brakes_text(left, zone_of(policy)))
