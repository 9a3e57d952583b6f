"""The policy for commands that must work when the file is broken: then [xo] and zone of the one that was last in force."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from guard.cli import clock, source
from guard.cli.parser import DEFAULT_CONFIG
from guard.cli.state import ledger_path
from guard.daemon.last_policy import POLICY_XO
from guard.errors import LedgerError, PolicyError
from guard.ledger.sqlite import read_ledger
from guard.policy.last_good import policy_of
from guard.policy.schema import Policy
from guard.views.broken_policy import warnings


@dataclass(frozen=True)
class Known:
    """``problems``: what is wrong with the file; then ``policy`` has only [xo] and the zone, and is else the default."""

    policy: Policy
    problems: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        return not self.problems

    def warn(self, stderr: TextIO) -> None:
        """Each problem, and what is done about it."""
        for line in warnings(self.problems):
            print(f"guard: {line}", file=stderr)


def read_or_last(arguments: Namespace, env: Mapping[str, str]) -> Known:
    """The policy; of a broken one what the daemon remembered in the ledger. Raises PolicyError where it did not.

    Only in the ledger that is surely this policy's: the default one of the default file, or one that is named.
    """
    try:
        return Known(source.read_policy(arguments.config))
    except PolicyError as error:
        is_named = arguments.state is not None or env.get("STATE_DIRECTORY") or arguments.config == DEFAULT_CONFIG
        kept = _remembered(arguments, env) if is_named else None
        if kept is None:
            raise
        return Known(kept, tuple(error.problems))


def _remembered(arguments: Namespace, env: Mapping[str, str]) -> Policy | None:
    try:
        with read_ledger(ledger_path(arguments.state, env), xo=None, clock=clock.now) as ledger:
            kept = asyncio.run(ledger.recall(POLICY_XO))
        return policy_of(kept) if kept is not None else None
    except (LedgerError, ValueError):  # what is wrong with the policy says more
        return None
