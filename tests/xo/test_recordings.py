"""The client on what a real xo-server answered, and every recorded backup log read without loss."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from guard.assess import make_plan
from guard.estate.xo_records import BackupLog
from guard.mechanics.chain import ChainIndex
from guard.mechanics.history import read_history
from guard.policy.schema import default_policy
from guard.xo.client import XoSettings, read_estate
from guard.xo.token import Token

HERE = Path(__file__).parents[1]
NOW = datetime(2026, 11, 22, 22, 30, tzinfo=UTC)  # when the recordings were made
LOGS = sorted((HERE / "recordings" / "logs").glob("*.json"))


def replay_module():
    spec = importlib.util.spec_from_file_location("replay", HERE / "replay.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def estate():
    async def read():
        async with replay_module().replaying() as url:
            return await read_estate(XoSettings(url=url), Token("t"), clock=lambda: NOW)

    return asyncio.run(read())


def test_every_part_of_the_real_estate_is_read(estate):
    assert {name: part.error for name, part in estate.parts.items() if not part.ok} == {}
    counts = (len(estate.vms), len(estate.srs), len(estate.vdis), len(estate.vdi_snapshots), len(estate.jobs))
    assert counts == (9, 6, 9, 2, 49)
    assert len(estate.repository_info) == 3
    assert len(estate.logs) > 50


def test_the_real_unhealthy_chain_counts_as_xo_counted_it(estate):
    vm = next(one for one in estate.vms if one.name_label == "chain-bad")
    chains = ChainIndex(estate)
    assert max(len(chains.chain(vbd.vdi).uncoalesced) for vbd in estate.vbds_of_vm[vm.id]) >= 2


def test_the_recorded_estate_can_be_planned_for_a_week(estate):
    jobs_with_vms = {job.id for job in estate.jobs if job.type == "backup"}
    schedules = tuple(
        msgspec.structs.replace(one, enabled=True) for one in estate.schedules if one.job_id in jobs_with_vms
    )
    woken = dataclasses.replace(estate, schedules=schedules)
    plan = make_plan(woken, default_policy(), now=NOW, start=NOW, within=timedelta(days=1))
    by_job = {one.run.job.name: {finding.code for finding in one.verdict.findings} for one in plan.runs}
    assert "CHAIN_UNHEALTHY" in by_job["F04 mixed skipped"]
    assert "NO_VM_MATCHES" in by_job["F05 no match"]
    assert not [one for run in plan.runs for one in run.verdict.findings if "itself failed" in one.summary]


def logs_of(path):
    found = json.loads(path.read_text())
    if isinstance(found, list):
        return found
    return found.get("restBackupLogs", [])


def essence(task):
    """What must survive: status, error text, sizes, times, the tree."""
    result = task.get("result")
    kept = {
        key: task[key]
        for key in ("id", "status", "start", "end", "message", "data", "infos", "warnings")
        if key in task
    }
    kept["result"] = result
    kept["tasks"] = [essence(child) for child in task.get("tasks", [])]
    return kept


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_recorded_backup_log_is_read_without_loss(path):
    logs = logs_of(path)
    decoded = msgspec.convert(logs, list[BackupLog])
    again = json.loads(msgspec.json.encode(decoded))
    # a pending status is the default, and defaults are left out when written again
    for log in again:
        restore_defaults(log)
    assert [essence(log) for log in again] == [essence(log) for log in logs]


def restore_defaults(task):
    task.setdefault("status", "pending")
    for child in task.get("tasks", []):
        restore_defaults(child)


def test_sizes_and_kinds_of_the_recorded_transfers_become_samples():
    logs = msgspec.convert(logs_of(HERE / "recordings/logs/success_full_then_deltas.json"), list[BackupLog])
    samples = [one for group in read_history(logs).transfers.values() for one in group]
    assert len(samples) == 10
    assert sum(one.full for one in samples) == 2
    assert all(one.size > 0 and one.seconds > 0 for one in samples)
