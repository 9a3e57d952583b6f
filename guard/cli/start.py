"""guard start."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping
from typing import TextIO

from guard.cli import source
from guard.cli.colour import style_for
from guard.cli.shell import shell_of
from guard.cli.state import ledger_path, look_at_ledger
from guard.cli.who import person
from guard.daemon.by_hand import look, start
from guard.daemon.compose import zone_of
from guard.daemon.pools import XoAndPools
from guard.daemon.release import release_token
from guard.errors import UsageError
from guard.ledger.sqlite import open_beside
from guard.lifecycle.by_hand import Wish, known_codes
from guard.views.start import begun, done_lines, facts_line, judged_lines, nothing_lines, would_lines
from guard.views.text import clean
from guard.xo.settings import xo_settings

ALL, NOT_ALL = 0, 2


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    """0 when all that was asked for was started, 2 when something was not or nobody can tell, 1 (raised) for errors."""
    wish = _wish(arguments, env)
    policy = source.read_policy(arguments.config)
    shell = shell_of(env, lambda text: print(f"guard: {clean(text)}", file=stderr))
    token = release_token(policy, shell)
    token()
    xo = XoAndPools(lambda: xo_settings(policy), token, clock=shell.clock, policy_of=lambda: policy, env=env)
    path = ledger_path(arguments.state, env)  # before XO is read, which may take minutes
    with look_at_ledger(arguments.state, env, policy) as ledger:
        judged = asyncio.run(look(ledger, xo, policy, wish, shell.clock))
    lines = [*judged_lines(judged, style_for(stdout, env), zone_of(policy)), facts_line(judged)]
    code = ALL if judged.is_whole else NOT_ALL
    if not judged.starts:
        lines += nothing_lines(judged)
    elif arguments.dry_run:
        lines += would_lines(judged)
    else:
        with open_beside(path, xo=policy.xo.url, clock=shell.clock) as ledger:
            done = asyncio.run(start(ledger, xo, judged, shell.clock))
        lines += done_lines(judged, done, zone_of(policy))
        code = code if begun(done.run) is not None else NOT_ALL
    stdout.write("\n".join(lines) + "\n")
    return code


def _wish(arguments: Namespace, env: Mapping[str, str]) -> Wish:
    """Raises UsageError."""
    codes, reason = _split(arguments.override), (arguments.reason or "").strip()
    if arguments.override is not None and not codes:
        raise UsageError("--override names no code; expected one such as ON_HOLD")
    overridden = known_codes(codes)
    if overridden and arguments.reason is None:
        raise UsageError("--override needs --reason TEXT: why, for those who see it later")
    if overridden and not reason:
        raise UsageError("--reason is empty: say why, for those who see it later")
    if arguments.reason is not None and not overridden:
        raise UsageError("--reason goes with --override CODE")
    vms = _split(arguments.vms)
    if arguments.vms is not None and not vms:
        raise UsageError("--vms names no VM; without --vms all that the job takes are meant")
    by = person(env)
    return Wish(schedule=arguments.schedule, vms=vms, overridden=overridden, reason=reason, by=by)


def _split(given: list[str] | None) -> tuple[str, ...]:
    """What an option that may be repeated, with commas too, names."""
    return tuple(one.strip() for text in given or () for one in text.split(",") if one.strip())
