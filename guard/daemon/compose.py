"""The only place where the daemon's parts meet: ledger, XO, notifications, the watch, systemd."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from pathlib import Path

from guard.daemon.channels import Sender, known_channels
from guard.daemon.gather import Sources
from guard.daemon.last_policy import LastPolicy
from guard.daemon.log import LoggedNews
from guard.daemon.loop import Flags, run
from guard.daemon.metrics import Metrics
from guard.daemon.news import News
from guard.daemon.nightly import Nightly
from guard.daemon.pools import XoAndPools
from guard.daemon.standing import claimed, is_unsettled, open_due_runs
from guard.daemon.systemd import Systemd
from guard.daemon.token_watch import TokenWatch
from guard.daemon.workaround import timeout_file
from guard.errors import LedgerError, LedgerUnwritableError
from guard.gate.look import LOOK_EVERY
from guard.gate.watch import Watch
from guard.ledger.last_resort import LastResort
from guard.ledger.sqlite import SqliteLedger, open_ledger
from guard.lifecycle.loop import Loop
from guard.mechanics.zones import zone_or_utc
from guard.meter import Meter
from guard.notify.message import Event, Message, Tier
from guard.notify.ports import Queued
from guard.notify.queue import Queue
from guard.notify.route import Limits, Route
from guard.policy.schema import Policy
from guard.views.log import Line
from guard.xo.client import XoSettings
from guard.xo.renew import TokenXo
from guard.xo.settings import xo_settings
from guard.xo.token import Token, read_token

LEDGER = "ledger.sqlite"
LEASE = timedelta(minutes=5)
KEPT = timedelta(days=400)  # a year of nights, and the same night a year ago
_PRUNE_EVERY = timedelta(hours=24)


@dataclass(frozen=True)
class Shell:
    """What the outside gives: the clock, the environment, a random name for a new ledger, where to log.

    ``holder``: this machine's name, for the lease. ``lines``: where what happens is logged with its fields.
    """

    clock: Callable[[], datetime]
    monotonic_us: Callable[[], int]
    env: Mapping[str, str]
    instance: bytes
    holder: str
    log: Callable[[str], None]
    lines: Callable[[Line], None] = lambda _: None


class PolicyInForce:
    """The policy, replaced as a whole by a reload; a bad one raises and leaves the old one in force."""

    def __init__(self, read: Callable[[], Policy]) -> None:
        self._read = read
        self.policy = read()

    def reload(self, use: Callable[[Policy], None]) -> None:
        """``use``: what else has to take the new policy, or raise. Raises PolicyError.

        Another XO needs another ledger, so its address stays.
        """
        fresh = self._read()
        if fresh.xo.url != self.policy.xo.url:
            raise LedgerError(
                "[xo] url changed: a ledger belongs to one XO; restart the daemon with another state folder"
            )
        use(fresh)
        self.policy = fresh

    def xo(self) -> XoSettings:
        """Where XO is and how long to wait for it."""
        return xo_settings(self.policy)


class Kept:
    """The watch with what goes round it: the lease before each look, a sign of life and old runs pruned after."""

    def __init__(
        self,
        watch: Watch,
        ledger: SqliteLedger,
        resort: LastResort,
        queue: Queue,
        news: News,
        shell: Shell,
        token_watch: TokenWatch | None = None,
        nightly: Nightly | None = None,
        last_policy: LastPolicy | None = None,
    ) -> None:
        self._watch, self._ledger, self._resort = watch, ledger, resort
        self._token_watch, self._nightly, self._last_policy = token_watch, nightly, last_policy
        self._queue, self._news, self._shell = queue, news, shell
        self._pruned_at: datetime | None = None
        self._unwritten_since: datetime | None = None

    async def let_go(self) -> bool:
        """Look once more and claim nothing, give back what is claimed; whether something may still be left. XO is not asked
        where nothing can be. Raises LedgerError.
        """
        await self._watch.end()  # nothing more is remedied
        runs = await open_due_runs(self._resort)
        if not any(is_unsettled(run, self._shell.clock()) for run in runs):
            return False
        self._watch.lets_go = True
        loop = await self.tick()
        return bool(loop.xo_error or claimed(await open_due_runs(self._resort)))

    async def tick(self) -> Loop:
        now = self._shell.clock()
        try:
            await self._lease(now)
            loop = await self._watch.tick()
        except LedgerError as error:
            self._unwritten_since = self._unwritten_since or now
            await self._news.unwritten(str(error), since=self._unwritten_since, at=now)
            raise
        if self._resort.trouble:
            self._unwritten_since = self._unwritten_since or now
            await self._news.last_resort(self._resort.trouble, since=self._unwritten_since)
            return loop
        if self._unwritten_since is not None:
            await self._news.written_again(since=self._unwritten_since, at=now)
        self._unwritten_since = None
        if self._pruned_at is None or now - self._pruned_at >= _PRUNE_EVERY:
            await self._ledger.prune(now - KEPT)
            self._pruned_at = now
        await self._news.disk_full(held=self._ledger.ballast_held, at=now)
        if not loop.xo_error:
            alive = Message(
                tier=Tier.RECORD, event=Event.SUCCESS, title="guard looks", text="guard's loop runs", at=loop.at
            )
            await self._queue.tell(alive)
        if self._nightly is not None:
            await self._nightly.look(loop)
        if self._token_watch is not None and not self._watch.lets_go:
            self._token_watch.look(loop)
        return loop

    async def _lease(self, now: datetime) -> None:
        """Renewed before each look. A ledger that takes no writes keeps nobody from bringing to its end what is claimed."""
        try:
            await self._ledger.lease(self._shell.holder, now + LEASE)
            await self._resort.flush()
            if self._last_policy is not None:
                await self._last_policy.keep()
        except LedgerUnwritableError as error:
            if not await self._resort.begin(str(error)):
                raise


async def run_daemon(
    in_force: PolicyInForce,
    state: Path,
    routes_of: Callable[[Policy], Sequence[Route]],
    shell: Shell,
    flags: Flags,
) -> None:
    """Until asked to stop. ``routes_of`` opens the channels of a policy, at the start and at a reload.

    Raises LedgerError when the ledger cannot be opened or another guard holds it, PolicyError for a channel's secret.
    """
    policy = in_force.policy
    routes = routes_of(policy)
    with (
        only_one(state),
        open_ledger(state / LEDGER, xo=policy.xo.url, clock=shell.clock, instance=shell.instance) as ledger,
    ):
        await ledger.lease(shell.holder, shell.clock() + LEASE)
        known = await known_channels(ledger)
        queue = Queue(ledger.outbox(Queued), routes, limits_of(policy), clock=shell.clock, known=known)
        sender = Sender(queue, ledger, clock=shell.clock, log=shell.log)
        news = News(queue.tell, lambda: zone_of(in_force.policy), lambda: in_force.policy, ledger)
        nightly = Nightly(
            ledger,
            ledger.outbox(Queued),
            news,
            clock=shell.clock,
            policy_of=lambda: in_force.policy,
            zone=lambda: zone_of(in_force.policy),
        )

        def token() -> Token:
            given = in_force.policy.xo.token_file
            return read_token(Path(given) if given else None, shell.env)

        token()  # an unreadable token is told at once, not at the first look
        meter = Meter(lambda: shell.monotonic_us() / 1_000_000)
        xo = XoAndPools(
            in_force.xo, token, clock=shell.clock, policy_of=lambda: in_force.policy, env=shell.env, meter=meter
        )
        resort = LastResort(ledger, shell.log)
        watch = Watch(
            resort,
            xo,
            LoggedNews(news, shell.lines),
            clock=shell.clock,
            policy_of=lambda: in_force.policy,
            instance=ledger.instance,
            timeout_file=lambda: timeout_file(in_force.policy.remedies, shell.clock, f"guard {ledger.instance}"),
        )
        token_watch = TokenWatch(
            TokenXo(in_force.xo, token, clock=shell.clock, meter=meter),
            token,
            ledger,
            news.relay,
            clock=shell.clock,
            policy_of=lambda: in_force.policy,
            zone=lambda: zone_of(in_force.policy),
            log=shell.log,
        )
        last_policy = LastPolicy(ledger, lambda: in_force.policy)
        flags.install(asyncio.get_running_loop())
        sources = Sources(
            ledger=ledger,
            file=state / LEDGER,
            latest=lambda: watch.latest,
            trouble=lambda: resort.trouble,
            channels=queue.status,
            policy=lambda: in_force.policy,
        )
        with Metrics(sources, meter, clock=shell.clock, log=shell.log) as metrics:
            metrics.use(policy)

            def use(fresh: Policy) -> None:
                opened = routes_of(fresh)
                metrics.use(fresh)
                queue.use(opened, limits_of(fresh))

            await run(
                metrics.around(Kept(watch, ledger, resort, queue, news, shell, token_watch, nightly, last_policy)),
                flags,
                Systemd(shell.env, monotonic_us=shell.monotonic_us),
                send_news=sender.pump,
                reload=lambda: in_force.reload(use),
                log=shell.log,
                look_every_s=LOOK_EVERY.total_seconds(),
                clock=shell.clock,
            )
        await token_watch.end()
        await watch.end()
        with suppress(LedgerUnwritableError):  # the lease then runs out by itself
            await ledger.release()


@contextmanager
def only_one(state: Path) -> Iterator[None]:
    """One daemon per state folder and machine; the lock ends with the process, however that ends.

    Between machines that share a folder the ledger's lease decides. Raises LedgerError.
    """
    try:
        folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise LedgerError(f"{state}: the state folder cannot be used ({error.strerror})") from error
    try:
        # the folder itself: a lock file left by another user could not be opened
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(folder)
        told = "another guard daemon uses it; stop that one, or give this one a folder of its own"
        raise LedgerError(f"{state}: {told if isinstance(error, BlockingIOError) else error.strerror}") from error
    try:
        yield
    finally:
        os.close(folder)


def is_running(state: Path) -> bool | None:
    """Whether a daemon of this machine has the folder, which ``guard release`` has too while it works. None: it cannot be seen.

    A shared lock, given back at once: any number may ask. A daemon that begins in that very moment is refused, and systemd
    starts it again.
    """
    try:
        folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(folder)
    return False


def zone_of(policy: Policy) -> tzinfo:
    """The zone of times in messages and of the digest."""
    return zone_or_utc(policy.notify.zone or policy.xo.zone or "utc")


def limits_of(policy: Policy) -> Limits:
    """The queue's limits of a policy."""
    notify = policy.notify
    return Limits(
        retry_first=notify.retry_first,
        retry_longest=notify.retry_longest,
        give_up_after=notify.give_up_after,
        time_limit_s=notify.time_limit.total_seconds(),
        digest_at=time.fromisoformat(notify.digest_at),
        zone=zone_of(policy),
    )
