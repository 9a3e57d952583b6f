"""guard match."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TextIO

from guard.cli import source
from guard.errors import UsageError
from guard.estate.estate import PartName, require
from guard.views.match import match_text


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    estate, _, _ = source.read(arguments, stderr, env)
    require(estate, PartName.JOBS, PartName.VMS)
    jobs = [job for job in estate.jobs if arguments.job in (job.id, job.name)]
    if len(jobs) != 1:
        found = "XO has no job of that id or name" if not jobs else f"{len(jobs)} jobs have that name; give the id"
        raise UsageError(f"{arguments.job!r}: {found}")
    if jobs[0].type != "backup":
        raise UsageError(f"{arguments.job!r} is a job of type {jobs[0].type}; only VM backup jobs select VMs")
    stdout.write(match_text(estate, jobs[0]))
    return 0
