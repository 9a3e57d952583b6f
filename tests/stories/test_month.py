"""A month of a company in observe mode: every due time ends once, the score is right, and nothing grows."""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from types import BuiltinFunctionType, FunctionType, ModuleType

import pytest
from guard.errors import XoUnreachableError
from guard.finding import Level, ScopeKind
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import BY_HAND, AttemptEnded, Decided, End, RunKey
from guard.lifecycle.report import make_report
from guard.outcomes.score import Tally
from guard.simulator.shapes import XoObject
from tests.stories.driven import SOON, Archive, Guarded, handles, resident
from tests.stories.invariants import Stories, dues
from tests.stories.month import BY_HAND as RUN_BY_PERSONS
from tests.stories.month import CUT, FIRST, LAST, Company, at
from tests.virtual_time import run as finished

KEPT = timedelta(days=8)  # the retention of a guard that may keep little
MIB = 1024**2
RESTARTS = (at(16, 3, 10), at(20, 2, 0))
XO_DOWN = (at(15, 22, 30), at(16, 2, 45))
UNARMED = (at(20, 12, 30), at(23, 6, 20))
RPU = (at(30, 12, 20), at(30, 15, 20))


class Month:
    """The month, lived through. ``sizes``: (resident bytes, handles, bytes of the ledger, of the watch), day by day."""

    def __init__(self, folder) -> None:
        began = time.monotonic()
        self.company = Company()
        self.guarded = Guarded(self.company.live, folder / "ledger.sqlite")
        self.company.fate()
        self.guarded.must_look = sorted(when + SOON for when in (*self.company.planted, RPU[1], *CUT, LAST))
        self.sizes: list[tuple[int, int, int, int]] = []
        archive = Archive(folder / "archive")
        finished(self._live_through(archive))
        self.stories: Stories = archive.stories() | self.guarded.stories()
        self.gaps = archive.gaps
        self.told = {key: fold(key, events) for key, events in self.stories.items()}
        self.seconds = time.monotonic() - began

    async def _live_through(self, archive: Archive) -> None:
        guarded = self.guarded
        day, restarts = FIRST, list(RESTARTS)
        while guarded.live.now() < LAST:
            day += timedelta(days=1)
            await guarded.go(day, each=self._cut)
            if restarts and guarded.live.now() >= restarts[0]:
                restarts.pop(0)
                guarded.start()
            await archive.prune(guarded, guarded.live.now() - KEPT)
            gc.collect()
            ledger = guarded.path.stat().st_size
            self.sizes.append((resident(), handles(), ledger, deep_size(guarded.watch)))

    def _cut(self) -> None:
        is_cut = CUT[0] <= self.guarded.live.now() < CUT[1]
        self.guarded.xo.outage = XoUnreachableError("the way to XO is cut") if is_cut else None

    def name(self, key: RunKey) -> str:
        return str(self.company.world.schedules[key.schedule]["name"])

    def named(self, keys: Iterable[RunKey]) -> list[tuple[str, str]]:
        return sorted((self.name(key), f"{key.due:%m-%d %H:%M}") for key in keys)


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    lived = Month(tmp_path_factory.mktemp("month"))
    yield lived
    lived.guarded.close()


# --- every due time


def test_every_due_time_of_the_month_has_one_end_and_every_run_one_story(month):
    found = month.guarded.violations(month.stories)
    assert (found, month.gaps) == ([], [])


def test_nothing_was_written_to_xo_but_by_xo_itself(month):
    assert month.company.world.writes == []
    assert {write.by for write in month.company.world.own_writes} == {"rpu"}


def test_the_month_had_all_that_was_planted(month):
    statuses = Counter(log["status"] for log in month.company.world.logs.values())
    assert statuses.keys() == {"success", "failure", "skipped", "interrupted"}
    assert len(month.company.world.schedules) == 40
    by_hand = sorted(month.name(key) for key in month.told if key.via == BY_HAND)
    assert by_hand == sorted(name for name, _ in RUN_BY_PERSONS)
    twice = [run for run in month.told.values() if len(run.attempts) > 1]
    assert [(month.name(run.key), len(run.attempts)) for run in twice] == [("half past two", 2)]  # the clocks change


# --- alarms


def test_alarms_are_raised_for_what_was_planted_and_for_nothing_else(month):
    silent = [key for key, code in month.guarded.ear.alarms if code == "XO_DID_NOT_FIRE"]
    ran = {key for key, run in month.told.items() if run.attempts}
    known = dues(month.company.world, month.guarded.diary, FIRST, LAST)
    assert sorted(silent) == sorted(key for key, due in known.items() if due.on and key not in ran)
    unarmed = [key for key in silent if not XO_DOWN[0] <= key.due <= XO_DOWN[1]]
    assert {month.name(key) for key in unarmed} == {"unarmed"}
    assert all(UNARMED[0] <= key.due <= UNARMED[1] for key in unarmed)
    assert (len(unarmed), len(silent) - len(unarmed)) == (3, 20)

    others = [(month.name(key), code) for key, code in month.guarded.ear.alarms if code != "XO_DID_NOT_FIRE"]
    assert others == [("hung", "JOB_STUCK")]


def test_schedules_that_were_switched_off_are_told_once_each(month):
    by_person, by_rpu = month.guarded.ear.switched_off_at[:1], month.guarded.ear.switched_off_at[1:]
    assert [(name, f"{when:%m-%d %H:%M}") for name, when in by_person] == [("switched", "03-19 10:00")]
    world = month.company.world
    written = {write.params["id"] for write in world.own_writes if write.params.get("enabled") is False}
    assert sorted(name for name, _ in by_rpu) == sorted(world.schedules[one]["name"] for one in written)
    assert len(by_rpu) > 20
    assert {f"{when:%m-%d %H:%M}" for _, when in by_rpu} == {"03-30 12:20"}


def test_only_the_outages_are_told_as_such(month):
    assert len(month.guarded.ear.unread_since) <= 5
    around = [(XO_DOWN[0], XO_DOWN[1]), CUT, (at(13, 0, 34), at(13, 0, 36)), (at(23, 6, 20), at(23, 6, 22))]
    late = timedelta(minutes=2)
    for since in month.guarded.ear.unread_since:
        assert any(first <= since <= last + late for first, last in around), since


# --- the score

SAID = {
    "unhealthy VDI chain": "CHAIN_UNHEALTHY",
    "no VMs match this pattern": "NO_VM_MATCHES",
    "no XAPI associated to": "VM_UNKNOWN",
    "no such object": "POOL_DISCONNECTED",
    "already running": "JOB_RUNNING",
    "VDI_IO_ERROR": "DISK_UNREADABLE",
    "SR_HAS_NO_PBDS": "SR_DETACHED",
    "ENOSPC": "REPOSITORY_NO_SPACE",
    "other side closed": "EXPORT_INCOMPLETE",
}
"""What the logs of this month say, and the code of it."""
BORNE_OUT_BY = {"POOL_DISCONNECTED": {"POOL_DISCONNECTED", "VM_UNKNOWN", "NO_VM_MATCHES"}}
UNFORESEEABLE = {"RUN_INTERRUPTED", "DISK_UNREADABLE", "EXPORT_INCOMPLETE"}


def code_of(result: XoObject) -> str:
    return next(code for words, code in SAID.items() if words in str(result["message"]))


def went_wrong(log: XoObject) -> set[tuple[str, str]]:
    """(VM or '', code) straight from a log of XO's."""
    if log["status"] == "interrupted":
        return {("", "RUN_INTERRUPTED")}
    found = {("", code_of(log["result"]))} if "result" in log else set()
    for task in log.get("tasks", []):
        if task["status"] != "success":
            found.add((task["data"]["id"] if task["data"]["type"] == "VM" else "", code_of(task["result"])))
    return found


def scored(month: Month) -> dict[str, list[int]]:
    """Code -> [hits, misses, false alarms, wrong causes], counted from XO's logs and guard's predictions alone."""
    score: dict[str, list[int]] = {}

    def count(code: str, column: int, times: int = 1) -> None:
        score.setdefault(code, [0, 0, 0, 0])[column] += times

    for events in month.stories.values():
        decided = next((event for event in events if isinstance(event, Decided)), None)
        logs = [month.company.world.logs[event.run] for event in events if isinstance(event, AttemptEnded)]
        if decided is None or not logs:
            continue
        tasks = [task for log in logs for task in log.get("tasks", []) if task["data"]["type"] == "VM"]
        good = {task["data"]["id"] for task in tasks if task["status"] == "success"}
        wrong = {one for log in logs for one in went_wrong(log) if one[0] not in good}
        borne_out: set[tuple[str, str]] = set()
        for finding in decided.verdict.findings:
            if finding.level is not Level.BLOCK:
                continue
            fitting = {one for one in wrong if one[1] in BORNE_OUT_BY.get(finding.code, {finding.code})}
            if finding.scope.kind in (ScopeKind.SR, ScopeKind.REPOSITORY):  # who comes first, takes the room
                count(finding.code, 0, min(len(finding.holds), len(fitting)))
                count(finding.code, 2, max(0, len(finding.holds) - len(fitting)))
                borne_out |= fitting if len(finding.holds) >= len(fitting) else set()
                continue
            for vm in finding.holds or [""]:
                own = {one for one in fitting if vm == "" or one[0] in ("", vm)}
                borne_out |= own
                count(finding.code, 0 if own else 3 if any(one[0] in ("", vm) for one in wrong) else 2)
        for _, code in wrong - borne_out:
            count(code, 1)
    return {code: row for code, row in sorted(score.items()) if any(row)}


def rows(tallies: dict[str, Tally]) -> dict[str, list[int]]:
    return {code: [one.hits, one.misses, one.false_alarms, one.wrong_causes] for code, one in tallies.items()}


def report_of(month: Month):
    return make_report(month.told.values(), FIRST, LAST)


def test_the_score_is_what_the_simulators_own_logs_say(month):
    assert rows(report_of(month).tallies) == scored(month)


def test_what_could_be_foreseen_was_and_nothing_was_held_for_nothing(month):
    score = scored(month)
    assert {code for code, (_, misses, _, _) in score.items() if misses} == UNFORESEEABLE
    assert {code: row[2:] for code, row in score.items() if row[2:] != [0, 0]} == {}
    foreseen = {code for code, (hits, _, _, _) in score.items() if hits}
    assert foreseen == {
        "CHAIN_UNHEALTHY",
        "JOB_RUNNING",
        "POOL_DISCONNECTED",
        "REPOSITORY_NO_SPACE",
        "SR_DETACHED",
        "VM_UNKNOWN",
    }


def test_every_run_that_guard_could_foresee_was_predicted(month):
    """Where XO could be read in the minutes before: in the month's outages nothing is predicted, and said late."""
    blind = [(first, last + timedelta(minutes=1)) for first, last in (XO_DOWN, CUT)]
    unpredicted = [
        key
        for key, run in month.told.items()
        if run.decided is None and key.via != BY_HAND and not any(first <= key.due <= last for first, last in blind)
    ]
    assert month.named(unpredicted) == []


# --- nothing grows


def deep_size(root: object) -> int:
    """Bytes of all that one object holds; what is shared with the world or is code is not counted."""
    seen: set[int] = set()
    waiting, total = [root], 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType | BuiltinFunctionType):
            continue
        if type(one).__name__ in {"InProcess", "SqliteLedger", "Ear", "method"}:
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        waiting += gc.get_referents(one)
    return total


def test_memory_handles_and_ledger_stay_flat_in_the_second_half(month):
    half = len(month.sizes) // 2
    memory, open_files, ledger, watch = (list(column) for column in zip(*month.sizes, strict=True))
    assert max(open_files[half:]) == open_files[half - 1]
    assert max(ledger[half:]) <= 1.15 * ledger[half - 1]
    assert max(watch[half:]) <= watch[half - 1] + 256 * 1024
    assert memory[-1] <= memory[half - 1] + 24 * MIB  # the simulated XO keeps its logs here, about 10 MiB of them


def test_the_figures_of_the_month(month, capsys):
    report = report_of(month)
    missed = sum(1 for run in month.told.values() if run.ended is not None and run.ended.end is End.MISSED)
    assert report.open == 0
    assert len(month.stories) == report.ends["observed"] + missed > 2400
    memory, files, ledger, watch = (
        f"{half // unit} -> {end // unit}"
        for half, end, unit in zip(
            month.sizes[len(month.sizes) // 2 - 1], month.sizes[-1], (MIB, 1, 1024, 1024), strict=True
        )
    )
    score = {code: tuple(row) for code, row in scored(month).items()}
    with capsys.disabled():
        print(
            f"\nmonth: {len(month.stories)} stories, {len(month.company.world.logs)} runs, {report.ends}, "
            f"{month.guarded.ticks} looks, score {score}, {month.seconds:.0f} s; middle -> end: {memory} MiB resident, "
            f"{files} handles, ledger {ledger} KiB of {KEPT.days} days, watch {watch} KiB"
        )
