"""Where the daemon keeps its ledger, and the ledger opened to look at."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from guard.cli import clock
from guard.cli.parser import DEFAULT_STATE
from guard.daemon.compose import LEDGER, is_running
from guard.errors import LedgerError
from guard.ledger.sqlite import SqliteLedger, read_ledger
from guard.policy.schema import Policy


def state_folder(given: str | None, env: Mapping[str, str]) -> Path:
    """``--state``, else systemd's $STATE_DIRECTORY, else the default. Raises LedgerError when there is none."""
    folder = Path(given or env.get("STATE_DIRECTORY", "").partition(":")[0] or DEFAULT_STATE)
    if not folder.is_dir():
        raise LedgerError(
            f"{folder}: there is no such folder; the daemon keeps its ledger there: make it with"
            f" install -d -m 700 {shlex.quote(str(folder))}, or name one with --state"
        )
    return folder


def is_missing(path: Path) -> bool:
    """Whether there is no ledger. Raises LedgerError where that cannot be seen, or where a daemon has lost its own."""
    try:
        is_there = path.exists()
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read ({error.strerror}): only root and guard's own user may") from error
    if not is_there and is_running(path.parent):
        raise LedgerError(f"{path}: a daemon runs and its ledger is gone: restart guard (systemctl restart guard)")
    return not is_there


def ledger_path(given: str | None, env: Mapping[str, str]) -> Path:
    """Where the daemon's ledger is. Raises LedgerError when there is none."""
    path = state_folder(given, env) / LEDGER
    if is_missing(path):
        raise LedgerError(f"{path}: there is no ledger yet; guard daemon makes it")
    return path


def look_at_ledger(given: str | None, env: Mapping[str, str], policy: Policy) -> SqliteLedger:
    """The daemon's ledger, read beside it. Raises LedgerError."""
    return read_ledger(ledger_path(given, env), xo=policy.xo.url, clock=clock.now)
