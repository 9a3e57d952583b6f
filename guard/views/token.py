"""guard's XO token, told: whose it is, until when it is valid, and what there is to do. Never the token itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from guard.lifecycle.token import Notice, TokenFacts, TokenState, left
from guard.units import format_duration, format_time, plural
from guard.views.text import clean, wrap

SCHEMA = "guard.token/1"
SOON, VERY_SOON = timedelta(days=7), timedelta(days=2)
TELLS_SOON = timedelta(days=14)
ENDLESS = timedelta(days=100 * 365)  # XO writes the year 9999 for a token that is not to end
RENEW = "guard token renew"
RESTART = "systemctl restart guard (guard@NAME for one of several)"
_WARNING, _CRITICAL = 1, 2


def facts_lines(facts: TokenFacts, now: datetime, zone: tzinfo) -> list[str]:
    """``guard token show``."""
    lines = [f"User: {clean(facts.user)}, {'an administrator' if facts.admin else 'no administrator'}"]
    if facts.created_at is not None:
        lines.append(f"Made: {_date(facts.created_at, zone)}")
    if facts.expires_at is not None and facts.expires_at - now >= ENDLESS:
        lines.append("Valid until: it does not end")
    else:
        lines.append(f"Valid until: {_until(facts.expires_at, now, zone)}" + (f" ({facts.why})" if facts.why else ""))
    renewable = "; guard can push its end on" if facts.is_guards else f"; only {RENEW} can replace it"
    lines.append(f"Made by: {_maker(facts)}{renewable}")
    if not facts.admin:
        lines.append("guard needs an administrator's token: XO shows others only a part, and lets them do little.")
    return [folded for line in lines for folded in wrap(line, "  ", first="")]


def facts_document(facts: TokenFacts, now: datetime) -> dict[str, Any]:
    """The document ``guard.token/1``. ``expires_in_s`` in seconds, null where XO does not tell."""
    ends = facts.expires_at
    return {
        "schema": SCHEMA,
        "user": facts.user,
        "admin": facts.admin,
        "created_at": facts.created_at.isoformat() if facts.created_at is not None else None,
        "expires_at": ends.isoformat() if ends is not None else None,
        "expires_in_s": round((ends - now).total_seconds(), 3) if ends is not None else None,
        "client": facts.client or None,
        "renewed_by_guard": facts.is_guards,
        "why_unknown": facts.why or None,
    }


def would_lines(
    facts: TokenFacts, valid_for: timedelta, replaces: str | None, now: datetime, zone: tzinfo
) -> list[str]:
    """``guard token renew --dry-run``. ``replaces``: the file that a new token would be written to, None where the token
    stays the same.
    """
    until = _until(now + valid_for, now, zone)
    if replaces is None:
        return wrap(f"Would push the end of guard's token on to {until}; the token stays the same.", "  ", first="")
    return wrap(
        f"Guard's token was made by {_maker(facts)}, so guard cannot push its end on. Would have XO make another one for user "
        f"{facts.user}, valid until {until}, and put it into {replaces} once a sign-in with it went well.",
        "  ",
        first="",
    )


def renewed_lines(facts: TokenFacts, now: datetime, zone: tzinfo) -> list[str]:
    """After a renewal that left the token as it is."""
    until = _until(facts.expires_at, now, zone)
    return wrap(f"Renewed: the same token is valid until {until}. Nothing else is to be done.", "  ", first="")


def replaced_lines(facts: TokenFacts, file: str, old: str, now: datetime, zone: tzinfo) -> list[str]:
    """After one that put another token in the place of the old one."""
    lines = wrap(
        f"XO made a token for guard, valid until {_until(facts.expires_at, now, zone)}. A sign-in with it went well; it is in "
        f"{file}. From now on guard can renew it by itself.",
        "  ",
        first="",
    )
    lines += wrap(f"The old token still works, and is kept in {old}.", "  ", first="")
    lines += wrap(
        f"Now: 1. {RESTART}, as a daemon that systemd gave the token has the old one. 2. When guard status is fine: "
        f"{RENEW} --delete-old, which deletes the old token in XO and here.",
        "  ",
        first="",
    )
    return lines


def still_used_lines(state: TokenState, zone: tzinfo) -> list[str]:
    """Where the old token is not deleted, as the daemon has it."""
    return wrap(
        f"Nothing was deleted: when guard daemon last asked XO about its token ({_date(state.read_at, zone)}), it had the old "
        f"one. {RESTART}, and try again a minute later.",
        "  ",
        first="",
    )


def by_hand_lines(facts: TokenFacts, why: str) -> list[str]:
    """Where guard must leave the renewal to a person: what to do, step by step."""
    told = f"Guard's token was made by {_maker(facts)}, and guard cannot replace it: {why}. Nothing was changed."
    lines = wrap(told, "  ", first="")
    steps = (
        f"Set [xo] token_file to the file that the unit's LoadCredential=xo-token: line names. Run {RENEW} as root.",
        "Or make a token in XO (your user's page), as the same administrator; write it to that file, mode 600.",
        f"Then: {RESTART}.",
    )
    for number, step in enumerate(steps, start=1):
        lines += wrap(f"{number}. {step}", "     ", first="  ")
    return lines


def status_lines(state: TokenState, now: datetime, zone: tzinfo, *, renews: bool) -> list[str]:
    """One line for ``guard status``; none before the first reading."""
    if state.tried_read_at is None:
        return []
    remaining = left(state, now)
    if remaining is None:
        why = state.error or "XO did not tell"
        return wrap(f"When guard's XO token runs out is unknown: {why}", "  ", first="")
    told = f"Guard's XO token {_runs_out(remaining)}"
    told += f" ({_date(state.expires_at, zone)})" if remaining < ENDLESS else ""
    if state.failures:
        told += f"; {plural(state.failures, 'renewal')} failed: {state.failure}"
    elif remaining <= TELLS_SOON and not _is_renewed(state, renews=renews):
        told += f"; run {RENEW}"
    return wrap(f"{told.rstrip('.')}.", "  ", first="")


def status_document(state: TokenState, now: datetime) -> dict[str, Any] | None:
    """The key ``token`` of ``guard.status/1``; null before the first reading."""
    if state.tried_read_at is None:
        return None
    remaining = left(state, now)
    return {
        "expires_at": state.expires_at.isoformat() if state.expires_at is not None else None,
        "expires_in_s": round(remaining.total_seconds(), 3) if remaining is not None else None,
        "read_at": state.read_at.isoformat() if state.read_at is not None else None,
        "error": state.error or None,
        "renewed_at": state.renewed_at.isoformat() if state.renewed_at is not None else None,
        "renewals": state.renewals,
        "failures": state.failures,
        "failure": state.failure or None,
    }


def nagios(code: int, line: str, state: TokenState, now: datetime) -> tuple[int, str]:
    """``guard status --nagios``, made worse where the token's end is near: a warning a week before, critical two days
    before. What is worse already stays as it is.
    """
    remaining = left(state, now)
    if remaining is None or remaining > SOON:
        return code, line
    worse, word = (_CRITICAL, "CRITICAL") if remaining <= VERY_SOON else (_WARNING, "WARNING")
    if code >= worse:
        return code, line
    mark, perfdata = line.partition("|")[1:]
    return worse, f"GUARD {word} - guard's XO token {_runs_out(remaining)}; run {RENEW}{mark}{perfdata}"


def notice_title(state: TokenState, told: Notice, now: datetime) -> str:
    """A message's title."""
    if told.failing and told.days is None:
        return "guard could not renew its XO token"
    remaining = left(state, now)
    return f"guard's XO token {_runs_out(remaining if remaining is not None else timedelta())}"


def notice_text(state: TokenState, told: Notice, now: datetime, zone: tzinfo, *, renews: bool) -> str:
    """Why with numbers, what to do, and what guard will do next."""
    facts, remaining = state.facts, left(state, now)
    whose = f" of user {clean(facts.user)}" if facts is not None else ""
    ends = f"{_runs_out(remaining or timedelta())}, on {_date(state.expires_at, zone)}"
    without = "Without it guard can neither read XO nor act; XO starts its schedules by itself."
    lines = [f"The token{whose} that guard signs in to XO with {ends}. {without}"]
    if told.failing:
        tries = plural(state.failures, "time") if state.failures else "not once"
        lines.append(f"guard tried {tries} to renew it: {clean(state.failure) or 'XO could not be asked in time'}")
        then = f"guard tries again, every hour to six hours. Run {RENEW} yourself: it names what is refused."
    elif renews and facts is not None:
        then = f"It was made by {_maker(facts)}, so guard cannot renew it by itself. Run {RENEW} once, as root; then it can."
    else:
        then = f"Run {RENEW} on guard's machine; with [xo] renew_token = true the daemon does it by itself."
    lines.append(then)
    if remaining is not None and remaining > timedelta() and not told.failing:
        lines.append("guard changes nothing by itself, and tells again as the end comes nearer.")
    return "\n".join(lines)


def renewed_text(state: TokenState, zone: tzinfo) -> tuple[str, str]:
    """(title, text) of the message that guard renewed its token by itself."""
    text = (
        f"guard pushed the end of its XO token on: it is valid until {_date(state.expires_at, zone)}. The token stayed the "
        "same, so nothing is to be done; [xo] renew_token = false keeps guard from it."
    )
    return "guard renewed its XO token", text


def folder_lines(troubles: Sequence[str]) -> list[str]:
    """What is wrong with the state folder's mode or owner, for ``guard status``."""
    return [line for one in troubles for line in wrap(f"State folder: {one}", "  ", first="")]


def _is_renewed(state: TokenState, *, renews: bool) -> bool:
    return renews and state.facts is not None and state.facts.is_guards


def _maker(facts: TokenFacts) -> str:
    if facts.is_guards:
        return f"guard ({clean(facts.client)})"
    if facts.client:
        return f"another client ({clean(facts.client)})"
    return "a person in XO, or a program that gave no name"


def _until(moment: datetime | None, now: datetime, zone: tzinfo) -> str:
    if moment is None:
        return "unknown"
    if moment <= now:
        return f"{_date(moment, zone)}, which is over"
    return f"{_date(moment, zone)}, in {format_duration((moment - now).total_seconds())}"


def _runs_out(remaining: timedelta) -> str:
    if remaining <= timedelta():
        return "has run out"
    if remaining < timedelta(days=1):
        return f"runs out in {format_duration(remaining.total_seconds())}"
    if remaining >= ENDLESS:
        return "does not end"
    return f"runs out in {plural(remaining.days, 'day')}"


def _date(moment: datetime | None, zone: tzinfo) -> str:
    """With its year, as it may be the next one."""
    if moment is None:
        return "an unknown time"
    try:
        return f"{moment.astimezone(zone):%Y}, {format_time(moment, zone)}"
    except (OverflowError, ValueError):  # the last hours that a calendar has, in a zone ahead
        return "the end of time"
