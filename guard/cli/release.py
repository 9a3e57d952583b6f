"""guard release: what guard holds in XO is given back although no daemon runs."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TextIO

import msgspec

from guard.cli import clock
from guard.cli.channels import configured
from guard.cli.last_policy import read_or_last
from guard.cli.shell import shell_of
from guard.cli.state import is_missing, look_at_ledger, state_folder
from guard.daemon.compose import LEDGER, Shell, zone_of
from guard.daemon.release import own_fallbacks, release
from guard.daemon.standing import is_unsettled, open_due_runs, read_doings
from guard.daemon.workaround import standing_text, timeout_file
from guard.errors import GuardError, PolicyError, UsageError, XoError
from guard.gate.watch import LOOP
from guard.ledger.sqlite import SqliteLedger
from guard.lifecycle.loop import Loop
from guard.mechanics.fallback import Placed
from guard.notify.route import Route
from guard.policy.schema import Policy
from guard.units import format_duration, parse_duration
from guard.views.doings import Doings
from guard.views.release import dry_run_lines, released_lines
from guard.views.remedies import remedy_sentence
from guard.views.text import clean, wrap

DONE, LEFT = 0, 2


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    """0 when nothing stands any more, 2 when something is left, 1 (raised) for errors."""
    now, stale = clock.now(), _stale(arguments.stale)
    known = read_or_last(arguments, env)
    known.warn(stderr)
    policy = known.policy
    state = state_folder(arguments.state, env)
    if is_missing(state / LEDGER):
        stdout.write(f"Nothing to release: {state} holds no ledger.\n")
        standing = _standing(policy) if arguments.all else ""
        stdout.write("".join(line + "\n" for line in wrap(standing, "  ", first="") if standing))
        return LEFT if standing else DONE
    with look_at_ledger(arguments.state, env, policy) as ledger:
        loop, acting, unsettled = asyncio.run(_read(ledger, policy, now))
        instance = ledger.instance
    if stale is not None and loop is not None and abs(now - loop.at) < stale:
        stdout.write(f"Nothing to do: guard daemon looked {format_duration(abs(now - loop.at).total_seconds())} ago.\n")
        return DONE
    shell = shell_of(env, lambda text: print(f"guard: {clean(text)}", file=stderr))
    if arguments.dry_run:
        return _told(policy, shell, acting, instance, stdout)
    if not unsettled and not arguments.all:
        lines = released_lines((), (), (), acting, zone_of(policy))
        stdout.write("\n".join(lines) + "\n")
        return DONE
    given = asyncio.run(
        release(
            policy,
            state,
            _routes(policy, env, shell),
            shell,
            drop_all=arguments.all,
            although_locked=stale is not None,
        )
    )
    with look_at_ledger(arguments.state, env, policy) as ledger:
        _, acting, _ = asyncio.run(_read(ledger, policy, clock.now()))
    lines = released_lines(given.runs, given.left, given.dropped, acting, zone_of(policy))
    if given.taken_back is not None:
        lines += wrap(remedy_sentence(given.taken_back, zone_of(policy)), "  ", first="")
    stdout.write("\n".join(lines) + "\n")
    for error in given.errors:
        shell.log(error)
    stray = given.left if arguments.all else _stray(given.left, acting)
    return LEFT if acting.claimed or stray or given.errors else DONE


def _told(policy: Policy, shell: Shell, acting: Doings, instance: str, stdout: TextIO) -> int:
    """--dry-run. Raises XoError only where nothing could be told at all."""
    placed: Sequence[Placed] | None = None
    try:
        placed = asyncio.run(own_fallbacks(policy, instance, shell))
    except (XoError, PolicyError) as error:
        shell.log(f"the fallbacks in XO could not be read, what follows is from the ledger: {error}")
    zone: tzinfo = zone_of(policy)
    standing = _standing(policy)
    lines = dry_run_lines(acting, placed, zone) + (wrap(standing, "  ", first="") if standing else [])
    stdout.write("\n".join(lines) + "\n")
    return LEFT if acting.claimed or acting.fallbacks or placed or placed is None else DONE


def _standing(policy: Policy) -> str:
    """What stands in XO's configuration, '' for nothing."""
    file = timeout_file(policy.remedies, clock.now, "guard")
    return standing_text(asyncio.run(file.look())) if file is not None else ""


def _stray(left: Sequence[Placed], acting: Doings) -> list[Placed]:
    """Fallbacks that nothing which waits explains."""
    expected = {one.fallback.name for one in acting.fallbacks}
    return [one for one in left if one.fallback.name not in expected]


def _routes(policy: Policy, env: Mapping[str, str], shell: Shell) -> list[Route]:
    """The channels that can be opened: a secret that cannot be read must not keep a schedule switched off."""
    found: list[Route] = []
    for name, opening in configured(policy.notify, env, zone_of(policy)).items():
        try:
            found += opening()
        except GuardError as error:
            shell.log(f"nothing is told by {name}: {error}")
    return found


def _stale(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--stale {text!r}: expected {error}") from None


async def _read(ledger: SqliteLedger, policy: Policy, now: datetime) -> tuple[Loop | None, Doings, bool]:
    """The last look, what stands, and whether there is anything to give back or to clear away."""
    told = await ledger.recall(LOOP)
    runs = await open_due_runs(ledger)
    loop = msgspec.json.decode(told, type=Loop) if told else None
    return loop, await read_doings(ledger, runs, policy, now), any(is_unsettled(run, now) for run in runs)
