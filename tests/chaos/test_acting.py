"""A guard that acts loses no run and doubles none, whatever dies when; and the harness would see it if it did."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from guard.gate import hands
from guard.lifecycle.due_run import apply, fold
from guard.lifecycle.events import Claimed, Starting
from tests.chaos.acting import END, XO_WRITES, Acting, acting_world
from tests.chaos.chaos import calls_of_a_night, points_of, try_point
from tests.chaos.mortal import Fate

EVERY = 3  # a part of all points of one night: which part goes round over the kinds
BETWEEN = ("put_fallback", "move_fallback", "set_enabled", "drop_fallback", "start")


def test_a_crash_at_any_write_of_a_night_in_which_guard_acts_loses_and_doubles_nothing(tmp_path, capsys):
    points = list(points_of(calls_of_a_night(tmp_path), XO_WRITES | {"append"}))
    chosen = points[::EVERY]
    wrong = {str(point): found for point in chosen if (found := try_point(point, tmp_path))}
    claimed = sum(1 for one in chosen if one.name in BETWEEN)
    with capsys.disabled():
        print(
            f"\nchaos: {len(chosen)} crash points of an acting night, {len(wrong)} broken, {claimed} at calls of a claim"
        )
    assert wrong == {}
    assert len(chosen) > 100
    assert claimed * 2 >= len(chosen)


# --- the harness sees what it is there to see


def broken_somewhere(tmp_path, names):
    """What the first point at these calls finds that finds anything broken."""
    points = list(points_of(calls_of_a_night(tmp_path), frozenset(names)))
    return next((found for point in points if (found := try_point(point, tmp_path))), [])


def test_a_start_whose_intent_is_written_after_the_call_is_seen_to_start_twice(tmp_path, monkeypatch):
    start = hands.Hands.start

    async def late(self, run, step, job_type, shown):
        kept, append = [], self._append

        async def hold_back(run, *events):
            if any(isinstance(one, Starting) for one in events):
                kept.extend(events)
                return run_with(run, events)
            if kept:
                written = await append(run_without(run), *kept)
                kept.clear()
                return written if written is None else await append(written, *events)
            return await append(run, *events)

        self._append = hold_back
        try:
            return await start(self, run, step, job_type, shown)
        finally:
            self._append = append

    monkeypatch.setattr(hands.Hands, "start", late)
    monkeypatch.setattr(hands.Hands, "_since_due", lambda self, run, logs, standbys: None)
    assert broken_somewhere(tmp_path, {"start"})


def run_with(run, events):
    for event in events:
        run = apply(run.key, run, event)
    return run


def run_without(run):
    return replace(run, intents=run.intents[:-1], seq=run.seq - 1)


def test_a_claim_that_is_not_read_back_is_seen(tmp_path, monkeypatch):
    async def careless(self, run, shown):
        claim = run.claim
        wanted = [
            self._fallback(run, claim.intent.found.id, hands.FallbackKind.START, (claim.intent.start_at,)),
            self._fallback(run, claim.intent.found.id, hands.FallbackKind.RELEASE, claim.intent.release_at),
        ]
        for one in wanted:
            try:
                await self._xo.put_fallback(one)
            except hands.XoError:
                continue
        await self._xo.set_enabled(claim.intent.found.id, False)
        held = msgspec.structs.replace(claim.intent.found, enabled=False)
        shown.records[claim.intent.found.id] = held
        return await self._append(run, Claimed(at=self._clock(), held=held))

    monkeypatch.setattr(hands.Hands, "place", careless)
    assert refused_fallbacks_and_gone_for_good(tmp_path)


def refused_fallbacks_and_gone_for_good(tmp_path):
    """XO takes no fallback, guard claims and never comes back: what is broken then."""
    live = acting_world()
    guarded = Acting(live, tmp_path / "ledger.sqlite", Fate(lambda _number, _name: False, before=True))
    guarded.xo._port.lose = lambda name: "refused" if name == "put_fallback" else ""
    guarded.live_through(live.now().replace(hour=21, minute=59, second=30))
    taken = [fold(key, events) for key, events in guarded.stories().items()]
    live.advance(END)
    off = [one["name"] for one in live.world.schedules.values() if not one["enabled"]]
    guarded.close()
    held = {run.claim.intent.found.name for run in taken if run.has_claim}
    return [name for name in off if name in held]


def test_a_claim_whose_fallbacks_xo_refuses_is_no_claim(tmp_path):
    assert refused_fallbacks_and_gone_for_good(tmp_path) == []


def test_a_fallback_that_is_removed_after_the_start_is_seen_to_start_it_again(tmp_path, monkeypatch):
    start, drop = hands.Hands.start, hands.Hands._drop

    async def late(self, run, step, job_type, shown):
        async def not_yet(*_arguments, **_named):
            return None

        self._drop = not_yet
        try:
            grown = await start(self, run, step, job_type, shown)
        finally:
            del self._drop
        await drop(self, grown or run, run.key.schedule, shown, (hands.FallbackKind.START,))
        return grown

    monkeypatch.setattr(hands.Hands, "start", late)
    assert broken_somewhere(tmp_path, {"start", "drop_fallback"})
