"""guard's own troubles, its remedies and what became of [[accept]] entries, as messages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from guard.estate.workaround import State
from guard.finding import Code
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.loop import SwitchedOff
from guard.lifecycle.remedy import Effect, Remedy, RemedyKind, Result
from guard.outcomes.alarms import (
    CLOCKS_DIFFERENT,
    GATE_STANDS_ASIDE,
    LEDGER_DISK_FULL,
    LEDGER_UNWRITABLE,
    SCHEDULE_DISABLED,
    XO_UNREADABLE,
)
from guard.policy.accept_schema import AcceptRule
from guard.units import format_duration, format_time, plural
from guard.views.message_parts import Told, composed, name_of
from guard.views.remedies import DOES, remedy_sentence, standing_sentence
from guard.views.status import off_text
from guard.views.status_standing import clocks_differ

_ALONE = "XO starts what is due by itself, and its fallbacks start what was claimed"


def _trouble(code: Code, title: str, reason: str, then: str, mark: tuple[str, ...] = ()) -> Told:
    return Told("trouble", title, composed(reason, to_do=[code.do], then=then), codes=(code.id,), mark=(code.id, *mark))


def unread(error: str, since: datetime, zone: tzinfo) -> Told:
    """XO could not be read for a while."""
    reason = f"Since {format_time(since, zone)} guard cannot read XO: {error}"
    return _trouble(XO_UNREADABLE, "XO cannot be read", reason, f"guard tries again every 30 s. {_ALONE}.")


def unwritten(error: str, since: datetime, zone: tzinfo) -> Told:
    """The ledger takes nothing, and nothing is claimed."""
    reason = f"Since {format_time(since, zone)} guard can record nothing, and watches no run: {error}"
    then = f"guard tries again every 30 s. {_ALONE}."
    return _trouble(LEDGER_UNWRITABLE, "guard's ledger cannot be written", reason, then)


def last_resort(error: str, since: datetime, zone: tzinfo) -> Told:
    """The ledger takes nothing while something is claimed."""
    reason = f"Since {format_time(since, zone)} the ledger takes nothing: {error}"
    then = (
        "guard brings to its end what it holds in XO, and writes each step into its log (journalctl -u guard) in place of the "
        "ledger. It begins nothing else."
    )
    return _trouble(LEDGER_UNWRITABLE, "guard's ledger cannot be written", reason, then)


def read_again(since: datetime, until: datetime, due: Sequence[DueRun], zone: tzinfo) -> Told:
    """XO can be read after it could not. ``due``: the runs that were due meanwhile."""
    took = format_duration((until - since).total_seconds())
    runs = [run for run in due if not run.is_sequence]
    fell = f"{plural(len(runs), 'due time')} fell into it:" if runs else "No due time fell into it."
    reason = f"From {format_time(since, zone)} to {format_time(until, zone)} ({took}) guard could not read XO. {fell}"
    details = [f"{name_of(run)}, due {format_time(run.key.due, zone)}: {_became(run)}." for run in runs]
    then = "guard watches and predicts again; what XO's logs show of that time is judged by them."
    return _over(XO_UNREADABLE, "XO can be read again", composed(reason, details, then=then))


def _became(run: DueRun) -> str:
    if run.ended is not None:
        return f"{run.ended.end.value}{f' ({run.ended.code})' if run.ended.code else ''}"
    return "XO runs it" if run.running else "not settled yet"


def written_again(since: datetime, until: datetime, zone: tzinfo) -> Told:
    """The ledger can be written after it could not."""
    took = format_duration((until - since).total_seconds())
    reason = (
        f"From {format_time(since, zone)} to {format_time(until, zone)} ({took}) guard's ledger could not be written."
    )
    then = "guard records and watches again; what was due meanwhile is entered as XO's logs show it."
    return _over(LEDGER_UNWRITABLE, "guard's ledger can be written again", composed(reason, then=then))


def acts_again(why: str, since: datetime | None, until: datetime, zone: tzinfo) -> Told:
    """What kept guard from acting is so no longer. ``since``: when that was told, None where nobody knows any more."""
    began = f"From {format_time(since, zone)} to" if since is not None else "Until"
    reason = f"{began} {format_time(until, zone)} guard left every start to XO: {why}. That is so no longer."
    then = "guard acts on what is due, where the policy says enforce."
    return _over(GATE_STANDS_ASIDE, "guard acts again", composed(reason, then=then))


def _over(code: Code, title: str, text: str) -> Told:
    """The end of a trouble. The policy's word on its code is about the trouble, not about its end: so it has no codes."""
    return Told("recovered", f"{title}: {code.id} is over", text)


def disk_full() -> Told:
    """The ledger's reserve had to be given up."""
    then = "guard works on as long as there is room, and pages again when the ledger takes nothing more."
    return _trouble(LEDGER_DISK_FULL, LEDGER_DISK_FULL.title, LEDGER_DISK_FULL.why, then)


def clocks(ahead: timedelta) -> Told:
    """``ahead``: how far guard's clock is ahead of XO's."""
    reason = f"{clocks_differ(ahead.total_seconds())}."
    then = (
        "guard claims nothing while they differ by more than 10 s: XO starts what is due by itself, and guard watches."
    )
    return _trouble(CLOCKS_DIFFERENT, "The clocks of guard and XO differ", reason, then)


def stands_aside(why: str) -> Told:
    """The policy says enforce, and nobody enforces."""
    then = "guard looks every 30 s whether that is so, and acts again as soon as it is not."
    reason = f"guard leaves every start to XO: {why}."
    return _trouble(GATE_STANDS_ASIDE, GATE_STANDS_ASIDE.title, reason, then, (why,))


def switched_off(off: SwitchedOff) -> Told:
    """Until somebody switches it on again, nothing of it is backed up."""
    then = (
        "nothing of it is due any more; guard tells when it is there again by watching its runs."
        if off.deleted
        else "guard leaves it off, and nothing of it is due or backed up until somebody enables it."
    )
    title = f"Schedule {off.name} is {'deleted' if off.deleted else 'disabled'}"
    text = composed(off_text(off), to_do=[SCHEDULE_DISABLED.do], then=then)
    return Told("switched_off", title, text, codes=(SCHEDULE_DISABLED.id,))


def remedied(remedy: Remedy, zone: tzinfo) -> Told:
    """A remedy is over, or its effect was seen."""
    failed = remedy.result is not Result.DONE or remedy.effect is Effect.NOTHING
    state = "remedy_failed" if failed else "remedy"
    if remedy.kind is RemedyKind.PROBE and remedy.effect is Effect.HELPED:
        state = "probe"
    then = {
        Effect.PENDING: "guard looks whether it helped, and judges the due runs by what it sees.",
        Effect.HELPED: "guard judges the due runs by what it sees.",
        Effect.NOTHING: "guard judges the due runs as things are; a person has to look at it.",
    }[remedy.effect]
    text = composed(remedy_sentence(remedy, zone), [f"Why: {remedy.reason}"], then=then)
    return Told(state, f"Remedy: {DOES[remedy.kind][0]} {remedy.scope.name}", text)


def stands(state: State, zone: tzinfo) -> Told:
    """What had to be put back is not forgotten."""
    text = composed(standing_sentence(state, zone), then="guard reminds of it once a week.")
    return Told("standing", "The httpInactivityTimeout workaround still stands", text)


def accept_ended(entry: AcceptRule, still: Sequence[str]) -> Told:
    """An [[accept]] entry has ended. ``still``: what of it still stood in the last runs, as sentences."""
    state = "accept_ended_stands" if still else "accept_ended"
    told = "and it is still there" if still else "and no run of the last week showed it"
    then = f"guard tells of {entry.code} again like of any other; the entry does nothing any more."
    to_do = "Mend it, or give the entry a later end with a reason." if still else "Take the entry out of the policy."
    return Told(
        state,
        f"Accepted until {entry.until}: {entry.code} for {entry.scope}",
        composed(
            f"The [[accept]] entry has ended, {told}. Its reason was: {entry.reason}", still, to_do=[to_do], then=then
        ),
        codes=(entry.code,),
    )
