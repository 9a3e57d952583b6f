"""How good predictions were: what was said to stand in a run's way against what XO's log says of it afterwards.

Per code and VM. A *hit*: predicted, and it happened. A *miss*: it happened, unpredicted. A *false alarm*: predicted to
stop a VM that was backed up. *Wrong cause*: the VM did fail, but of something else. Only what blocks is scored, and not
a person's or the policy's word, which foretells nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from guard.finding import Finding, Level, ScopeKind
from guard.outcomes.outcome import Outcome

WHOLE_RUN = ""  # stands for the VM where a finding or a cause is about all of them
_SHOWN_AS = {
    "POOL_DISCONNECTED": frozenset({"POOL_DISCONNECTED", "VM_UNKNOWN", "NO_VM_MATCHES"}),
    "RUN_OVERLAP": frozenset({"RUN_OVERLAP", "JOB_RUNNING"}),
    "JOB_STUCK": frozenset({"JOB_STUCK", "JOB_RUNNING"}),
}
"""What a predicted code may show itself as in a log (failure-modes.md 3.9, 3.14, 3.16); any other only as itself."""

_WORDS = frozenset({"ON_HOLD", "OUTSIDE_WINDOW", "NO_SLOT"})
"""A person's or the policy's word. A VM that one of them holds is not checked, so nothing is foretold of it."""

_SHARED = frozenset({ScopeKind.SR, ScopeKind.REPOSITORY})
"""Room in these is taken by whoever comes first: that some VM fails can be told, which one follows from XO's order."""


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
    findings, runs = tuple(findings), tuple(outcomes)
    unchecked = {vm for one in findings if one.code in _WORDS for vm in one.holds}
    succeeded = {vm.vm.id for run in runs for vm in run.vms if vm.status == "success"}
    whole = bool(runs) and all(run.status == "success" for run in runs)
    happened = {
        (vm, cause.code)
        for run in runs
        for cause in run.causes
        if (vm := cause.scope.id if cause.scope.kind is ScopeKind.VM else WHOLE_RUN) not in succeeded | unchecked
    }
    own = {one: _fitting(one, happened) for one in _predicted(findings)}
    open_causes = happened.difference(*own.values())
    # a run that died of one foretold cause never came to the others: nothing is proved of them
    died_as_foretold = any((WHOLE_RUN, code) in fitting for (vm, code, _), fitting in own.items() if vm == WHOLE_RUN)
    hits, false_alarms, wrong = set(), set(), set()
    for one, fitting in sorted(own.items()):
        vm, code, shared = one
        elsewhere = (
            sorted(cause for cause in open_causes if cause[1] in _shown_as(code)) if shared and not fitting else []
        )
        if fitting or elsewhere:
            hits.add((vm, code))
            open_causes.difference_update(elsewhere[:1])
        elif vm in succeeded or (vm == WHOLE_RUN and whole):
            false_alarms.add((vm, code))
        elif any(vm in (WHOLE_RUN, who) for who, _ in happened) and not (vm == WHOLE_RUN and died_as_foretold):
            wrong.add((vm, code))
    return RunScore(
        hits=tuple(sorted(hits)),
        misses=tuple(sorted(open_causes)),
        false_alarms=tuple(sorted(false_alarms)),
        wrong_causes=tuple(sorted(wrong)),
    )


def _shown_as(code: str) -> frozenset[str]:
    return _SHOWN_AS.get(code, frozenset({code}))


def _fitting(predicted: tuple[str, str, bool], happened: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The causes that bear a prediction out, for its VM or for the whole run."""
    vm, code, _ = predicted
    return {
        (who, what) for who, what in happened if what in _shown_as(code) and (vm == WHOLE_RUN or who in (vm, WHOLE_RUN))
    }


def _predicted(findings: Iterable[Finding]) -> set[tuple[str, str, bool]]:
    """(VM, code, whether the thing it is about is shared) of all that was said to stand in the way."""
    return {
        (vm, finding.code, finding.scope.kind in _SHARED)
        for finding in findings
        if finding.level is Level.BLOCK and finding.code not in _WORDS
        for vm in finding.holds or (WHOLE_RUN,)
    }


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
