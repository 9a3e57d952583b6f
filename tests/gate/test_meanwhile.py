"""Long work, and what has to be done in between at its second."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from guard.gate.meanwhile import meanwhile
from tests.virtual_time import START
from tests.virtual_time import run as finished


def kept(seconds, first, every=None, fails_at=None):
    """(what the work gave, when ``keep`` was called, in seconds; whether the work was broken off)."""
    called, broken_off = [], []

    async def go():
        loop = asyncio.get_running_loop()
        began = loop.time()

        def clock():
            return START + timedelta(seconds=loop.time() - began)

        async def work():
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                broken_off.append(loop.time() - began)
                raise
            return "done"

        async def keep():
            called.append(loop.time() - began)
            if called[-1] == fails_at:
                raise RuntimeError("keep failed")
            return None if every is None else clock() + timedelta(seconds=every)

        begin = None if first is None else START + timedelta(seconds=first)
        return await meanwhile(work(), keep, begin, clock)

    try:
        return finished(go()), called, broken_off
    except RuntimeError as error:
        return str(error), called, broken_off


@pytest.mark.parametrize(
    ("first", "every", "called"),
    [
        (None, None, []),
        (3, None, [3.0]),
        (3, 4, [3.0, 7.0]),
        (20, None, []),
        (-5, None, [0.0]),
    ],
    ids=["nothing to keep", "once", "again and again", "later than the work", "late already"],
)
def test_it_is_kept_whenever_it_wants_until_the_work_is_done(first, every, called):
    assert kept(10, first, every) == ("done", called, [])


def test_what_keeping_raises_breaks_the_work_off():
    assert kept(10, 3, 4, fails_at=7.0) == ("keep failed", [3.0, 7.0], [7.0])
