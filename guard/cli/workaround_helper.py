"""The console script guard-workaround-helper: the clock and the words of the command line for guard/remedies/helper.py."""

from __future__ import annotations

import sys

from guard.cli import clock
from guard.remedies import helper


def run() -> None:
    sys.exit(helper.run(sys.argv[1:], clock.now))
