"""What guard decided of a due time that will not start whole, as a message: what it waits for, until when, and then. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guard.decision.verdict import Action, Held
from guard.finding import Finding, Harm, Level
from guard.lifecycle.accepted import loud_findings, loud_held
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import Decided
from guard.lifecycle.resolution import resolve, standby_at
from guard.units import format_duration, format_time, plural
from guard.views.message_parts import Context, Told, composed, due_of, name_of, names_of
from guard.views.story import WOULD

_WAIT = (Action.DEFER, Action.START_SOME)  # the rest of what was started in part is told as before


def decided(run: DueRun, event: Decided, context: Context) -> Told:
    verdict = event.verdict
    against = _against(run, event)
    would = "guard would" if event.aside else "if it were enforced, guard would"
    doing = "guard will" if event.acts else would
    details = [f"{one.code}: {one.summary}" for one in against if one.summary != verdict.sentence]
    details += [verdict.clears] * bool(verdict.clears)
    codes = tuple(dict.fromkeys(one.code for one in against))
    kind = "waits" if verdict.action in _WAIT else verdict.action.value
    return Told(
        verdict.action.value,
        f"{name_of(run)}: {verdict.action.value}",
        composed(
            f"Due {due_of(run, context)}, {doing} {WOULD[verdict.action]}: {verdict.sentence}",
            details,
            to_do=(one.remedy for one in against),
            then=_after_decision(run, event, context),
        ),
        codes=codes,
        mark=(kind, *sorted(codes), *sorted(one.vm for one in verdict.held)),
        silent=not against and any(one.accepted is not None for one in verdict.findings),
    )


def _against(run: DueRun, event: Decided) -> list[Finding]:
    """What stands in the way and is not accepted: blocks, and where these hold nothing, what is unknown and holds."""
    loud = loud_findings(run, event.at)
    blocks = [one for one in loud if one.level is Level.BLOCK]
    held = loud_held(run, event.verdict.held, event.at)
    codes = {code for one in held for code in one.codes}
    is_all = not event.verdict.held
    return blocks or [one for one in loud if is_all or one.code in codes]


def _after_decision(run: DueRun, event: Decided, context: Context) -> str:
    verdict = event.verdict
    if event.aside:
        return f"guard leaves it to XO: {event.aside}."
    if not event.acts:
        return "XO starts it as it is, and guard watches: the policy does not say enforce for it."
    if verdict.action is Action.SKIP:
        return "guard starts nothing; the other run covers this due time."
    parts = []
    if verdict.action is Action.START_SOME:
        parts.append(f"guard starts {plural(len(verdict.start_vms), 'VM')} at the due time.")
    waits = [one for one in verdict.held if one.deadline is not None]
    given_up = [one for one in verdict.held if one.deadline is None]
    if waits or (verdict.action is Action.DEFER and not verdict.held):
        parts.append(_waiting(run, event, waits, context))
    if given_up or verdict.action is Action.REFUSE:
        parts.append(f"guard does not start {names_of(given_up)} for this due time, and tells it then.")
    return " ".join(parts)


def _waiting(run: DueRun, event: Decided, waits: Sequence[Held], context: Context) -> str:
    """Until when what waits waits, what becomes of it then, and what XO does if guard is gone."""
    verdict = event.verdict
    ends = [one.deadline for one in waits if one.deadline is not None] or (
        [verdict.deadline] if verdict.deadline is not None else []
    )
    harms = {one.harm for one in waits} or {verdict.harm}
    every = format_duration(context.recheck_every.total_seconds())
    if not ends:
        return f"guard judges it anew every {every}."
    last = format_time(max(ends), context.zone)
    harmless = harms == {Harm.NONE}
    if harmless:
        then = "starts what is still held, so that XO's own log says why it fails"
    elif Harm.NONE in harms:
        then = "starts what harms nothing, refuses the others, and pages"
    else:
        then = f"refuses what is still held, as starting would harm {_harms(harms)}, and pages"
    told = f"guard judges {'the others' if verdict.start_vms else 'it'} anew every {every}; at {last} at the latest it {then}."
    if verdict.action is not Action.DEFER:
        return told
    then_on = max(event.at, run.key.due)
    fallback = standby_at(run, then_on, resolve(run, then_on))
    if fallback is None:
        return f"{told} XO holds no fallback for it: if guard is gone, it is not started."
    return f"{told} If guard is gone, XO's fallback starts the whole schedule at {format_time(fallback, context.zone)}."


def _harms(harms: Iterable[Harm]) -> str:
    words = {Harm.PRODUCTION: "production", Harm.REPOSITORY: "the repository"}
    return " and ".join(words[one] for one in Harm if one in set(harms) and one in words)
