"""guard workaround show | apply | revert."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TextIO

from guard.cli import clock, source
from guard.cli.state import ledger_path
from guard.cli.who import person
from guard.daemon.compose import zone_of
from guard.daemon.workaround import by_hand
from guard.errors import LedgerError, UsageError, XoConfigError, XoConfigRefusedError
from guard.ledger.sqlite import open_beside
from guard.lifecycle.remedy import Remedy, RemedyKind
from guard.policy.remedies_schema import RemediesSection
from guard.policy.remedies_validate import XO_LIMIT
from guard.policy.schema import Policy
from guard.remedies.workaround import Workaround
from guard.units import format_duration, parse_duration
from guard.views.text import clean
from guard.views.workaround import by_hand_revert_text, by_hand_text, done_text, plan_text, state_text

DONE, NOT_DONE = 0, 2
_ONE_MS = timedelta(milliseconds=1)
_LONGEST_DAYS = 365
_REVERTED = "guard workaround revert"
_MAY_COME_BACK = (
    "guard daemon writes it again where hosts keep XO waiting; [remedies] timeout_file = false keeps it from that.\n"
)


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    """0 when done or nothing is to be done, 2 when guard leaves it to a person, 1 (raised) for errors."""
    if arguments.what != "apply" and (arguments.value or arguments.days is not None or arguments.reason):
        raise UsageError("--value, --days and --reason go with apply")
    policy = source.read_policy(arguments.config)
    by = f"{person(env)}, by guard workaround apply"
    workaround = Workaround(policy.remedies, clock=clock.now, by=by)
    try:
        match arguments.what:
            case "show":
                return _show(workaround, policy, stdout)
            case "apply":
                return _apply(workaround, policy, arguments, stdout, env)
            case _:
                return _revert(workaround, policy, arguments, stdout, env)
    except XoConfigRefusedError as error:
        stderr.write(f"guard: {clean(str(error))}\n")
        return NOT_DONE


def _show(workaround: Workaround, policy: Policy, stdout: TextIO) -> int:
    state = asyncio.run(workaround.look())
    if state.problem:
        raise XoConfigError(state.problem)
    stdout.write(state_text(state, zone_of(policy)))
    return DONE


def _apply(workaround: Workaround, policy: Policy, arguments: Namespace, stdout: TextIO, env: Mapping[str, str]) -> int:
    remedies = policy.remedies
    value_ms, days = _value(arguments.value, remedies) // _ONE_MS, _days(arguments.days, remedies)
    reason: str = (arguments.reason or "").strip()
    if not reason:
        raise UsageError("--reason is missing or empty: say why, and for which schedule, for those who see it later")
    until = clock.now().replace(microsecond=0) + timedelta(days=days)
    if remedies.xo_config is None:
        stdout.write(by_hand_text(workaround.text(value_ms, until, reason), until, zone_of(policy)))
        return NOT_DONE
    if arguments.dry_run:
        stdout.write(plan_text(asyncio.run(workaround.plan_apply(value_ms, until, reason)), remedies.xo_config))
        return DONE
    done = asyncio.run(workaround.apply(value_ms, until, reason))
    _record(policy, env, by_hand(RemedyKind.TIMEOUT_FILE, done, clock.now(), reason=reason, until=until))
    stdout.write(done_text(done.sentence, written=done.plan.action == "write"))
    stands = done.after.own.value_ms
    if stands is not None and stands > value_ms:
        stdout.write("The larger value that stands there was kept; guard workaround revert takes it away.\n")
    if done.plan.action == "write" and not policy.may_act:
        stdout.write("The policy has guard act on no schedule: it will not take it back by itself.\n")
    return DONE


def _revert(
    workaround: Workaround, policy: Policy, arguments: Namespace, stdout: TextIO, env: Mapping[str, str]
) -> int:
    remedies = policy.remedies
    if remedies.xo_config is None:
        stdout.write(by_hand_revert_text())
        return NOT_DONE
    if arguments.dry_run:
        stdout.write(plan_text(asyncio.run(workaround.plan_revert()), remedies.xo_config))
    else:
        done = asyncio.run(workaround.revert())
        _record(policy, env, by_hand(RemedyKind.TIMEOUT_FILE_BACK, done, clock.now(), reason=_REVERTED))
        stdout.write(done_text(done.sentence, written=False))
        if policy.may_act and remedies.timeout_file:
            stdout.write(_MAY_COME_BACK)
    return DONE


def _record(policy: Policy, env: Mapping[str, str], remedy: Remedy | None) -> None:
    """Into the daemon's ledger, where there is one that this user may write: it tells what a person did, and starts from it."""
    if remedy is None:
        return
    with suppress(LedgerError), open_beside(ledger_path(None, env), xo=policy.xo.url, clock=clock.now) as ledger:
        asyncio.run(ledger.put_remedy(remedy))


def _value(text: str | None, remedies: RemediesSection) -> timedelta:
    if text is None:
        return remedies.timeout
    try:
        value = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--value {text!r}: expected {error}") from None
    if not XO_LIMIT < value <= remedies.longest_timeout:
        most = format_duration(remedies.longest_timeout.total_seconds())
        least = format_duration(XO_LIMIT.total_seconds())
        raise UsageError(
            f"--value {text!r}: expected more than {least}, XO's own, and at most longest_timeout ({most})"
        )
    return value


def _days(days: int | None, remedies: RemediesSection) -> int:
    if days is not None and not 1 <= days <= _LONGEST_DAYS:
        raise UsageError(f"--days {days}: expected 1 to {_LONGEST_DAYS}")
    return remedies.timeout_days if days is None else days
