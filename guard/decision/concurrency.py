"""[remedies] lower_concurrency: a run whose snapshots do not fit on an SR all at once is started whole, fewer VMs at a time.

It is the only setting that a verdict ever changes in a run. XO alone would start it as it is, so guard claims such a run.
Where guard could not, XO starts it without the setting, and XO's fallback does too: on the SRs that this is for (thick
ones), it then fails the VMs that found no room and hurts nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec

from guard.checks.fewer_at_once import FITS, at_once
from guard.checks.sr_figures import SR_NO_SPACE
from guard.decision.windows import opening
from guard.finding import Certainty, ClearedBy, Clears, Finding, Harm, Level
from guard.mechanics.due import due_times
from guard.mechanics.fewer_at_once import PastRun, lasts_s
from guard.mechanics.outlook import ExpectedRun
from guard.policy.schema import WindowRule
from guard.units import format_bytes, format_duration, plural

CONCURRENCY = "concurrency"


@dataclass(frozen=True)
class Fewer:
    """``slots``: VMs at once in this run, at most ``usual``, the job's own; ``key``: in which part of the settings XO looks;
    ``said``: the findings that say why.
    """

    slots: int
    usual: int
    key: str = ""
    said: tuple[Finding, ...] = ()

    @property
    def settings(self) -> Mapping[str, Mapping[str, int | bool]]:
        """What XO is given; nothing where the job has no more VMs at once anyway."""
        return {self.key: {CONCURRENCY: self.slots}} if self.slots < self.usual else {}

    @property
    def told(self) -> str:
        """For a verdict's sentence, '' where nothing is different."""
        return f"with concurrency {self.slots} instead of {self.usual} for this run" if self.settings else ""


def fewer_at_once(
    findings: Iterable[Finding],
    run: ExpectedRun,
    *,
    past: Callable[[], Collection[PastRun]],
    of_job: Iterable[ExpectedRun] = (),
    windows: Sequence[WindowRule] = (),
) -> tuple[list[Finding], Fewer | None]:
    """The findings, with those of SRs that fewer VMs at once do fit told as a warning; None where there is none.

    Not for a member of a sequence, which XO starts by itself and without settings; nor where the run may last into the next
    one ``of_job``, or beyond its ``windows``, by the ``past`` runs of the job.
    """
    told = list(findings)
    fits = {at: slots for at, one in enumerate(told) if not run.due.via and (slots := _fits(one)) is not None}
    if not fits:
        return told, None
    fewer = Fewer(min(fits.values()), at_once(run), _key(run))
    lasts = lasts_s(past(), fewer.slots)
    if fewer.settings and not _has_time(run, lasts, of_job, windows):
        return told, None
    for at in fits:
        told[at] = _warning(told[at], fewer, lasts or 0)
    return told, replace(fewer, said=tuple(told[at] for at in fits))


def _has_time(
    run: ExpectedRun, lasts: float | None, of_job: Iterable[ExpectedRun], windows: Sequence[WindowRule]
) -> bool:
    """Whether it surely is over before the job's next run, and before its window ends. Not where nothing tells."""
    due = run.due
    if lasts is None or not due.cron:
        return False
    end = due.at + timedelta(seconds=lasts)
    closes = opening(windows, due.at).closes if windows else None
    if closes is not None and closes < end:
        return False
    if any(due.at < other.due.at <= end for other in of_job):
        return False
    fired = msgspec.structs.replace(run.schedule, cron=due.cron)  # the plan may end before
    return not due_times(fired, zone=due.zone, after=due.at, until=end)


def _fits(finding: Finding) -> int | None:
    """With how many VMs at once they fit; None where that does not help, or starting would hurt somebody."""
    if finding.code != SR_NO_SPACE.id or finding.level is not Level.BLOCK or finding.harm is not Harm.NONE:
        return None
    return _figure(finding, FITS)


def _key(run: ExpectedRun) -> str:
    """The schedule's own settings win over the job's (xo-api.md 3.1.2)."""
    settings = run.job.settings
    own = settings.get(run.schedule.id) if isinstance(settings, dict) else None
    return run.schedule.id if isinstance(own, dict) and CONCURRENCY in own else ""


def _warning(finding: Finding, fewer: Fewer, seconds: float) -> Finding:
    with_fewer = f"with {plural(fewer.slots, 'VM')} at once"
    lasts = ""
    if fewer.settings:
        with_fewer += f" in place of {fewer.usual}"
        lasts = f" The run may last up to {format_duration(seconds)}."
    return msgspec.structs.replace(
        finding,
        level=Level.WARN,
        certainty=Certainty.LIKELY,
        holds=(),
        summary=f"{finding.scope.name}: {format_bytes(_figure(finding, 'free') or 0)} free, and all snapshots of this run "
        f"together need {format_bytes(_figure(finding, 'need_expected', 'need_at_most') or 0)}; {with_fewer} they fit, as "
        f"that SR gives back what deleted ones took.{lasts}",
        clears=Clears(ClearedBy.PERSON),
    )


def _figure(finding: Finding, *names: str) -> int | None:
    """The first of these facts that is known."""
    known = {one.name: one.value for one in finding.facts if isinstance(one.value, int)}
    return next((known[name] for name in names if name in known), None)
