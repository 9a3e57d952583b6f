"""The daemon's log: one line per thing that happened, as plain text, as JSON (``guard.log/1``) and for the journal.

Names in it come from XO, where anybody may write them: every value is made harmless and cut to a length.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import IntEnum

import msgspec

from guard.decision.verdict import Action
from guard.finding import Level
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import (
    BY_HAND,
    Alarmed,
    AnyEvent,
    AttemptEnded,
    Decided,
    Doubted,
    End,
    Ended,
    FollowingUp,
    GaveUp,
    NotStarted,
    Released,
    ReleasedHow,
    Seen,
    Started,
)
from guard.lifecycle.loop import SwitchedOff
from guard.lifecycle.remedy import Effect, Remedy, Result
from guard.outcomes.alarms import SCHEDULE_DISABLED
from guard.units import format_time
from guard.views.deeds import STARTED_BY, deed_sentence
from guard.views.remedies import remedy_sentence
from guard.views.status import off_text
from guard.views.story import WOULD, outcome_sentence
from guard.views.text import clean

SCHEMA = "guard.log/1"
MOST_FIELD = 1024  # characters of a name or an id
PIECE = 16_384  # characters; what is too long for one datagram goes in pieces of this length
MOST_PIECES = 64


class Priority(IntEnum):
    """syslog's priorities that guard uses (RFC 5424, journald's PRIORITY)."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line. ``event``: what happened, as the ledger names it; ``schedule``: its id; ``verdict``: of a decision."""

    message: str
    priority: Priority = Priority.NOTICE
    event: str = ""
    schedule: str = ""
    schedule_name: str = ""
    job: str = ""
    due: datetime | None = None
    codes: tuple[str, ...] = ()
    verdict: str = ""


def line_of(run: DueRun, event: AnyEvent) -> Line:
    """An event of a due run, times in UTC."""
    seen = run.seen
    due = format_time(run.key.due, UTC)
    when = f"begun {due}" if run.key.via == BY_HAND else f"due {due}"
    priority, text, codes = _told(event)
    return Line(
        message=f"{seen.job_name} / {seen.schedule_name}, {when}: {text}",
        priority=priority,
        event=str(type(event).__struct_config__.tag),
        schedule=run.key.schedule,
        schedule_name=seen.schedule_name,
        job=seen.job_name,
        due=run.key.due,
        codes=tuple(dict.fromkeys(code for code in codes if code)),
        verdict=event.verdict.action.value if isinstance(event, Decided) else "",
    )


def _told(event: AnyEvent) -> tuple[Priority, str, Sequence[str]]:
    match event:
        case Seen(late=late):
            return Priority.INFO, "entered after it was due" if late else "entered", ()
        case Decided(verdict=verdict):
            does = "will" if event.acts else "would"
            aside = f" It is left to XO: {event.aside}." if event.aside else ""
            text = f"guard {does} {WOULD[verdict.action]}: {verdict.sentence} {verdict.clears}".rstrip() + aside
            codes = [one.code for one in verdict.findings if one.level is not Level.OK]
            return Priority.INFO if verdict.action is Action.START else Priority.NOTICE, text, codes
        case Started(began=began, by=by):
            return Priority.INFO, f"{STARTED_BY[by]}; XO runs it since {format_time(began, UTC)}", ()
        case Alarmed(code=code, text=text):
            return Priority.ERROR, f"alarm {code}: {text}", (code,)
        case AttemptEnded(outcome=outcome):
            good = outcome.status in ("success", "skipped")
            codes = [one.code for one in outcome.causes]
            return Priority.INFO if good else Priority.WARNING, outcome_sentence(outcome), codes
        case Ended(end=end, code=code, reason=reason):
            priority = _ENDS.get(end, Priority.INFO)
            return priority, end.value + (f": {reason}" if reason else ""), (code,)
        case GaveUp(code=code):
            return Priority.WARNING, deed_sentence(event, UTC), (code, *(one for vm in event.vms for one in vm.codes))
        case FollowingUp(vms=vms):
            return Priority.NOTICE, deed_sentence(event, UTC), [one for vm in vms for one in vm.codes]
        case Doubted() | NotStarted():
            return Priority.WARNING, deed_sentence(event, UTC), ()
        case Released(how=ReleasedHow.TOUCHED | ReleasedHow.GONE):
            return Priority.WARNING, deed_sentence(event, UTC), ()
        case _:
            return Priority.INFO, deed_sentence(event, UTC), ()


_ENDS = {
    End.MISSED: Priority.WARNING,
    End.REFUSED: Priority.WARNING,
    End.EXPIRED: Priority.WARNING,
    End.RAN_IN_PART: Priority.NOTICE,
}


def line_of_remedy(remedy: Remedy) -> Line:
    """What guard did so that runs can start; ``schedule`` is the first run's it was done for."""
    failed = remedy.result is not Result.DONE or remedy.effect is Effect.NOTHING
    first = remedy.runs[0] if remedy.runs else None
    return Line(
        message=f"{remedy_sentence(remedy, UTC)} Why: {remedy.reason}",
        priority=Priority.WARNING if failed else Priority.NOTICE,
        event=f"remedy_{remedy.kind.value}",
        schedule=first.schedule if first is not None else "",
        schedule_name=first.name if first is not None else "",
        due=first.due if first is not None else None,
    )


def line_of_switched_off(off: SwitchedOff) -> Line:
    """A schedule that somebody switched off."""
    return Line(
        message=off_text(off),
        priority=Priority.ERROR,
        event="switched_off",
        schedule=off.schedule,
        schedule_name=off.name,
        codes=(SCHEDULE_DISABLED.id,),
    )


def plain(line: Line) -> str:
    """For a terminal or a file, with its end."""
    return f"guard: {clean('; '.join(line.message.splitlines()))}\n"


def as_json(line: Line, at: datetime) -> str:
    """One object of ``guard.log/1``, with its end. What does not apply is left out; ``code`` is the first of ``codes``."""
    shown: dict[str, object] = {
        "schema": SCHEMA,
        "ts": _utc(at),
        "level": line.priority.name.lower(),
        "message": _harmless(line.message),
        "event": line.event,
        "schedule": _field(line.schedule),
        "schedule_name": _field(line.schedule_name),
        "job": _field(line.job),
        "due": _utc(line.due),
        "code": _field(line.codes[0]) if line.codes else "",
        "codes": [_field(code) for code in line.codes],
        "verdict": line.verdict,
    }
    return msgspec.json.encode({key: value for key, value in shown.items() if value}).decode() + "\n"


def datagram(line: Line) -> bytes:
    """The line in journald's own form: NAME=value, and with a length for what holds a line break (systemd's
    JOURNAL_NATIVE_PROTOCOL). A field that is empty is left out; ``GUARD_CODE`` may stand several times.
    """
    fields = [
        ("MESSAGE", _harmless(line.message)),
        ("PRIORITY", str(line.priority.value)),
        ("SYSLOG_IDENTIFIER", "guard"),
        ("GUARD_EVENT", line.event),
        ("GUARD_SCHEDULE", _field(line.schedule)),
        ("GUARD_SCHEDULE_NAME", _field(line.schedule_name)),
        ("GUARD_JOB", _field(line.job)),
        ("GUARD_DUE", _utc(line.due)),
        *(("GUARD_CODE", _field(code)) for code in line.codes),
        ("GUARD_VERDICT", line.verdict),
    ]
    return b"".join(_native(name, value) for name, value in fields if value)


def pieces(line: Line) -> list[Line]:
    """A line whose message is too long for the journal, as several with the same fields; the last one says if it was cut."""
    message = _cut(line.message, MOST_PIECES * PIECE)
    return [
        msgspec.structs.replace(line, message=message[start : start + PIECE]) for start in range(0, len(message), PIECE)
    ]


def _native(name: str, value: str) -> bytes:
    data = value.encode()
    if b"\n" in data:
        return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return name.encode() + b"=" + data + b"\n"


def _harmless(text: str) -> str:
    """Line breaks stay, as plain newlines; nothing else of a control character, and no lone surrogate."""
    return "\n".join(clean(one) for one in text.splitlines())


def _field(text: str) -> str:
    return _cut(clean(text), MOST_FIELD)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _utc(moment: datetime | None) -> str:
    """``2026-11-25T00:00:00Z``; '' for none."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment is not None else ""
