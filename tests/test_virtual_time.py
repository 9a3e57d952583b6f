"""The loop that moves time instead of waiting."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from tests.virtual_time import START, run


def now() -> datetime:
    return asyncio.get_running_loop().now()


def test_a_year_of_half_hour_ticks_takes_well_under_a_second() -> None:
    async def year() -> int:
        ticks = 0
        while now() < START + timedelta(days=365):
            await asyncio.sleep(1800)
            ticks += 1
        return ticks

    begun = time.perf_counter()
    assert run(year()) == 365 * 48
    assert time.perf_counter() - begun < 1.5  # 0.3 s on an idle core


def test_no_fraction_of_a_second_hangs_the_loop_however_late_it_is() -> None:
    async def odd_steps() -> None:
        await asyncio.sleep(40 * 365 * 86400)
        for number in range(2000):
            await asyncio.sleep(0.1 + 1 / (number + 3))

    run(odd_steps())


def test_the_clock_starts_where_it_is_told_and_moves_with_the_timers() -> None:
    start = datetime(2027, 3, 28, 0, 59, tzinfo=UTC)

    async def look() -> list[datetime]:
        seen = [now()]
        await asyncio.sleep(61.5)
        return [*seen, now()]

    assert run(look(), start) == [start, start + timedelta(seconds=61.5)]


def test_timers_come_in_order_of_their_time_and_time_limits_hold() -> None:
    seen: list[str] = []

    async def after(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        seen.append(name)

    async def race() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.gather(after(3, "b"), after(1, "a"), after(10, "never"))

    run(race())
    assert seen == ["a", "b"]


def test_work_for_an_executor_is_done_inline_and_its_errors_are_raised() -> None:
    async def work() -> tuple[int, datetime]:
        doubled = await asyncio.to_thread(lambda: 2 * 21)
        with pytest.raises(ZeroDivisionError):
            await asyncio.get_running_loop().run_in_executor(None, lambda: 1 // 0)
        return doubled, now()

    assert run(work()) == (42, START)


def test_a_wait_that_can_never_end_is_an_error_and_no_hang() -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing will ever happen"):
        run(wait())
