"""The plan for people: 80 columns, honest without colour. What would not start whole comes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from itertools import pairwise

import msgspec

from guard.assess import Plan, PlannedRun
from guard.decision.brakes import Brake
from guard.decision.verdict import Action
from guard.finding import Finding, Level
from guard.lifecycle.remedy import Wanted
from guard.units import format_bytes, format_duration, format_time, plural
from guard.views.brakes import brake_text
from guard.views.findings import accepted_lines
from guard.views.remedies import standing_lines, wanted_lines
from guard.views.text import wrap

Style = Callable[[str, str], str]
"""(text, what it is: start, start_some, defer, refuse, skip, warn, unknown, block) -> text, coloured or not."""

WHERE_IT_ACTS = (
    'This is what guard does where the policy says gate = "enforce"; elsewhere it watches, and XO starts every run.'
)
_PAIR = 2  # so many runs are told by their two due times
_WORDS = {
    Action.START: "START",
    Action.START_SOME: "START SOME",
    Action.DEFER: "DEFER",
    Action.REFUSE: "REFUSE",
    Action.SKIP: "SKIP",
}


def plain(text: str, kind: str) -> str:
    """No colour."""
    del kind
    return text


def plan_text(
    plan: Plan,
    *,
    took_s: float,
    origin: str = "",
    style: Style = plain,
    remedies: Sequence[Wanted] = (),
    brakes: Sequence[Brake] = (),
    messages_in: tzinfo | None = None,
) -> str:
    """The whole plan as text, with a newline at its end. ``origin``: where it is from, if not from XO just now.

    ``remedies``: what would help its runs; ``brakes``: a person's holds and bypasses in force now. ``messages_in``: the
    zone that the policy gives for messages, None where it gives none.
    """
    lines = [*(wrap(origin, "  ", first="") if origin else []), *_head(plan), ""]
    troubled, quiet = _troubled(plan.runs, style), _quiet(plan.runs)
    for block, group in troubled:
        lines += [*block, *_more_like_it(group), ""]
    if quiet:
        lines.append("Nothing to say about:" if troubled else "Every run would start whole:")
        for group in quiet:
            lines += _line(group)
        lines.append("")
    for note in plan.notes:
        word = "Unknown" if note.unknown else "Note"
        lines += wrap(f"{word}: {note.text}", "      ", first="")
    lines += _zone_lines(plan, messages_in)
    zone = plan.runs[0].zone if plan.runs else UTC
    lines += [*standing_lines(plan.estate.workaround, zone), *wanted_lines(remedies, zone)]
    for brake in brakes:
        lines += wrap(f"By hand: {brake_text(brake, zone)}.", "      ", first="")
    if any(one.verdict.action is not Action.START or one.verdict.settings for one in plan.runs):
        lines += wrap(WHERE_IT_ACTS, "  ", first="")
    lines.append(_age(plan, took_s))
    return "\n".join(lines) + "\n"


def _zone_lines(plan: Plan, messages_in: tzinfo | None) -> list[str]:
    """That the times here are not those of messages, where that is so."""
    if messages_in is None:
        return []
    due = [(one.run.due.at, one.zone) for one in plan.runs]
    if all(format_time(at, zone) == format_time(at, messages_in) for at, zone in due):
        return []
    zones = ", ".join(dict.fromkeys(str(zone) for _, zone in due))
    told = f"Times are in the zone of each schedule ({zones}); messages and guard status have them in {messages_in}."
    return wrap(told, "  ", first="")


def _head(plan: Plan) -> list[str]:
    counts = Counter(one.verdict.action for one in plan.runs)
    told = ", ".join(f"{counts[action]} {_WORDS[action].lower()}" for action in Action if counts[action])
    hours = format_duration((plan.until - plan.start).total_seconds())
    lines = wrap(f"XO {plan.estate.xo.version} at {plan.estate.xo.url}", "  ", first="")
    lines += wrap(
        f"{plural(len(plan.runs), 'run')} due within {hours}" + (f": {told}." if told else "."), "  ", first=""
    )
    if not plan.estate.xo.admin:
        text = "The token's user is no administrator: XO filters its lists, so what is not shown is unknown."
        lines += wrap(text, "  ", first="")
    for part in plan.estate.parts.values():
        if not part.ok:
            lines += wrap(f"Not read: {part.name.value}. {part.error}", "  ", first="")
    return lines


def _deserves_a_block(planned: PlannedRun) -> bool:
    return planned.verdict.action is not Action.START or any(
        one.level is not Level.OK for one in planned.verdict.findings
    )


def _troubled(runs: Iterable[PlannedRun], style: Style) -> list[tuple[list[str], list[PlannedRun]]]:
    """The block of each run that deserves one, once for all runs of a schedule of which it says the same.

    A schedule that fires every three minutes would fill pages with the same lines.
    """
    found: dict[tuple[object, ...], tuple[list[str], list[PlannedRun]]] = {}
    for one in filter(_deserves_a_block, runs):
        verdict = msgspec.structs.replace(one.verdict, clears=_clears_after(one))
        key = (one.run.schedule.id, one.run.due.via, one.verdict.action, *_body(replace(one, verdict=verdict), plain))
        if key not in found:
            found[key] = [*_title(one, style), *_body(one, style)], []
        found[key][1].append(one)
    return list(found.values())


def _clears_after(planned: PlannedRun) -> str:
    """What would clear it, with deadlines counted from the due time: they alone make two runs no different."""
    told = planned.verdict.clears
    for end in (planned.verdict.deadline, *(one.deadline for one in planned.verdict.held)):
        if end is not None:
            told = told.replace(format_time(end, planned.zone), str(end - planned.run.due.at))
    return told


def _quiet(runs: Iterable[PlannedRun]) -> list[list[PlannedRun]]:
    """The other runs, by schedule."""
    found: dict[tuple[str, str], list[PlannedRun]] = {}
    for one in runs:
        if not _deserves_a_block(one):
            found.setdefault((one.run.schedule.id, one.run.due.via), []).append(one)
    return list(found.values())


def _when(planned: PlannedRun) -> str:
    return format_time(planned.run.due.at, planned.zone)


def _line(group: Sequence[PlannedRun]) -> list[str]:
    first = group[0]
    told = f"{_when(first)}  {first.run.job.name} / {first.run.schedule.name}"
    if len(group) == _PAIR:
        told += f", and {_when(group[-1])}"
    elif len(group) > _PAIR:
        gaps = {later.run.due.at - one.run.due.at for one, later in pairwise(group)}
        every = f", every {format_duration(gaps.pop().total_seconds())}" if len(gaps) == 1 else ""
        told += f": {len(group)} runs{every}, until {_when(group[-1])}"
    return wrap(told, "      ", first="  ")


def _more_like_it(group: Sequence[PlannedRun]) -> list[str]:
    """The due times of the others, where one block stands for several."""
    more = len(group) - 1
    if not more:
        return []
    until = "at" if more == 1 else "until"
    return wrap(f"and {more} more like it, {until} {_when(group[-1])}", "  ")


def _title(planned: PlannedRun, style: Style) -> list[str]:
    word = _WORDS[planned.verdict.action]
    first, *rest = wrap(f"{_when(planned)}  {word:<10}  {planned.run.job.name}", " " * 12, first="")
    return [first.replace(word, style(word, planned.verdict.action.value), 1), *rest]


def _body(planned: PlannedRun, style: Style) -> list[str]:
    run, verdict = planned.run, planned.verdict
    lines = wrap(f"schedule {run.schedule.name}" + (", through a sequence" if run.due.via else ""), "  ")
    if all(verdict.sentence != one.summary for one in verdict.findings):
        lines += wrap(verdict.sentence, "  ")
    if verdict.clears:
        lines += wrap(verdict.clears, "  ")
    expected = _expected(planned)
    if expected:
        lines += wrap(f"Expected: {expected}.", "  ")
    for finding in verdict.findings:
        if finding.level is not Level.OK:
            lines += finding_lines(finding, style)
    return lines


def _expected(planned: PlannedRun) -> str:
    seconds, told = planned.run.seconds, []
    if seconds.p50 is not None and seconds.p90 is not None:
        span = f"{format_duration(seconds.p50)}, at P90 {format_duration(seconds.p90)}"
        told.append(f"{span} ({plural(seconds.samples, 'run')})")
    if planned.bytes_p90:
        told.append(f"up to {format_bytes(round(planned.bytes_p90))}")
    return "; ".join(told)


def finding_lines(finding: Finding, style: Style) -> list[str]:
    """One finding and what to do about it."""
    head = f"- {finding.level.value} {finding.code}: "
    first, *rest = wrap(head + finding.summary, "      ", first="    ")
    lines = [first.replace(finding.level.value, style(finding.level.value, finding.level.value), 1), *rest]
    lines += accepted_lines(finding, "      ")
    return lines + wrap(f"> {finding.remedy}", "        ", first="      ")


def _age(plan: Plan, took_s: float) -> str:
    oldest: datetime = min((part.read_at for part in plan.estate.parts.values()), default=plan.now)
    age = format_duration((plan.now - oldest).total_seconds())
    return f"Facts are up to {age} old; this took {format_duration(took_s)}."
