"""What happened, as messages: a person is paged for what must be acted on, the rest waits for the digest or is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta, tzinfo

from guard.decision.verdict import Action
from guard.estate.workaround import State
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import Alarmed, AnyEvent, AttemptEnded, Decided, End, Ended, FollowingUp, Started
from guard.lifecycle.loop import SwitchedOff
from guard.lifecycle.remedy import Effect, Remedy, RemedyKind, Result
from guard.notify.message import Event, Message, Tier
from guard.outcomes.alarms import (
    CLOCKS_DIFFERENT,
    GATE_STANDS_ASIDE,
    LEDGER_DISK_FULL,
    LEDGER_UNWRITABLE,
    SCHEDULE_DISABLED,
    XO_UNREADABLE,
)
from guard.units import format_duration, format_time
from guard.views.remedies import DOES, remedy_sentence, standing_sentence
from guard.views.status import off_text
from guard.views.story import WOULD, outcome_sentence

CLOCKS_DIFFER, CLOCKS_AGREE = timedelta(seconds=30), timedelta(seconds=15)
MOST_PAGES = 3  # of one cause and one look; more are put together
MOST_TITLES = 20
UNREAD = timedelta(minutes=5)  # an XO that restarts is back by then


class News:
    """The gate's Teller. ``tell`` hands a message to the queue and returns at once."""

    def __init__(self, tell: Callable[[Message], Awaitable[None]], zone: Callable[[], tzinfo]) -> None:
        self._tell_now, self._zone = tell, zone
        self._pages: list[Message] = []  # of the look that goes on
        self._unread_since: datetime | None = None
        self._unwritten_since: datetime | None = None
        self._reserve_held = True
        self._clocks_differ = False

    async def happened(self, run: DueRun, event: AnyEvent) -> None:
        """One message for a start, an end, an alarm, or a prediction that is not a whole start."""
        told = self._told(run, event)
        if told is None:
            return
        tier, kind, title, text, code = told
        await self._tell(
            Message(
                tier=tier,
                event=kind,
                title=title,
                text=text,
                at=event.at,
                schedule=run.key.schedule,
                due=run.key.due,
                code=code or None,
            )
        )

    def _told(self, run: DueRun, event: AnyEvent) -> tuple[Tier, Event, str, str, str] | None:
        name = f"{run.seen.job_name} / {run.seen.schedule_name}"
        due = format_time(run.key.due, self._zone())
        match event:
            case Started():
                return Tier.RECORD, Event.START, f"{name} began", f"XO runs it since {self._time(event.began)}.", ""
            case AttemptEnded(outcome=outcome) if outcome.status == "success":
                return Tier.RECORD, Event.SUCCESS, f"{name} succeeded", outcome_sentence(outcome), ""
            case AttemptEnded(outcome=outcome):
                causes = "\n".join(
                    f"{one.scope.name or one.scope.id}: {one.code}: {one.text}" for one in outcome.causes
                )
                code = outcome.causes[0].code if outcome.causes else ""
                return (
                    Tier.DIGEST,
                    Event.FAIL,
                    f"{name}: {outcome.status}",
                    f"Due {due}: {outcome_sentence(outcome)}\n{causes}",
                    code,
                )
            case Alarmed(code=code, text=text):
                return Tier.PAGE, Event.ALARM, f"{name}: {code}", text, code
            case Ended(end=End.MISSED | End.REFUSED | End.EXPIRED | End.RAN_IN_PART as end) if not run.is_sequence:
                return Tier.DIGEST, Event.FAIL, f"{name}: {end.value}", event.reason, event.code
            case FollowingUp(reason=reason):
                return Tier.DIGEST, Event.LOG, f"{name}: follow-up", f"Due {due}: {reason}", ""
            case Decided(verdict=verdict) if verdict.action is not Action.START and run.follow_up is None:
                doing = "guard will" if event.acts else "enforced guard would"
                text = f"Due {due}, {doing} {WOULD[verdict.action]}: {verdict.sentence}"
                return Tier.DIGEST, Event.LOG, f"{name}: {verdict.action.value}", text, ""
        return None

    async def switched_off(self, off: SwitchedOff) -> None:
        """Paged: until somebody switches it on again, nothing of it is backed up."""
        await self._tell(
            Message(
                tier=Tier.PAGE,
                event=Event.ALARM,
                title=f"Schedule {off.name} is {'deleted' if off.deleted else 'disabled'}",
                text=off_text(off),
                at=off.at,
                schedule=off.schedule,
                code=SCHEDULE_DISABLED.id,
            )
        )

    async def unread(self, error: str, *, since: datetime, at: datetime) -> None:
        """Paged once per outage, when it is longer than a restart."""
        if at - since < UNREAD or self._unread_since == since:
            return
        self._unread_since = since
        text = f"Since {self._time(since)} guard cannot read XO: {error}"
        await self._tell(_page("XO cannot be read", text, since, XO_UNREADABLE.id))

    async def unwritten(self, error: str, *, since: datetime, at: datetime) -> None:
        """The ledger takes nothing: paged once per trouble, by the channels alone."""
        if at - since < UNREAD or self._unwritten_since == since:
            return
        self._unwritten_since = since
        text = f"Since {self._time(since)} guard can record nothing, and watches no run: {error}"
        await self._tell_now(_page("guard's ledger cannot be written", text, since, LEDGER_UNWRITABLE.id))

    async def last_resort(self, error: str, *, since: datetime) -> None:
        """The ledger takes nothing while something is claimed: paged at once, by the channels alone."""
        if self._unwritten_since == since:
            return
        self._unwritten_since = since
        text = (
            f"Since {self._time(since)} the ledger takes nothing: {error}\nguard brings to its end what it holds in XO, and "
            "writes each step into its log (journalctl -u guard) in place of the ledger. It begins nothing else."
        )
        await self._tell_now(_page("guard's ledger cannot be written", text, since, LEDGER_UNWRITABLE.id))

    async def disk_full(self, *, held: bool, at: datetime) -> None:
        """Paged once, when the ledger's reserve had to be given up; ``held``: it is there."""
        was, self._reserve_held = self._reserve_held, held
        if held or not was:
            return
        await self._tell_now(
            _page(LEDGER_DISK_FULL.title, f"{LEDGER_DISK_FULL.why}\n{LEDGER_DISK_FULL.do}", at, LEDGER_DISK_FULL.id)
        )

    async def clocks(self, ahead: timedelta, *, at: datetime) -> None:
        """Paged once until they agree again: by a wrong clock a prediction comes too late or a run looks missed."""
        differ = abs(ahead) >= (CLOCKS_AGREE if self._clocks_differ else CLOCKS_DIFFER)
        if differ and not self._clocks_differ:
            way = "ahead of" if ahead > timedelta() else "behind"
            told = format_duration(abs(ahead).total_seconds())
            await self._tell(
                _page(
                    "The clocks of guard and XO differ",
                    f"guard's clock is {told} {way} XO's. {CLOCKS_DIFFERENT.do}",
                    at,
                    CLOCKS_DIFFERENT.id,
                )
            )
        self._clocks_differ = differ

    async def stands_aside(self, reason: str, *, at: datetime) -> None:
        """Paged: the policy says enforce, and nobody enforces."""
        await self._tell(
            _page(
                GATE_STANDS_ASIDE.title,
                f"guard leaves every start to XO: {reason}. {GATE_STANDS_ASIDE.do}",
                at,
                GATE_STANDS_ASIDE.id,
            )
        )

    async def remedied(self, remedy: Remedy) -> None:
        """For the digest; a probe that went well is only kept."""
        is_quiet = remedy.kind is RemedyKind.PROBE and remedy.effect is Effect.HELPED
        failed = remedy.result is not Result.DONE or remedy.effect is Effect.NOTHING
        await self._tell(
            Message(
                tier=Tier.RECORD if is_quiet else Tier.DIGEST,
                event=Event.FAIL if failed else Event.LOG,
                title=f"Remedy: {DOES[remedy.kind][0]} {remedy.scope.name}",
                text=f"{remedy_sentence(remedy, self._zone())}\nWhy: {remedy.reason}",
                at=remedy.effect_at or remedy.ended_at or remedy.at,
            )
        )

    async def stands(self, state: State, *, at: datetime) -> None:
        """For the digest, once a week: what had to be put back is not forgotten."""
        text = standing_sentence(state, self._zone())
        title = "The httpInactivityTimeout workaround still stands"
        await self._tell(Message(tier=Tier.DIGEST, event=Event.LOG, title=title, text=text, at=at))

    async def looked(self) -> None:
        """Pages of one look with one cause are one page: an XO that was down for a night wakes a person once."""
        pages, self._pages = self._pages, []
        by_code: dict[str | None, list[Message]] = {}
        for page in pages:
            by_code.setdefault(page.code, []).append(page)
        for same in by_code.values():
            for page in same if len(same) <= MOST_PAGES else [_together(same)]:
                await self._tell_now(page)

    async def _tell(self, message: Message) -> None:
        if message.tier is Tier.PAGE:
            self._pages.append(message)
        else:
            await self._tell_now(message)

    def _time(self, moment: datetime) -> str:
        return format_time(moment, self._zone())


def _page(title: str, text: str, at: datetime, code: str) -> Message:
    """An alarm that is about no schedule."""
    return Message(tier=Tier.PAGE, event=Event.ALARM, title=title, text=text, at=at, code=code)


def _together(pages: Sequence[Message]) -> Message:
    """Many pages with one code as one; the titles first, since the texts repeat themselves."""
    titles = [page.title + (f", due {page.due:%Y-%m-%d %H:%M} UTC" if page.due is not None else "") for page in pages]
    more = f"and {len(titles) - MOST_TITLES} more; all of them: guard status"
    shown = titles[:MOST_TITLES] + [more] * (len(titles) > MOST_TITLES)
    return Message(
        tier=Tier.PAGE,
        event=Event.ALARM,
        title=f"{len(pages)} times {pages[0].code}",
        text="\n".join("  " + title for title in shown) + f"\nThe first one: {pages[0].text}",
        at=pages[0].at,
        code=pages[0].code,
    )
