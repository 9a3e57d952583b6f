"""One scenario through guard and through the engine, side by side.

guard reads the simulated XO as in production (``read_estate``) and plans the due run; the engine runs the same job against
the pool master's face of the same world; guard's own reader (``outcome``) tells from the engine's log what became of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from guard.assess import make_plan
from guard.decision.verdict import Verdict
from guard.finding import Certainty, Finding, Level, ScopeKind
from guard.http import tls_context
from guard.mechanics.outlook import Outlook
from guard.outcomes.outcome import Outcome, outcome
from guard.policy.schema import Policy, default_policy
from guard.simulator import shapes
from guard.simulator.serve import Simulator, serve
from guard.simulator.xapi import serve_xapi
from guard.xo.client import XoSettings, read_estate
from guard.xo.token import Token
from tests.engine.engine import Engine
from tests.engine.engine_log import read_log, xo_log
from tests.engine.stage import NOW, SUCCESS, Stage

NONE, UNKNOWN, NOT_TOLD = "none", "unknown", "not told"
FULL = "NEXT_RUN_FULL"
SENT_WHOLE, SENT_DELTA = "full", "delta"
AGREES, MISS, FALSE_ALARM, OTHER_CODE, OPEN = "agrees", "miss", "false alarm", "another code", "left open"
TLS = tls_context(None, verify=True)
"""Made once: it reads every certificate of the machine."""
RUNNER_SECONDS = 2
"""Between two runs of one VM the engine's clock has to move on: its files are named by the second."""


@dataclass(frozen=True)
class Compared:
    """One VM or one target of one scenario. ``certain``: of the findings behind the prediction, None without any."""

    family: str
    scenario: str
    subject: str
    predicted: str
    observed: str
    result: str
    certain: bool | None
    foreseeable: bool = True


@dataclass(frozen=True)
class Judged:
    """``wrong``: where the engine does not do what the scenario was made for; then nothing is compared."""

    stage: Stage
    found: Outcome
    compared: tuple[Compared, ...]
    wrong: tuple[str, ...]
    seconds: float


async def judge(stage: Stage, engine: Engine) -> Judged:
    with TemporaryDirectory(prefix="guard-engine-") as home:
        directories = _directories(stage, Path(home))
        async with serve_xapi(stage.faces[0]) as master:
            for _ in range(stage.earlier):
                log, _ = await _run(stage, engine, master, directories)
                stage.world.logs[log["id"]] = log
            stage.clock = NOW
            if stage.meanwhile is not None:
                stage.meanwhile(stage, directories)
            stage.world.archives = {identity: _listed(identity, one) for identity, one in directories.items()}
            predicted = await predict(stage)
            stage.faces[0].faults = stage.faults
            if stage.only_started:
                stage.keep(predicted.verdict.start_vms)
            log, seconds = await _run(stage, engine, master, directories)
        found = outcome(read_log(log))
        written = {identity: _holds_archives(directory) for identity, directory in directories.items()}
        verdict = predicted.verdict
        compared = (*_vms(stage, verdict, found), *_targets(stage, verdict, found), *_fulls(stage, predicted, found))
        return Judged(stage, found, compared, tuple(_wrong(stage, found, written)), seconds)


def _directories(stage: Stage, home: Path) -> dict[str, Path]:
    found = {}
    for identity, target in stage.targets.items():
        found[identity] = home / identity
        found[identity].mkdir()
        if target.spoil is not None:
            target.spoil(found[identity])
    return found


def _listed(repository: str, directory: Path) -> list[dict[str, Any]]:
    """What XO would list of a repository (backups/formatVmBackups): the engine's own files, read anew."""
    found = []
    for file in sorted(directory.glob("xo-vm-backups/*/*.json")):
        kept = json.loads(file.read_text())
        found.append(
            shapes.archive(
                repository,
                kept["vm"]["uuid"],
                datetime.fromtimestamp(kept["timestamp"] / 1000, UTC),
                job_id=kept["jobId"],
                schedule_id=kept["scheduleId"],
                mode=kept["mode"],
                size=kept.get("size", 0),
                disks=[kept["vdis"][one]["uuid"] for one in kept.get("vhds", {})],
            )
        )
    return found


# --- what guard says


@dataclass(frozen=True)
class Predicted:
    """The verdict, and for each VM whether guard's forecast takes its next transfer for a full (None: cannot be told)."""

    verdict: Verdict
    full: Mapping[str, bool | None]


async def predict(stage: Stage) -> Predicted:
    async with serve(Simulator(stage.world)) as url:
        settings, token = XoSettings(url=url, read_archives=True), Token("simulated-token")
        estate = await read_estate(settings, token, clock=lambda: stage.clock, tls=TLS)
    plan = make_plan(estate, policy_of(stage), now=NOW, start=NOW, within=timedelta(minutes=30))
    (planned,) = plan.runs
    outlook, target = Outlook(estate, NOW), _ids(stage.the_job["remotes"])[0]
    return Predicted(planned.verdict, {vm: outlook.bytes_of(planned.run, vm, target).full for vm in stage.full})


def policy_of(stage: Stage) -> Policy:
    """The default policy; the tolerance is XO's own, which no API shows."""
    policy = default_policy()
    chain = msgspec.structs.replace(policy.checks["chain"], tolerance=stage.tolerance)
    return msgspec.structs.replace(policy, checks={**policy.checks, "chain": chain})


def _about(finding: Finding, vm: str) -> bool:
    if finding.holds:
        return vm in finding.holds
    return finding.scope.kind is not ScopeKind.VM or finding.scope.id == vm


# --- what the engine does


async def _run(
    stage: Stage, engine: Engine, master: str, directories: Mapping[str, Path]
) -> tuple[dict[str, Any], float]:
    job = stage.the_job
    shown = {vm["id"] for vm in stage.world.visible("VM")}
    answer = await engine.run(
        {
            "job": {key: job[key] for key in ("id", "name", "mode", "settings")}
            | {"vms": stage.listed(), "remotes": _ids(job["remotes"])},
            "schedule": stage.schedule["id"],
            "later": RUNNER_SECONDS,
            "maxUncoalescedVdis": stage.tolerance,
            "masters": [{"url": master, "user": "root", "password": "simulated-password"}],
            "masterOf": {vm: 0 for vm in stage.listed() if vm in shown},
            "remotes": {
                identity: {"directory": str(directory)}
                | ({} if (room := stage.targets[identity].room) is None else {"room": room})
                for identity, directory in directories.items()
            },
        }
    )
    raw = answer["log"]
    return xo_log(raw, job, stage.schedule["id"], f"{raw['start']}-{raw['id']}"), answer["ms"] / 1000


def _ids(pattern: Mapping[str, Any]) -> list[str]:
    wanted = pattern["id"]
    return [wanted] if isinstance(wanted, str) else list(wanted["__or"])


def _holds_archives(directory: Path) -> bool:
    return directory.is_dir() and any(directory.glob("xo-vm-backups/*/*.json"))


def observed(found: Outcome, vm: str) -> str:
    """success when there is a copy of the VM, else the code of what it was lost to."""
    own = next((one for one in found.vms if one.vm.id == vm), None)
    if own is not None:
        copied = own.status == SUCCESS or any(target.written for target in own.targets)
        return SUCCESS if copied else next((one.code for one in own.causes), NOT_TOLD)
    of_all = [one.code for one in found.causes if one.scope.kind is not ScopeKind.VM]
    return of_all[0] if of_all else NOT_TOLD


def _wrong(stage: Stage, found: Outcome, written: Mapping[str, bool]) -> list[str]:
    if stage.losses is not None:
        lost = sum(observed(found, vm) != SUCCESS for vm in stage.expected)
        return (
            [] if bool(lost) is bool(stage.losses) else [f"{lost} VMs are lost: {[one.text for one in found.causes]}"]
        )
    wrong = [
        f"{vm}: {told} instead of {expected}: {[one.text for one in found.causes]}"
        for vm, expected in stage.expected.items()
        if (told := observed(found, vm)) != expected
    ]
    for target, code in stage.lost_targets.items():
        lost = [one.code for one in found.causes if target in (one.scope.id, one.target.id if one.target else "")]
        if code not in lost:
            wrong.append(f"repository {target}: {lost} instead of {code}")
    attempts = {one.vm.id: one.attempts for one in found.vms}
    wrong += [
        f"{vm}: {attempts.get(vm)} attempts instead of {wanted}"
        for vm, wanted in stage.attempts.items()
        if attempts.get(vm) != wanted
    ]
    sent = {one.vm.id: any(target.full for target in one.targets) for one in found.vms}
    wrong += [f"{vm}: full {sent.get(vm)}" for vm, full in stage.full.items() if sent.get(vm) is not full]
    anything = SUCCESS in stage.expected.values()
    for target, has in written.items():
        if has is not (anything and target not in stage.lost_targets) and not stage.earlier:
            wrong.append(f"repository {target} holds {'an archive' if has else 'nothing'}")
    return wrong


# --- side by side


def _vms(stage: Stage, verdict: Verdict, found: Outcome) -> list[Compared]:
    if stage.losses is not None and not stage.only_started:
        return [_as_a_whole(stage, verdict, found)]
    if stage.only_started:
        return [_as_guard_starts_it(stage, found)]
    return [_vm(stage, verdict, vm, observed(found, vm)) for vm in stage.expected]


def _vm(stage: Stage, verdict: Verdict, vm: str, seen: str) -> Compared:
    blocks = [one for one in verdict.findings if one.level is Level.BLOCK and _about(one, vm)]
    open_ = [one for one in verdict.findings if one.level is Level.UNKNOWN and _about(one, vm)]
    codes = [one.code for one in blocks]
    if blocks:
        result = AGREES if seen in codes else FALSE_ALARM if seen == SUCCESS else OTHER_CODE
        predicted = seen if seen in codes else codes[0]
        certain = all(one.certainty is Certainty.CERTAIN for one in blocks if one.code == predicted)
    elif open_:
        result, predicted, certain = OPEN, UNKNOWN, False
    else:
        result, predicted, certain = (AGREES if seen == SUCCESS else MISS), NONE, None
    return Compared(stage.family, stage.seed, vm, predicted, seen, result, certain, stage.foreseeable)


def _as_a_whole(stage: Stage, verdict: Verdict, found: Outcome) -> Compared:
    """Where VMs take room from one another: whether the run loses any."""
    blocks = [one for one in verdict.findings if one.level is Level.BLOCK]
    lost = [told for vm in stage.expected if (told := observed(found, vm)) != SUCCESS]
    seen = lost[0] if lost else SUCCESS
    result, predicted, certain = AGREES if bool(blocks) is bool(lost) else MISS if lost else FALSE_ALARM, NONE, None
    if blocks:
        predicted, certain = blocks[0].code, all(one.certainty is Certainty.CERTAIN for one in blocks)
    elif any(one.level is Level.UNKNOWN for one in verdict.findings):
        result, predicted, certain = OPEN, UNKNOWN, False
    return Compared(stage.family, stage.seed, "the whole run", predicted, seen, result, certain)


def _as_guard_starts_it(stage: Stage, found: Outcome) -> Compared:
    """Those that guard starts are predicted to do well."""
    lost = [told for vm in stage.expected if (told := observed(found, vm)) != SUCCESS]
    result, seen = (MISS, lost[0]) if lost else (AGREES, SUCCESS)
    return Compared(stage.family, stage.seed, "the VMs guard starts", NONE, seen, result, None)


def _targets(stage: Stage, verdict: Verdict, found: Outcome) -> list[Compared]:
    """Repositories that may get no copy while others do. A tendency foretells no loss."""
    compared = []
    remotes = _ids(stage.the_job["remotes"])
    for identity in remotes if len(remotes) > 1 else ():
        told = [one for one in verdict.findings if one.scope.id == identity and one.level in (Level.BLOCK, Level.WARN)]
        own = [one for one in told if one.certainty is not Certainty.TREND]
        lost = [one.code for one in found.causes if identity in (one.scope.id, one.target.id if one.target else "")]
        seen = lost[0] if lost else SUCCESS
        codes = [one.code for one in own]
        predicted = seen if seen in codes else codes[0] if codes else NONE
        if predicted == seen or (not codes and not lost):
            result = AGREES
        else:
            result = MISS if not codes else FALSE_ALARM if seen == SUCCESS else OTHER_CODE
        certain = all(one.certainty is Certainty.CERTAIN for one in own) if own else None
        subject = f"repository {identity}"
        compared.append(
            Compared(stage.family, stage.seed, subject, predicted, seen, result, certain, stage.foreseeable)
        )
    return compared


def _fulls(stage: Stage, predicted: Predicted, found: Outcome) -> list[Compared]:
    """Whether a VM is sent whole: by guard's forecast, and as a finding where nobody asked for it."""
    compared = []
    for vm in stage.full:
        sent = any(target.full for one in found.vms if one.vm.id == vm for target in one.targets)
        told = predicted.full[vm]
        seen, said = (SENT_WHOLE if one else SENT_DELTA for one in (sent, told))
        result = AGREES if told is sent else OPEN if told is None else MISS if sent else FALSE_ALARM
        compared.append(Compared(stage.family, stage.seed, f"forecast of {vm}", said, seen, result, None))
        own = [one for one in predicted.verdict.findings if one.code == FULL and _about(one, vm)]
        unasked = sent and not stage.full_is_asked_for
        result = AGREES if bool(own) is unasked else MISS if unasked else FALSE_ALARM
        certain = all(one.certainty is Certainty.CERTAIN for one in own) if own else None
        said, seen = (FULL if own else NONE), (FULL if unasked else SUCCESS)
        compared.append(Compared(stage.family, stage.seed, f"full of {vm}", said, seen, result, certain))
    return compared
