"""What happened, as messages: which tier each has, and what of it is one message. What they say is in guard/views/."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta, tzinfo

import msgspec

from guard.daemon.paged import Meanwhile, Memory, Paged
from guard.decision.accept import About, accepting
from guard.estate.workaround import State
from guard.finding import Code
from guard.gate.predict import rules_as_told
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import Alarmed, AnyEvent, AttemptEnded, Decided, End, Ended, RunKey, Started
from guard.lifecycle.loop import CLOCKS_DIFFER, SwitchedOff
from guard.lifecycle.remedy import Remedy
from guard.notify.message import Event, Message, Tier
from guard.outcomes.alarms import GATE_STANDS_ASIDE, LEDGER_UNWRITABLE, XO_UNREADABLE
from guard.policy.accept_schema import AcceptRule
from guard.policy.schema import Policy, default_policy
from guard.policy.tiers_schema import TIERS, tier_of
from guard.units import format_time
from guard.views import messages_own
from guard.views.message_parts import Context, Told
from guard.views.messages import QUIET_ENDS, told_of
from guard.views.messages_warned import warned
from guard.views.zones import run_in_zone

CLOCKS_AGREE = timedelta(seconds=15)
WARNED_AGAIN = timedelta(hours=20)  # the next night's digest tells it again
MOST_PAGES = 3  # of one cause and one look; more are put together
MOST_TITLES = 20
UNREAD = timedelta(minutes=5)  # an XO that restarts is back by then
_EVENTS = {"remedy_failed": Event.FAIL} | dict.fromkeys(("remedy", "probe", "standing", "recovered"), Event.LOG)


class News:
    """The gate's Teller. ``tell`` hands a message to the queue and returns at once.

    ``policy_of``: the policy in force, with the tiers and what is accepted. ``memory``: where it is kept what was paged.
    """

    def __init__(
        self,
        tell: Callable[[Message], Awaitable[None]],
        zone: Callable[[], tzinfo],
        policy_of: Callable[[], Policy] = default_policy,
        memory: Memory | None = None,
    ) -> None:
        self._hand_over, self._zone, self._policy_of = tell, zone, policy_of
        self._paged = Paged(memory)
        self.meanwhile = Meanwhile(memory)
        """What was paged since the last digest."""
        self._pages: list[Message] = []  # of the look that goes on
        self._unfired: dict[RunKey, Message] = {}  # of the look that goes on; its end may say more
        self._judged: dict[RunKey, tuple[str, ...]] = {}  # what was told of the last decision
        self._warned: dict[tuple[str, ...], datetime] = {}  # what was warned of, and when
        self._unread_since: datetime | None = None
        self._unwritten_since: datetime | None = None
        self._reserve_held = True
        self._clocks_differ = False

    async def happened(self, run: DueRun, event: AnyEvent) -> None:
        """One message for a start, an end, an alarm, or a decision that is not a whole start and not what was told before."""
        await self._happened(run, event)
        if isinstance(event, Ended):  # only now: what the end itself says may be what was paged the night before
            await self._settled(run, event)

    async def _happened(self, run: DueRun, event: AnyEvent) -> None:
        told = told_of(run, event, self._context(run))
        if isinstance(event, Decided):
            await self._warn(run, event)
        if told is None:
            return
        if isinstance(event, Decided):
            if self._judged.get(run.key) == told.mark:
                return
            self._judged[run.key] = told.mark
        message = await self._message(run, event, told)
        if told.state in QUIET_ENDS.values() and message.tier is Tier.RECORD:
            return
        if told.state == "rescued":
            self._unfired[run.key] = message
        else:
            await self._tell(message)

    async def _warn(self, run: DueRun, event: Decided) -> None:
        """What a prediction warns of, once a day: every run of the night would repeat it."""
        self._warned = {mark: at for mark, at in self._warned.items() if event.at - at < WARNED_AGAIN}
        for told in warned(run_in_zone(run, self._zone()), event):
            tier = self._tier(told)
            if tier is Tier.RECORD or told.mark in self._warned:
                continue
            self._warned[told.mark] = event.at
            await self._tell(
                Message(
                    tier=tier,
                    event=Event.LOG,
                    title=told.title,
                    text=told.text,
                    at=event.at,
                    schedule=run.key.schedule,
                    code=told.code,
                )
            )

    async def _settled(self, run: DueRun, event: Ended) -> None:
        self._judged.pop(run.key, None)
        if event.end is End.MISSED:
            self._unfired.pop(run.key, None)  # nobody starts it, and the end says so
        if event.end is not End.COVERED:
            await self._paged.over(_place(run), run.key.due)

    async def _message(self, run: DueRun, event: AnyEvent, told: Told) -> Message:
        tier, text = self._tier(told), told.text
        if tier is Tier.PAGE and not told.urgent:
            tier = Tier.DIGEST
        if tier is Tier.PAGE:
            state = f"{told.state} {told.code}" if told.state == "alarm" else told.state
            before = await self._paged.since(_place(run), state, told.mark, run.key.due, event.at)
            if before is not None:
                tier = Tier.DIGEST
                again = "it is paged again when it changes, or a week later"
                text += f"\nThe same since {self._time(before)}, when it was paged; {again}."
        return Message(
            tier=tier,
            event=_event(event, told),
            title=told.title,
            text=text,
            at=event.at,
            schedule=run.key.schedule,
            due=run.key.due,
            code=told.code or None,
        )

    def _tier(self, told: Told) -> Tier:
        if told.silent:
            return Tier.RECORD
        return Tier(tier_of(self._policy_of().tiers, told.state, told.codes, umbrella=told.umbrella))

    def _context(self, run: DueRun) -> Context:
        policy = self._policy_of()
        rules = rules_as_told(policy, run)
        return Context(
            zone=self._zone(),
            recheck_every=rules.recheck_every,
            follow_up=rules.remedies.follow_up,
            accepts=policy.accepts,
        )

    # --- what is about no due run

    async def switched_off(self, off: SwitchedOff) -> None:
        """Until somebody switches it on again, nothing of it is backed up."""
        scope = About(schedule=(off.schedule, off.name))
        message = self._own(messages_own.switched_off(off), off.at, scope)
        await self._tell(msgspec.structs.replace(message, schedule=off.schedule))

    async def unread(self, error: str, *, since: datetime, at: datetime) -> None:
        """Told once per outage, when it is longer than a restart of XO's, and not again after one of guard's."""
        if at - since < UNREAD or self._unread_since == since:
            return
        self._unread_since = since
        if await self._paged.since("", XO_UNREADABLE.id, (since.isoformat(),), at, at) is not None:
            return
        await self._tell(self._own(messages_own.unread(error, since, self._zone()), since))

    async def read_again(self, *, since: datetime, last: datetime, at: datetime, due: Sequence[DueRun]) -> None:
        """The end of an outage that was told; ``last``: when XO could not be read the last time."""
        self._unread_since = None
        await self._paged.forget("", XO_UNREADABLE.id)
        if last - since >= UNREAD:
            await self._over(XO_UNREADABLE, messages_own.read_again(since, at, due, self._zone()), at)

    async def written_again(self, *, since: datetime, at: datetime) -> None:
        """The end of a trouble of the ledger, where that was told."""
        if self._unwritten_since == since:
            await self._over(LEDGER_UNWRITABLE, messages_own.written_again(since, at, self._zone()), at)

    async def unwritten(self, error: str, *, since: datetime, at: datetime) -> None:
        """The ledger takes nothing: told once per trouble, by the channels alone."""
        if at - since < UNREAD or self._unwritten_since == since:
            return
        self._unwritten_since = since
        await self._tell_now(self._own(messages_own.unwritten(error, since, self._zone()), since))

    async def last_resort(self, error: str, *, since: datetime) -> None:
        """The ledger takes nothing while something is claimed: told at once, by the channels alone."""
        if self._unwritten_since == since:
            return
        self._unwritten_since = since
        await self._tell_now(self._own(messages_own.last_resort(error, since, self._zone()), since))

    async def disk_full(self, *, held: bool, at: datetime) -> None:
        """Told once, when the ledger's reserve had to be given up; ``held``: it is there."""
        was, self._reserve_held = self._reserve_held, held
        if was and not held:
            await self._tell_now(self._own(messages_own.disk_full(), at))

    async def clocks(self, ahead: timedelta, *, at: datetime) -> None:
        """Told once until they agree again: by a wrong clock a prediction comes too late or a run looks missed."""
        differ = abs(ahead) >= (CLOCKS_AGREE if self._clocks_differ else CLOCKS_DIFFER)
        if differ and not self._clocks_differ:
            await self._tell(self._own(messages_own.clocks(ahead), at))
        self._clocks_differ = differ

    async def stands_aside(self, reason: str, *, at: datetime) -> None:
        """The policy says enforce, and nobody enforces; after a restart the same reason wakes nobody again."""
        told = messages_own.stands_aside(reason)
        message = self._own(told, at)
        if message.tier is Tier.PAGE and await self._paged.since("", told.code, told.mark, at, at) is not None:
            message = msgspec.structs.replace(message, tier=Tier.DIGEST)
        await self._tell(message)

    async def acts_again(self, reason: str, *, at: datetime) -> None:
        """What kept guard from acting is so no longer."""
        since = await self._paged.when("", GATE_STANDS_ASIDE.id)
        await self._over(GATE_STANDS_ASIDE, messages_own.acts_again(reason, since, at, self._zone()), at)

    async def remedied(self, remedy: Remedy) -> None:
        """A remedy is over, or its effect was seen."""
        at = remedy.effect_at or remedy.ended_at or remedy.at
        await self._tell(self._own(messages_own.remedied(remedy, self._zone()), at))

    async def stands(self, state: State, *, at: datetime) -> None:
        """Once a week: what had to be put back is not forgotten."""
        await self._tell(self._own(messages_own.stands(state, self._zone()), at))

    async def accept_ended(self, entry: AcceptRule, still: Sequence[str], *, at: datetime) -> None:
        """An [[accept]] entry has ended. ``still``: what of it still stood, as sentences."""
        await self._tell_now(self._own(messages_own.accept_ended(entry, still), at))

    async def relay(self, message: Message) -> None:
        """A message made elsewhere. Where it has a code, the policy's word on that counts; its word on guard's troubles makes
        nothing more urgent than it is.
        """
        tier: str = message.tier
        if message.code is not None:
            given = self._policy_of().tiers
            tier = given.get(message.code, max(tier, given.get("trouble", tier), key=TIERS.index))
            if accepting(self._policy_of().accepts, message.at, message.code, About()) is not None:
                tier = Tier.RECORD
        await self._tell_now(msgspec.structs.replace(message, tier=Tier(tier)))

    async def looked(self) -> None:
        """Pages of one look with one cause are one page: an XO that was down for a night wakes a person once."""
        unfired, self._unfired = self._unfired, {}
        for message in unfired.values():
            await self._tell(message)
        pages, self._pages = self._pages, []
        by_code: dict[str | None, list[Message]] = {}
        for page in pages:
            by_code.setdefault(page.code, []).append(page)
        for same in by_code.values():
            if len(same) <= MOST_PAGES:
                for page in same:
                    await self._tell_now(page)
                continue
            await self._tell_now(_together(same, self._time), len(same))
            for page in same:  # each schedule's health check hears of its own run all the same
                if page.event is Event.FAIL:
                    await self._tell_now(msgspec.structs.replace(page, tier=Tier.RECORD))
        await self._paged.keep()
        await self.meanwhile.keep()

    def _own(self, told: Told, at: datetime, scope: About | None = None) -> Message:
        """A message that is about no due run."""
        known = accepting(self._policy_of().accepts, at, told.code, scope or About())
        return Message(
            tier=Tier.RECORD if known is not None and not told.state.startswith("accept") else self._tier(told),
            event=_EVENTS.get(told.state, Event.ALARM),
            title=told.title,
            text=told.text,
            at=at,
            code=told.code or None,
        )

    async def _over(self, code: Code, told: Told, at: datetime) -> None:
        """The end of a trouble is told where the trouble itself was told to somebody."""
        policy = self._policy_of()
        was_told = tier_of(policy.tiers, "trouble", (code.id,)) != "record"
        if was_told and accepting(policy.accepts, at, code.id, About()) is None:
            await self._tell(msgspec.structs.replace(self._own(told, at), code=code.id))

    async def _tell_now(self, message: Message, often: int = 1) -> None:
        """``often``: of how many pages it is made."""
        if message.tier is Tier.PAGE:
            self.meanwhile.paged(message.code or "", often)
        await self._hand_over(message)

    async def _tell(self, message: Message) -> None:
        if message.tier is Tier.PAGE:
            self._pages.append(message)
        else:
            await self._tell_now(message)

    def _time(self, moment: datetime) -> str:
        return format_time(moment, self._zone())


def _place(run: DueRun) -> str:
    """A schedule, and the sequence it comes through."""
    return f"{run.key.schedule} {run.key.via}".strip()


def _event(event: AnyEvent, told: Told) -> Event:
    """For machines, whatever the tier is for people."""
    match event:
        case Started():
            return Event.START
        case AttemptEnded():
            return Event.SUCCESS if told.state == "success" else Event.FAIL
        case Alarmed():
            return Event.ALARM
        case Ended() if told.state not in QUIET_ENDS.values():
            return Event.FAIL
    return Event.LOG


def _together(pages: Sequence[Message], shown_time: Callable[[datetime], str]) -> Message:
    """Many pages with one code as one; the titles first, since the texts repeat themselves."""
    titles = [page.title + (f", due {shown_time(page.due)}" if page.due is not None else "") for page in pages]
    more = f"and {len(titles) - MOST_TITLES} more; all of them: guard status"
    shown = titles[:MOST_TITLES] + [more] * (len(titles) > MOST_TITLES)
    return Message(
        tier=Tier.PAGE,
        event=Event.ALARM,
        title=f"{len(pages)} times {pages[0].code or 'the same, of no known cause'}",
        text="\n".join("  " + title for title in shown) + f"\nThe first one: {pages[0].text}",
        at=pages[0].at,
        code=pages[0].code,
    )
