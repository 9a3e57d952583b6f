"""guard status."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TextIO

import msgspec

from guard.cli import clock
from guard.cli.last_policy import read_or_last
from guard.cli.state import look_at_ledger, state_folder
from guard.daemon.channels import known_channels
from guard.daemon.compose import LEDGER, is_running, zone_of
from guard.daemon.standing import read_doings
from guard.daemon.workaround import workaround_lines
from guard.errors import GuardError
from guard.gate.watch import LOOP
from guard.ledger.ballast import is_set_aside
from guard.ledger.files import folder_troubles
from guard.ledger.sqlite import SqliteLedger
from guard.lifecycle.accepted import loop_without_accepted, without_accepted
from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.in_force import left_to_xo
from guard.lifecycle.loop import STANDS, Loop
from guard.lifecycle.token import TOKEN, read_token_state
from guard.policy.schema import Policy
from guard.views import broken_policy, status_folder
from guard.views import token as token_views
from guard.views.doings import Doings
from guard.views.remedies import lately_lines, remedy_document
from guard.views.report import left_to_xo_lines
from guard.views.status import UNKNOWN, Lately, lately, nagios, standing, status_document, status_text
from guard.views.status_standing import conditions
from guard.views.text import clean, json_line

FOUND_WITHIN = timedelta(days=8)  # what was due so long ago may have been found only today, after an outage


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    now = clock.now()
    try:
        known = read_or_last(arguments, env)
        policy = known.policy
        with look_at_ledger(arguments.state, env, policy) as ledger:
            loop, alarmed, day, acting, left = asyncio.run(_read(ledger, policy, now))
            channels = asyncio.run(known_channels(ledger))
            token = read_token_state(asyncio.run(ledger.recall(TOKEN)))
            remedies = asyncio.run(ledger.remedies(now - STANDS))
    except GuardError as error:
        if not arguments.nagios:
            raise
        stdout.write(f"GUARD UNKNOWN - {clean(str(error)).replace('|', '/')}\n")
        return UNKNOWN
    state = state_folder(arguments.state, env)
    folder, runs = folder_troubles(state), is_running(state)
    has_ballast = is_set_aside(state / LEDGER)
    stands = conditions(loop, has_ballast=has_ballast, accepts=policy.accepts, now=now)
    if arguments.nagios:
        code, line = token_views.nagios(*nagios(loop, alarmed, now, day, channels, stands), token, now)
        code, line = status_folder.nagios(code, line, runs, folder)
        code, line = broken_policy.nagios(code, line, known.problems)
        stdout.write(line + "\n")
        return code
    known.warn(stderr)
    if arguments.json:
        document = status_document(loop, alarmed, now, day, acting, channels, stands)
        document["left_to_xo"] = list(left)
        document["remedies"] = [remedy_document(one) for one in remedies]
        document["token"] = token_views.status_document(token, now)
        document["state_folder"] = list(folder)
        document["policy_errors"] = list(known.problems)
        document["daemon_runs"] = runs
        stdout.write(json_line(document))
    else:
        zone = zone_of(policy)
        stdout.write("".join(line + "\n" for line in status_folder.running_lines(runs)))
        stdout.write(status_text(loop, alarmed, now, zone, day, acting, channels, stands))
        lines = left_to_xo_lines(left) + lately_lines(remedies, zone)
        lines += asyncio.run(workaround_lines(policy, zone, clock.now))
        lines += token_views.status_lines(token, now, zone, renews=policy.xo.renew_token)
        lines += token_views.folder_lines(folder)
        stdout.write("".join(line + "\n" for line in lines))
    return 0


async def _read(
    ledger: SqliteLedger, policy: Policy, now: datetime
) -> tuple[Loop | None, tuple[DueRun, ...], Lately, Doings, tuple[str, ...]]:
    """The last look, the due runs whose alarm stands, what came of the last day's, what guard holds, and what is enforced and
    left to XO all the same.
    """
    told = await ledger.recall(LOOP)
    loop = msgspec.json.decode(told, type=Loop) if told else None
    recent = await ledger.between(now - FOUND_WITHIN, now + STANDS)
    known = {key: await ledger.load(key) for key in await ledger.open_runs()} | dict(recent)
    runs = [run for key, events in known.items() if (run := fold(key, events)) is not None]
    calm = [without_accepted(run, policy.accepts, now) for run in runs]
    loop = loop_without_accepted(loop, policy.accepts, now) if loop is not None else None
    acting = await read_doings(ledger, runs, policy, now)
    return loop, standing(calm, now), lately(calm, now), acting, left_to_xo(policy, runs)
