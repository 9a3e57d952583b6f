"""What guard start found, and what came of it, for people."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from datetime import datetime, tzinfo

from guard.checks.chain import CHAIN_UNHEALTHY
from guard.checks.selection import NO_VM_MATCHES
from guard.decision.verdict import Held
from guard.finding import Level
from guard.lifecycle.by_hand import Done, Judged
from guard.lifecycle.due_run import DueRun
from guard.mechanics.zones import zone_or_utc
from guard.units import format_duration, format_time, plural, some_of
from guard.views.plan import Style, finding_lines, plain
from guard.views.settings import settings_text
from guard.views.text import wrap
from guard.views.zones import verdict_in_zone

_MOST_NAMES = 5

UNCHECKED = (
    "XO then takes the snapshot although coalesces wait in the chain, which gets one copy longer. The troubleshooting page "
    "warns of what this check keeps away: a chain of more than 30 (The Snapshot Chain is too Long: no snapshot at all), and an "
    "SR that fills up because the coalesce cannot keep pace (SR_BACKEND_FAILURE_44). The next run is checked as ever."
)
STAYS = "XO's own chain check stays on: guard knows of no VM here that it would skip."


def judged_lines(judged: Judged, style: Style = plain, zone: tzinfo | None = None) -> list[str]:
    """The verdict, every finding, what was overridden, and which VMs are left out and why. ``zone``: of times, None for the
    schedule's own.
    """
    verdict = judged.verdict
    if zone is not None:
        verdict = verdict_in_zone(verdict, zone_or_utc(judged.zone), zone, judged.at)
    word, kind = ("HELD BACK", "refuse")
    if judged.starts:
        word, kind = ("START SOME", "start_some") if judged.held else ("START", "start")
    first, *rest = wrap(f"{word}  {judged.job.name} / {judged.schedule.name}, as if it were due now", "  ", first="")
    lines = [first.replace(word, style(word, kind), 1), *rest]
    if all(verdict.sentence != one.summary for one in verdict.findings):
        lines += wrap(verdict.sentence, "  ")
    for finding in verdict.findings:
        if finding.level is not Level.OK:
            lines += finding_lines(finding, style)
    for code in judged.wish.overridden:
        lines += wrap(f"Overridden: {code}, which {_kept_back(judged, code)}.", "  ", first="")
    for codes, vms in _by_codes(judged.held).items():
        who = ", ".join(one.name for one in vms)
        lines += wrap(f"Left out: {who}: {', '.join(codes)}.", "  ", first="")
    return lines + (_settings_lines(judged) if judged.starts else [])


def _settings_lines(judged: Judged) -> list[str]:
    """What XO is told to do differently in this run, and what that does."""
    lines: list[str] = []
    if judged.settings:
        given = settings_text(judged.settings, judged.names)
        lines += wrap(f"For this run alone XO is given: {given}.", "  ", first="")
    if judged.unchecked:
        lines += wrap(UNCHECKED, "  ", first="")
    elif CHAIN_UNHEALTHY.id in judged.wish.overridden and judged.job.type == "backup":
        lines += wrap(STAYS, "  ", first="")
    return lines


def would_lines(judged: Judged) -> list[str]:
    """What a dry run comes to."""
    return wrap(f"Would start {_what(judged)}. Nothing was started or written.", "  ", first="")


def nothing_lines(judged: Judged) -> list[str]:
    """That nothing may be started, with the codes that say so."""
    codes = [code for one in judged.held for code in one.codes]
    if not codes:  # of a run without VMs of its own
        found = judged.verdict.findings
        blocked = [one.code for one in found if one.level is Level.BLOCK]
        codes = blocked or [one.code for one in found if one.level is Level.UNKNOWN] or [NO_VM_MATCHES.id]
    return wrap(f"Nothing was started: {', '.join(dict.fromkeys(codes))}.", "  ", first="")


def done_lines(judged: Judged, done: Done, zone: tzinfo) -> list[str]:
    """What came of it."""
    run, began = done.run, begun(done.run)
    if began is not None:
        told = f"Started {_what(judged)}: XO runs it since {format_time(began[1], zone)} (log {began[0]})."
    elif run is None or is_sure(run):
        failed = [one.failed.error for one in (run.intents if run is not None else ()) if one.failed is not None]
        return wrap(f"Nothing was started: {_sentence(done.error or failed[-1])}", "  ", first="")
    else:
        lost = [doubt.error for one in run.intents for doubt in one.doubts]
        why = done.error or (lost[-1] if lost else "its answer was not recorded")
        told = (
            f"Nobody can tell yet whether XO started {_what(judged)}: {_sentence(why)} Look in XO before you start it again; guard "
            "daemon looks for the run too."
        )
    return wrap(f"{told} How it ends: guard why {shlex.quote(judged.wish.schedule)}.", "  ", first="")


def begun(run: DueRun | None) -> tuple[str, datetime] | None:
    """(id, begin) of the run that guard's own start brought; None as long as none was seen."""
    mine = {one.run for one in run.intents} if run is not None else set()
    found = [(one.started.run, one.started.began) for one in (run.attempts if run is not None else ())]
    return next((one for one in found if one[0] in mine), None)


def is_sure(run: DueRun) -> bool:
    """Whether it is sure that guard's start began no run."""
    return all(one.failed is not None for one in run.intents)


def facts_line(judged: Judged) -> str:
    """How old the facts are."""
    return f"Facts are up to {format_duration((judged.at - judged.facts_at).total_seconds())} old."


def _what(judged: Judged) -> str:
    vms = judged.start_vms
    if vms is None:
        return f"all of it ({plural(len(judged.vms), 'VM')})" if judged.vms else "all of it"
    return f"{len(vms)} of {plural(len(judged.vms), 'VM')} ({some_of((judged.names.get(vm, vm) for vm in vms), _MOST_NAMES)})"


def _sentence(text: str) -> str:
    """XO's own words end as they like."""
    return text if text.endswith(".") else f"{text}."


def _kept_back(judged: Judged, code: str) -> str:
    if code not in judged.lifted:
        return "changes nothing here"
    vms = judged.lifted[code]
    return (
        f"would keep back {plural(len(vms), 'VM')} ({some_of((judged.names[vm] for vm in vms), _MOST_NAMES)})"
        if vms
        else ("would keep back the whole run")
    )


def _by_codes(held: Iterable[Held]) -> dict[tuple[str, ...], list[Held]]:
    found: dict[tuple[str, ...], list[Held]] = {}
    for one in held:
        found.setdefault(one.codes, []).append(one)
    return found
