"""What the published engine makes of a full backup that is cut off: a good run, and a warning that guard reads."""

from __future__ import annotations

import asyncio

import pytest
from guard.mechanics.past import suspected_archives
from guard.simulator.xapi import serve_xapi
from tests.engine.engine import require_engine, running_engine
from tests.engine.engine_log import read_log
from tests.engine.judge import _directories, _run
from tests.engine.stage import EARLIER, NOW, Stage

pytestmark = pytest.mark.oracle


async def _run_twice(home):
    """A full backup, cut off on the repository, and the run after it: both logs, and the name of the file."""
    stage = Stage("broken archive", "cut off", mode="full", earlier=1)
    stage.vm(stage.sr("ext"), state="Running")
    stage.job()
    directories = _directories(stage, home)
    async with running_engine(EARLIER, home / "stderr.txt") as engine, serve_xapi(stage.faces[0]) as master:
        first, _ = await _run(stage, engine, master, directories)
        (archive,) = home.rglob("*.xva")
        with archive.open("r+b") as file:
            file.truncate(archive.stat().st_size // 2)
        stage.clock = NOW
        second, _ = await _run(stage, engine, master, directories)
    return read_log(first), read_log(second), archive.name


def test_the_engine_warns_of_a_cut_off_full_in_a_good_run_and_guard_reads_it(tmp_path):
    require_engine()
    first, second, name = asyncio.run(_run_twice(tmp_path))
    assert (first.status, second.status) == ("success", "success")
    (vm,) = (task.data["id"] for task in second.tasks)
    assert suspected_archives([first]) == {}
    assert suspected_archives([first, second]) == {(second.job_id, vm): (name,)}
