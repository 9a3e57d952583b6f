"""guard demo."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping
from datetime import timedelta
from typing import TextIO

from guard.assess import make_plan
from guard.cli import source
from guard.cli.colour import style_for
from guard.policy.schema import default_policy
from guard.views.plan import plan_text

_TOUR = """\
This is a simulated Xen Orchestra on this machine, on the eve of a night when
the clocks change. Its pools, jobs and logs hold one of every trouble guard knows.
Below is what `guard plan` says of it: what would not start whole comes first.
Ask further: guard explain CODE, guard plan --demo --json, guard match JOB --demo.

"""


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    del arguments
    began = time.monotonic()
    stderr.write(_TOUR)
    estate = source.read_demo()
    now = estate.taken_at
    plan = make_plan(estate, default_policy(estate.xo.url), now=now, start=now, within=timedelta(hours=24))
    stdout.write(plan_text(plan, took_s=time.monotonic() - began, style=style_for(stdout, env)))
    return 0
