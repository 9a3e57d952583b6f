"""How good predictions were: what was said to stand in a run's way against what XO's log says of it afterwards.

Per code and VM. A *hit*: predicted, and it happened. A *miss*: it happened, unpredicted. A *false alarm*: predicted to
stop a VM that was backed up. *Wrong cause*: the VM did fail, but of something else. Only what blocks is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from guard.finding import Finding, Level, ScopeKind
from guard.outcomes.outcome import Outcome

WHOLE_RUN = ""  # stands for the VM where a finding or a cause is about all of them
_SAID_FOR = {"POOL_DISCONNECTED": "VM_UNKNOWN", "RUN_OVERLAP": "JOB_RUNNING"}
"""What a code that is predicted shows itself as in a log (failure-modes.md 3.9, 3.14, 3.16)."""


class Tally(msgspec.Struct, kw_only=True):
    """Counts for one code."""

    hits: int = 0
    misses: int = 0
    false_alarms: int = 0
    wrong_causes: int = 0


class RunScore(msgspec.Struct, frozen=True, kw_only=True):
    """One run's prediction against its outcome: codes by VM id (``WHOLE_RUN`` for the run)."""

    hits: tuple[tuple[str, str], ...] = ()
    misses: tuple[tuple[str, str], ...] = ()
    false_alarms: tuple[tuple[str, str], ...] = ()
    wrong_causes: tuple[tuple[str, str], ...] = ()

    @property
    def false_block(self) -> bool:
        """Whether guard would have kept back something that XO backed up."""
        return bool(self.false_alarms)


def score_run(findings: Iterable[Finding], outcomes: Iterable[Outcome]) -> RunScore:
    """``outcomes``: the runs of this due time; a VM is backed up when one of them did it."""
    runs = tuple(outcomes)
    succeeded = {vm.vm.id for run in runs for vm in run.vms if vm.status == "success"}
    happened = {
        (vm, cause.code)
        for run in runs
        for cause in run.causes
        if (vm := cause.scope.id if cause.scope.kind is ScopeKind.VM else WHOLE_RUN) not in succeeded
    }
    whole = bool(runs) and all(run.status == "success" for run in runs)
    predicted = {
        (vm, finding.code)
        for finding in findings
        if finding.level is Level.BLOCK
        for vm in finding.holds or (WHOLE_RUN,)
    }
    hits, false_alarms, wrong = set(), set(), set()
    for vm, code in predicted:
        shown = {(vm, code), (vm, _SAID_FOR.get(code, code))}
        if shown & happened or (vm == WHOLE_RUN and {one for _, one in shown} & {one for _, one in happened}):
            hits.add((vm, code))
        elif vm in succeeded or (vm == WHOLE_RUN and whole):
            false_alarms.add((vm, code))
        elif happened and (vm == WHOLE_RUN or any(one == vm for one, _ in happened)):
            wrong.add((vm, code))
    explained = {(vm, _SAID_FOR.get(code, code)) for vm, code in hits} | hits
    whole_codes = {code for vm, code in explained if vm == WHOLE_RUN}
    misses = {(vm, code) for vm, code in happened if (vm, code) not in explained and code not in whole_codes}
    return RunScore(
        hits=tuple(sorted(hits)),
        misses=tuple(sorted(misses)),
        false_alarms=tuple(sorted(false_alarms)),
        wrong_causes=tuple(sorted(wrong)),
    )


def tally(scores: Iterable[RunScore]) -> Mapping[str, Tally]:
    """Counts by code, of all runs together."""
    found: dict[str, Tally] = {}
    for score in scores:
        for _, code in score.hits:
            found.setdefault(code, Tally()).hits += 1
        for _, code in score.misses:
            found.setdefault(code, Tally()).misses += 1
        for _, code in score.false_alarms:
            found.setdefault(code, Tally()).false_alarms += 1
        for _, code in score.wrong_causes:
            found.setdefault(code, Tally()).wrong_causes += 1
    return dict(sorted(found.items()))
