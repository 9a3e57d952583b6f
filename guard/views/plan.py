"""The plan for people: 80 columns, honest without colour. What would not start whole comes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from guard.assess import Plan, PlannedRun
from guard.decision.verdict import Action
from guard.finding import Finding, Level
from guard.lifecycle.remedy import Wanted
from guard.units import format_bytes, format_duration, format_time, plural
from guard.views.findings import accepted_lines
from guard.views.remedies import standing_lines, wanted_lines
from guard.views.text import wrap

Style = Callable[[str, str], str]
"""(text, what it is: start, start_some, defer, refuse, skip, warn, unknown, block) -> text, coloured or not."""

WHERE_IT_ACTS = (
    'This is what guard does where the policy says gate = "enforce"; elsewhere it watches, and XO starts every run.'
)
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
    plan: Plan, *, took_s: float, origin: str = "", style: Style = plain, remedies: Sequence[Wanted] = ()
) -> str:
    """The whole plan as text, with a newline at its end. ``origin``: where it is from, if not from XO just now.

    ``remedies``: what would help its runs.
    """
    lines = [*(wrap(origin, "  ", first="") if origin else []), *_head(plan), ""]
    troubled = [one for one in plan.runs if _deserves_a_block(one)]
    quiet = [one for one in plan.runs if not _deserves_a_block(one)]
    for planned in troubled:
        lines += [*_block(planned, style), ""]
    if quiet:
        lines.append("Nothing to say about:" if troubled else "Every run would start whole:")
        for planned in quiet:
            lines += _line(planned)
        lines.append("")
    for note in plan.notes:
        word = "Unknown" if note.unknown else "Note"
        lines += wrap(f"{word}: {note.text}", "      ", first="")
    zone = plan.runs[0].zone if plan.runs else UTC
    lines += [*standing_lines(plan.estate.workaround, zone), *wanted_lines(remedies, zone)]
    if any(one.verdict.action is not Action.START or one.verdict.settings for one in plan.runs):
        lines += wrap(WHERE_IT_ACTS, "  ", first="")
    lines.append(_age(plan, took_s))
    return "\n".join(lines) + "\n"


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


def _line(planned: PlannedRun) -> list[str]:
    when = format_time(planned.run.due.at, planned.zone)
    return wrap(f"{when}  {planned.run.job.name} / {planned.run.schedule.name}", "      ", first="  ")


def _block(planned: PlannedRun, style: Style) -> list[str]:
    run, verdict = planned.run, planned.verdict
    word = _WORDS[verdict.action]
    title = f"{format_time(run.due.at, planned.zone)}  {word:<10}  {run.job.name}"
    first, *rest = wrap(title, " " * 12, first="")
    lines = [first.replace(word, style(word, verdict.action.value), 1), *rest]
    lines += wrap(f"schedule {run.schedule.name}" + (", through a sequence" if run.due.via else ""), "  ")
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
