"""A guard that does nothing but write into a ledger until it is killed; it prints what was acknowledged.

Run as: writer.py LEDGER FIRST. Each line is one call that returned: a due run's number and its last event's.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

from tests.contract.ledger_suite import DUE, alarmed, day, decided, ended, seen
from tests.ledger.opening import NOW, opened


async def write(ledger, number):
    await ledger.lease("writer", NOW + timedelta(minutes=2))
    while True:
        steps = [(seen(), decided(number % 40 + 1), alarmed("x" * (number % 7 * 3000))), (ended(),)]
        seq = 0
        for step in steps:
            seq = await ledger.append(day(number), seq, *step)
            os.write(1, b"%d %d\n" % (number, seq))
        await ledger.mark({"nightly": day(number).due})
        os.write(1, b"%d mark\n" % number)
        if number % 25 == 24:
            await ledger.prune(DUE)
        number += 1


if __name__ == "__main__":
    with opened(Path(sys.argv[1])) as opened_ledger:
        asyncio.run(write(opened_ledger, int(sys.argv[2])))
