"""What guard hold, unhold, bypass and unbypass share: they change one document of the ledger, beside the daemon."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Literal, TextIO

import msgspec

from guard.cli import clock, source
from guard.cli.state import ledger_path
from guard.daemon.compose import zone_of
from guard.decision.brakes import Brake, in_force, read_brakes
from guard.errors import LedgerError, UsageError
from guard.gate.watch import BRAKES
from guard.ledger.sqlite import open_beside
from guard.policy.scopes import parse_scope
from guard.units import parse_duration
from guard.views.brakes import brakes_line

Kind = Literal["hold", "bypass"]
_BYPASS_KINDS = ("all", "schedule", "job")
_RIGHT = 'expected a duration such as "4 h", or a time such as 2027-03-27T18:00+01:00'


def put(kind: Kind, arguments: Namespace, stdout: TextIO, env: Mapping[str, str]) -> int:
    """Set a brake; one of the same kind and scope is replaced. Raises UsageError, LedgerError."""
    now = clock.now()
    brake = Brake(
        kind=kind,
        scope=scope_of(kind, arguments.scope),
        until=until_of(arguments.until, now) if arguments.until is not None else None,
        reason=arguments.reason.strip(),
        since=now,
        by=env.get("SUDO_USER") or env.get("USER") or "somebody",
    )
    if not brake.reason:
        raise UsageError("--reason is empty: say why, for those who see it later")

    def added(known: tuple[Brake, ...]) -> tuple[Brake, ...]:
        return (*(one for one in known if (one.kind, one.scope) != (brake.kind, brake.scope)), brake)

    return _changed(added, arguments, stdout, env, now)


def take(kind: Kind, arguments: Namespace, stdout: TextIO, env: Mapping[str, str]) -> int:
    """End a brake. Raises UsageError when there is none of that scope."""
    now, scope = clock.now(), scope_of(kind, arguments.scope)

    def without(known: tuple[Brake, ...]) -> tuple[Brake, ...]:
        left = tuple(one for one in known if (one.kind, one.scope) != (kind, scope))
        if len(left) == len(known):
            raise UsageError(f"{scope!r}: there is no such {kind}. {brakes_line(known, zone_of(policy))}")
        return left

    policy = source.read_policy(arguments.config)
    return _changed(without, arguments, stdout, env, now)


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


def until_of(text: str, now: datetime) -> datetime:
    """``--until`` as a time. Raises UsageError; also for one that has come already."""
    until: datetime | None = None
    with suppress(ValueError, OverflowError):
        until = now + parse_duration(text)
    if until is None:
        try:
            until = source.parse_time(text, option="--until")
        except UsageError as error:
            raise UsageError(f'{error}, or a duration such as "4 h"') from None
    if until <= now:
        raise UsageError(f"--until {text!r}: that is over already; {_RIGHT}")
    return until


def _changed(
    work: Callable[[tuple[Brake, ...]], tuple[Brake, ...]],
    arguments: Namespace,
    stdout: TextIO,
    env: Mapping[str, str],
    now: datetime,
) -> int:
    policy = source.read_policy(arguments.config)
    path = ledger_path(arguments.state, env)
    known: tuple[Brake, ...] = ()

    def change(value: bytes | None) -> bytes:
        nonlocal known
        try:
            before = read_brakes(value)
        except LedgerError as error:
            raise LedgerError(f"{path}: {error}") from None
        known = work(in_force(before, now))
        return msgspec.json.encode(known)

    with open_beside(path, xo=policy.xo.url, clock=clock.now) as ledger:
        asyncio.run(ledger.change(BRAKES, change))
    stdout.write(brakes_line(known, zone_of(policy)) + "\n")
    return 0
