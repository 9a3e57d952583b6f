"""guard release through the command line: claims that a dead daemon left in a simulated XO."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import msgspec
import pytest
from guard.cli import clock
from guard.daemon import release as releasing
from guard.daemon.compose import LEDGER, only_one
from guard.errors import LedgerError
from guard.gate.watch import LOOP
from guard.ledger.sqlite import open_beside, open_ledger
from guard.lifecycle.events import ReleasedHow
from guard.lifecycle.loop import Loop
from guard.remedies import timeout_file
from guard.remedies.timeout_text import Wanted
from guard.simulator.faults import HttpStatus
from tests.ledger.opening import INSTANCE
from tests.stories.claimed import DUE, Claimed


@pytest.fixture
def place(tmp_path, monkeypatch):
    made = Claimed(tmp_path)
    monkeypatch.setattr(clock, "now", made.now)
    with made.serving():
        yield made


@pytest.fixture
def claimed(place):
    """The schedule is off, and both fallbacks stand."""
    place.tick()
    assert (place.is_on, len(place.fallbacks)) == (False, 2)
    return place


def test_a_claim_is_given_back_and_no_fallback_is_left(claimed):
    code, out, err = claimed.guard("release")
    assert (code, err) == (0, "")
    assert out == "nightly / every night, due Wed 25 Nov 02:00 UTC: released: the schedule is\n  enabled again.\n"
    assert (claimed.is_on, claimed.fallbacks) == (True, [])
    (run,) = [run for run in claimed.runs() if run.claim is not None]
    assert run.claim.released.how is ReleasedHow.ENABLED


def test_a_second_release_finds_nothing_to_do_and_exits_with_0(claimed):
    claimed.guard("release")
    writes = len(claimed.world.writes)
    assert claimed.guard("release") == (0, "Nothing is claimed: every schedule is XO's.\n", "")
    assert len(claimed.world.writes) == writes


def test_where_nothing_is_claimed_xo_is_not_even_asked(claimed):
    claimed.guard("release")
    claimed.live.advance(DUE + timedelta(minutes=10))
    asked = claimed.faults.requests
    for words in ((), ("--stale", "0s")):
        assert claimed.guard("release", *words) == (0, "Nothing is claimed: every schedule is XO's.\n", "")
    assert claimed.faults.requests == asked


def test_what_was_due_meanwhile_is_started_before_its_schedule_is_given_back(claimed):
    claimed.live.advance(DUE + timedelta(seconds=20))
    code, out, err = claimed.guard("release")
    assert (code, err) == (0, "")
    assert "the schedule is\n  enabled again" in out
    assert [start.origin for start in claimed.world.starts] == ["rpc"]
    assert (claimed.is_on, claimed.fallbacks) == (True, [])


def test_a_dry_run_tells_what_stands_and_its_undo_and_writes_nothing(claimed):
    writes = len(claimed.world.writes)
    code, out, err = claimed.guard("release", "--dry-run")
    told = " ".join(out.split())
    assert (code, err) == (2, "")
    assert "Claimed: nightly / every night, due Wed 25 Nov 02:00 UTC: the schedule is off in XO since" in told
    assert f"Undo: guard bypass schedule:{claimed.schedule['id']} --reason" in told
    assert told.count("In XO: guard[") == 2
    assert "starts the schedule at Wed 25 Nov 02:03 UTC if guard is gone" in told
    assert "enables the schedule at Wed 25 Nov 02:05 UTC if guard is gone" in told
    assert (claimed.is_on, len(claimed.fallbacks), len(claimed.world.writes)) == (False, 2, writes)


def test_a_dry_run_with_nothing_there_says_so(place):
    assert place.guard("release", "--dry-run") == (0, "Nothing: guard holds nothing in XO.\n", "")


def test_a_dry_run_while_xo_is_away_tells_what_the_ledger_knows(claimed):
    claimed.policy.write_text(claimed.policy.read_text().replace(str(claimed.token), "/nowhere/token"))
    code, out, err = claimed.guard("release", "--dry-run")
    assert (code, err.count("\n"), out.count("In XO: guard[")) == (2, 1, 2)
    assert "the fallbacks in XO could not be read, what follows is from the ledger" in err


def test_all_deletes_fallbacks_that_no_claim_explains_and_leaves_those_of_other_guards(claimed):
    claimed.guard("release")
    when = "2026-11-20T02:00:00Z"
    for instance in (INSTANCE.hex(), "ffffffff"):
        job = claimed.world.add_call_job(f"guard[{instance}]: start gone {when}", "schedule.runSequence", [])
        claimed.world.add_schedule(job, "3 2 20 10 *", name=job["name"])
    code, out, _ = claimed.guard("release", "--dry-run")
    assert (code, out.count("In XO: ")) == (2, 1)
    code, out, err = claimed.guard("release", "--all")
    assert (code, err) == (0, "")
    assert "Deleted in XO: guard[0001020304050607]: start gone" in " ".join(out.split())
    assert claimed.fallbacks == [f"guard[ffffffff]: start gone {when}"]


def test_a_daemon_that_runs_is_not_passed_over(claimed):
    with only_one(claimed.state):
        code, out, err = claimed.guard("release")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "guard daemon runs and holds what is claimed: stop it" in err
    assert "guard bypass all" in err
    assert not claimed.is_on


def remember_look(place, ago):
    async def put(ledger):
        await ledger.remember(LOOP, msgspec.json.encode(Loop(at=place.now() - ago)))

    with open_beside(place.state / LEDGER, xo=place.url, clock=place.now) as ledger:
        asyncio.run(put(ledger))


@pytest.mark.parametrize("is_locked", [True, False])
def test_with_stale_nothing_is_done_while_the_daemon_looks(claimed, is_locked):
    remember_look(claimed, timedelta(minutes=9))
    told = "Nothing to do: guard daemon looked 9 min ago.\n"
    if is_locked:
        with only_one(claimed.state):
            assert claimed.guard("release", "--stale", "10 min") == (0, told, "")
    else:
        assert claimed.guard("release", "--stale", "10 min") == (0, told, "")
    assert not claimed.is_on


def test_with_stale_a_daemon_that_hangs_is_passed_over_and_writes_nothing_more(claimed):
    async def lease(ledger, holder):
        await ledger.lease(holder, claimed.now() + timedelta(minutes=5))

    with (
        only_one(claimed.state),
        open_ledger(claimed.state / LEDGER, xo=claimed.url, clock=claimed.now, instance=INSTANCE) as hung,
    ):
        asyncio.run(lease(hung, socket.gethostname()))
        remember_look(claimed, timedelta(minutes=11))
        code, out, err = claimed.guard("release", "--stale", "10min")
        assert (code, err) == (0, "")
        assert (claimed.is_on, claimed.fallbacks) == (True, [])
        with pytest.raises(LedgerError, match="was taken over"):
            asyncio.run(hung.remember("x", b"y"))
    assert "enabled again" in out


def test_the_lease_of_a_dead_daemon_of_this_machine_is_no_obstacle_and_is_given_back(claimed):
    async def lease(ledger, holder):
        await ledger.lease(holder, claimed.now() + timedelta(minutes=5))

    with open_ledger(claimed.state / LEDGER, xo=claimed.url, clock=claimed.now, instance=INSTANCE) as dead:
        asyncio.run(lease(dead, socket.gethostname()))
    assert claimed.guard("release")[0] == 0
    with open_ledger(claimed.state / LEDGER, xo=claimed.url, clock=claimed.now, instance=INSTANCE) as daemon:
        asyncio.run(lease(daemon, "anybody"))


def test_the_lease_of_another_machine_is_respected(claimed):
    async def lease(ledger):
        await ledger.lease("elsewhere", claimed.now() + timedelta(minutes=5))

    with open_ledger(claimed.state / LEDGER, xo=claimed.url, clock=claimed.now, instance=INSTANCE) as other:
        asyncio.run(lease(other))
    code, out, err = claimed.guard("release")
    assert (code, out) == (1, "")
    assert "is held by elsewhere" in err
    assert not claimed.is_on


def test_an_xo_that_stays_away_leaves_the_claim_and_exits_with_2(claimed, monkeypatch):
    monkeypatch.setattr(releasing, "LONGEST_S", 0.5)
    monkeypatch.setattr(releasing, "EVERY_S", 0.1)
    claimed.faults.plant("/rest/v0/schedules", HttpStatus(503, "gone"))
    code, out, err = claimed.guard("release")
    assert code == 2
    assert "still claimed: the schedule may be off in XO" in " ".join(out.split())
    assert "guard: within 0.5 s not everything could be given back" in err
    assert not claimed.is_on


def test_all_leaves_the_fallbacks_of_a_schedule_that_is_still_off(claimed, monkeypatch):
    monkeypatch.setattr(releasing, "LONGEST_S", 0.5)
    claimed.faults.plant("/rest/v0/schedules", HttpStatus(503, "gone"))
    code, out, _ = claimed.guard("release", "--all")
    assert (code, claimed.is_on, len(claimed.fallbacks)) == (2, False, 2)
    assert out.count("Left in XO: guard[") == 2


def test_a_channel_whose_secret_is_missing_keeps_no_schedule_off(claimed):
    text = claimed.policy.read_text() + '[notify.webhook]\nurl = "https://hook.example"\ntoken_file = "/nowhere/hook"\n'
    claimed.policy.write_text(text)
    code, _, err = claimed.guard("release")
    assert (code, claimed.is_on, err.count("\n")) == (0, True, 1)
    assert err.startswith("guard: nothing is told by webhook: ")


def without_ledger(place):
    for suffix in ("", "-wal", "-shm"):
        (place.state / f"{LEDGER}{suffix}").unlink(missing_ok=True)


def test_a_state_folder_without_a_ledger_has_nothing_to_release(place):
    without_ledger(place)
    assert place.guard("release") == (0, f"Nothing to release: {place.state} holds no ledger.\n", "")


def test_without_a_ledger_all_tells_of_a_timeout_file_that_stands(place, tmp_path):
    without_ledger(place)
    etc = tmp_path / "xo-server"
    etc.mkdir()
    place.policy.write_text(f'{place.policy.read_text()}[remedies]\nxo_config = "{etc}"\n')
    assert place.guard("release", "--all")[0] == 0
    wanted = Wanted(value_ms=1_800_000, until=place.now() + timedelta(days=30), reason="r", by="anna")
    timeout_file.apply(etc, wanted, place.now())
    code, out, _ = place.guard("release", "--all")
    assert (code, "guard's httpInactivityTimeout file" in out) == (2, True)
    assert place.guard("release")[0] == 0


def test_a_wrong_duration_is_one_sentence(place):
    code, out, err = place.guard("release", "--stale", "soon")
    assert (code, out) == (1, "")
    assert err.startswith("guard: --stale 'soon': expected a duration such as")
