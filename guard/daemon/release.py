"""Giving back to XO what guard holds, without the daemon: the same watch, told to let go, until nothing is claimed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from guard.daemon.compose import LEDGER, Shell, limits_of, only_one, zone_of
from guard.daemon.news import News
from guard.daemon.standing import claimed, is_unsettled, open_due_runs
from guard.daemon.workaround import take_back, timeout_file
from guard.errors import LedgerError, XoError
from guard.gate.watch import Watch
from guard.ledger.sqlite import SqliteLedger, open_beside, open_ledger
from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.events import RunKey
from guard.lifecycle.remedy import Remedy, Result
from guard.mechanics.fallback import Placed
from guard.notify.ports import Queued
from guard.notify.queue import Queue
from guard.notify.route import Route
from guard.policy.schema import Policy
from guard.remedies.doing import Doer
from guard.xo.settings import xo_settings
from guard.xo.token import Token, read_token
from guard.xo.writes import WritingXo

LONGEST_S = 120.0
EVERY_S = 1.0
LAST_WORDS_S = 10.0
_LEASE = timedelta(minutes=1)  # a daemon that starts while this one is dead has to wait that long


@dataclass(frozen=True)
class Given:
    """What a release came to. ``runs``: as they stood before, each with what it is now.

    ``left``: fallbacks of this guard's that are in XO, ``dropped``: those deleted. ``errors``: what could not be asked or done.
    """

    runs: tuple[tuple[DueRun, DueRun], ...] = ()
    left: tuple[Placed, ...] = ()
    dropped: tuple[Placed, ...] = ()
    errors: tuple[str, ...] = ()
    taken_back: Remedy | None = None


def release_token(policy: Policy, shell: Shell) -> Callable[[], Token]:
    """Raises PolicyError."""
    return lambda: read_token(Path(policy.xo.token_file) if policy.xo.token_file else None, shell.env)


async def own_fallbacks(policy: Policy, instance: str, shell: Shell) -> tuple[Placed, ...]:
    """This guard's fallbacks in XO. Raises XoError."""
    xo = WritingXo(lambda: xo_settings(policy), release_token(policy, shell), clock=shell.clock)
    return _own(await xo.fallbacks(), instance)


async def release(
    policy: Policy, state: Path, routes: Sequence[Route], shell: Shell, *, drop_all: bool, although_locked: bool
) -> Given:
    """Tick until nothing is claimed, ``LONGEST_S`` at most; then delete the fallbacks left, with ``drop_all``.

    ``although_locked``: a daemon that has the folder and does not look any more is passed over. Raises LedgerError,
    PolicyError.
    """
    token = release_token(policy, shell)
    token()
    with _taken(policy, state, shell, although_locked=although_locked) as ledger:
        holder = f"{shell.holder} release"
        await _lease(ledger, shell, holder)
        queue = Queue(ledger.outbox(Queued), routes, limits_of(policy), clock=shell.clock)
        news = News(queue.tell, lambda: zone_of(policy), lambda: policy, ledger)
        xo = WritingXo(lambda: xo_settings(policy), token, clock=shell.clock)
        watch = Watch(ledger, xo, news, clock=shell.clock, policy_of=lambda: policy, instance=ledger.instance)
        watch.lets_go = True
        before = await open_due_runs(ledger)
        errors: list[str] = []
        if any(is_unsettled(run, shell.clock()) for run in before):
            try:
                async with asyncio.timeout(LONGEST_S):
                    await _let_go(watch, ledger, shell, holder, errors)
            except TimeoutError:
                errors.append(f"within {LONGEST_S:g} s not everything could be given back")
        now = [(run, await _again(ledger, run.key) or run) for run in claimed(before)]
        held = {_named(run) for run in claimed(await open_due_runs(ledger))}
        left, dropped = await _swept(xo, ledger.instance, errors, held if drop_all else None)
        doer = Doer(
            xo,
            ledger,
            news,
            clock=shell.clock,
            timeout_file=lambda: timeout_file(policy.remedies, shell.clock, f"guard {ledger.instance}"),
        )
        taken_back = await take_back(policy, doer, shell.clock) if drop_all else None
        if taken_back is not None and taken_back.result is not Result.DONE:
            errors.append(taken_back.text)
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):  # what is not sent by then waits for the daemon
                await queue.pump(shell.clock())
        await ledger.release()
        return Given(tuple(now), left, dropped, tuple(dict.fromkeys(errors)), taken_back)


async def _let_go(watch: Watch, ledger: SqliteLedger, shell: Shell, holder: str, errors: list[str]) -> None:
    """``errors``: why XO could not be read at the last look, when it could not."""
    while True:
        await ledger.lease(holder, shell.clock() + _LEASE)
        loop = await watch.tick()
        errors[:] = [loop.xo_error] if loop.xo_error else []
        if not claimed(await open_due_runs(ledger)) and not loop.xo_error:
            return
        await asyncio.sleep(EVERY_S)


async def _swept(
    xo: WritingXo, instance: str, errors: list[str], held: Collection[tuple[str, datetime]] | None
) -> tuple[tuple[Placed, ...], tuple[Placed, ...]]:
    """(left, dropped); what could not be done goes into ``errors``. ``held``: None, nothing is to be dropped.

    The fallbacks of what is still ``held`` stay: they are what switches such a schedule on again.
    """
    dropped: list[Placed] = []
    left: tuple[Placed, ...] = ()
    try:
        left = _own(await xo.fallbacks(), instance)
        for one in left:
            if held is not None and (one.fallback.schedule, one.fallback.due) not in held:
                await xo.drop_fallback(one.job_id)
                dropped.append(one)
    except XoError as error:
        errors.append(str(error))
    return tuple(one for one in left if one not in dropped), tuple(dropped)


def _named(run: DueRun) -> tuple[str, datetime]:
    """As its fallbacks name a claimed run: its schedule and its due time."""
    return run.key.schedule, run.key.due


def _own(placed: Sequence[Placed], instance: str) -> tuple[Placed, ...]:
    return tuple(one for one in placed if one.fallback.instance == instance)


async def _again(ledger: SqliteLedger, key: RunKey) -> DueRun | None:
    return fold(key, await ledger.load(key))


@contextmanager
def _taken(policy: Policy, state: Path, shell: Shell, *, although_locked: bool) -> Iterator[SqliteLedger]:
    """The ledger, and the state folder's lock where it can be had. Raises LedgerError."""
    with ExitStack() as stack:
        is_alone = True
        try:
            stack.enter_context(only_one(state))
        except LedgerError as error:
            if not isinstance(error.__cause__, BlockingIOError):
                raise
            if not although_locked:
                raise LedgerError(
                    f"{state}: guard daemon runs and holds what is claimed: stop it, which gives all of it back, or leave"
                    " all to XO with guard bypass all --reason ..."
                ) from error
            is_alone = False
        path, url = state / LEDGER, policy.xo.url
        if is_alone:
            yield stack.enter_context(open_ledger(path, xo=url, clock=shell.clock, instance=shell.instance))
        else:  # a daemon that stands still has it open: no ballast to quarrel about, and no check of the whole file
            yield stack.enter_context(open_beside(path, xo=url, clock=shell.clock))


async def _lease(ledger: SqliteLedger, shell: Shell, holder: str) -> None:
    """Take the lease, also from a daemon of this machine: it is dead, or was found to look no more.

    One that comes back to life finds its lease gone and writes nothing. Raises LedgerError for another machine's.
    """
    try:
        await ledger.lease(holder, shell.clock() + _LEASE)
    except LedgerError:
        await ledger.lease(shell.holder, shell.clock() + _LEASE)
        await ledger.release()
        await ledger.lease(holder, shell.clock() + _LEASE)
