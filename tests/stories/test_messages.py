"""What a person is told of a quiet night and of bad ones: how many messages, and what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from guard.daemon.news import News
from guard.daemon.nightly import Nightly
from guard.lifecycle.events import End
from guard.notify.ports import Queued
from guard.notify.queue import Queue
from guard.notify.route import Limits, Route, for_people
from guard.simulator.live import Live
from guard.simulator.world import GIB, World
from tests.notify.told import Recorder
from tests.stories.acting import Enforcing
from tests.stories.small_world import EVENING, happens, small_world

DAY = timedelta(days=1)
MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
EIGHT = MIDNIGHT + timedelta(hours=8)
MESSAGES = (Path(__file__).parents[2] / "docs" / "messages.md").read_text(encoding="utf-8")


class Passing:
    """The gate's Teller before its ledger is open: passes all on to ``news``."""

    def __init__(self, house):
        self._house = house

    def __getattr__(self, name):
        return getattr(self._house.news, name)


class Told(Enforcing):
    """A guard with a mailbox: ``mail.sent`` is what a person reads, in order."""

    def __init__(self, live, path, **options):
        self.mail = Recorder("mail")
        super().__init__(live, path, **options)
        for night in range(10):  # the daemon looks twice a minute; here something has to say when
            self.must_look.append(MIDNIGHT + night * DAY + timedelta(hours=7, seconds=10))

    def start(self):
        self.ear = Passing(self)
        super().start()
        limits = Limits(time_limit_s=5)
        queue = Queue(self.ledger.outbox(Queued), [Route(self.mail, for_people())], limits, clock=self.clock)
        self.news = News(queue.tell, lambda: UTC, lambda: self.policy, self.ledger)
        self.queue = queue
        self.nightly = Nightly(
            self.ledger,
            self.ledger.outbox(Queued),
            self.news,
            clock=self.clock,
            policy_of=lambda: self.policy,
            zone=lambda: UTC,
        )

    async def _beside(self):
        """After each look."""
        await super()._beside()
        await self.nightly.look(None)
        await self.queue.pump(self.clock())

    def read(self):
        """What was sent since the last time: (pages, digests)."""
        sent, self.mail.sent = self.mail.sent, []
        return [one for one in sent if one.tier == "page"], [one for one in sent if one.tier == "digest"]


def shown(message):
    """As docs/messages.md shows it."""
    return "".join(f"    {line}\n" if line else "\n" for line in (message.title, "", *message.text.splitlines()))


def titles(messages):
    return [one.title for one in messages]


@pytest.mark.parametrize("claim", ["when_needed", "always"])
def test_a_quiet_night_is_no_page_and_one_short_digest(tmp_path, claim):
    guarded = Told(small_world(long_minutes=20), tmp_path / "ledger", claim=claim)
    guarded.run(EIGHT)
    pages, (digest,) = guarded.read()
    assert pages == []
    assert digest.title == "Quiet night: 7 due runs, all went well"
    assert len(digest.text.splitlines()) == 1
    assert shown(digest) in MESSAGES
    guarded.run(EIGHT + 2 * DAY)
    pages, digests = guarded.read()
    assert (pages, titles(digests)) == ([], ["Quiet night: 9 due runs, all went well"] * 2)
    guarded.close()


def bad_world():
    """Six jobs of one VM: good, an array that gives read errors, a chain that needs an hour, one that never coalesces, a
    repository without room, and one whose due time XO sleeps through.
    """
    world = World(lambda: EVENING)
    pool = world.add_pool("paris")
    nfs, lazy = world.add_sr(pool, "NFS", "nfs", size=500 * GIB), world.add_sr(pool, "Lazy", "nfs", size=500 * GIB)
    slow = world.add_sr(pool, "Slow", "nfs", size=500 * GIB)
    nas = world.add_repository("nas", size=1000 * GIB, available=900 * GIB)
    usb = world.add_repository("usb", size=40 * GIB, available=GIB // 8)
    vms = {}

    def planned(name, cron, sr=nfs, to=nas):
        vms[name] = world.add_vm(pool, f"{name} VM")
        world.add_disk(vms[name], sr, 4 * GIB, usage=1 * GIB)
        job = world.add_job(name, vms=[vms[name]], remotes=[to], mode="full" if to is usb else "delta")
        world.add_schedule(job, cron, name=name, settings={"exportRetention": 3})

    planned("good", "0 1 * * *")
    planned("array", "30 1 * * *")
    planned("chain", "0 2 * * *", slow)
    planned("lazy", "30 2 * * *", lazy)
    planned("usb", "0 3 * * *", to=usb)
    planned("asleep", "0 4 * * *")
    live = Live(world)
    for sr, name in ((slow, "chain"), (lazy, "lazy")):
        (disk,) = world.disks_of(vms[name])
        live.collector.switch_off(sr)
        world.add_base_copies(disk, 4)
    live.planted.fail_exports(vms["array"], "VDI_IO_ERROR", times=9)
    happens(live, MIDNIGHT + timedelta(hours=2, minutes=25), lambda: live.collector.switch_on(slow))
    happens(live, MIDNIGHT + timedelta(hours=3, minutes=50), live.stop_xo)
    happens(live, MIDNIGHT + timedelta(hours=4, minutes=20), live.start_xo)
    return live


def bad_nights(tmp_path, more=""):
    return Told(bad_world(), tmp_path / "ledger", more=more)


ARRAY = "array / array: failure (DISK_UNREADABLE)"
LAZY = "lazy / lazy: skipped (CHAIN_UNHEALTHY)"
BY_DAY = [  # what failed first, then in the order of time
    LAZY,
    "chain / chain: defer (CHAIN_UNHEALTHY)",
    "lazy / lazy: defer (CHAIN_UNHEALTHY)",
    "usb / usb: refuse (REPOSITORY_NO_SPACE)",
    "XO can be read again: XO_UNREADABLE is over",
    "asleep / asleep: XO_DID_NOT_FIRE",
]


def entries(digest):
    """The titles of what a digest is made of."""
    return [line.partition(" UTC: ")[2] for line in digest.text.splitlines() if " UTC: " in line[:25]]


def test_a_bad_night_pages_for_what_costs_backups_and_needs_a_person_and_the_rest_is_one_digest(tmp_path):
    guarded = bad_nights(tmp_path)
    guarded.run(EIGHT)
    pages, (digest,) = guarded.read()
    assert titles(pages) == [ARRAY, "usb / usb: RUN_REFUSED", "XO cannot be read (XO_UNREADABLE)"]
    assert digest.title == "Digest of 2026-11-24: 6 due runs: 3 did not go well"
    assert digest.text.startswith("6 due runs: 3 did not go well\nSince Mon 23 Nov 20:00 UTC: 6 due runs ended, 3 VMs")
    assert "\nPaged meanwhile: DISK_UNREADABLE, RUN_REFUSED, XO_UNREADABLE.\n" in digest.text
    assert entries(digest) == BY_DAY
    assert digest.text.count("To do: On the pool master: xe sr-param-remove") == 3  # foreseen and failed: the same word
    assert "To do: Wait" not in digest.text
    assert "guard could not read XO at that time" in digest.text
    for message in pages:
        reason, *_, then = message.text.splitlines()
        assert any(figure.isdigit() for figure in reason)
        assert "\nTo do: " in message.text
        assert then.startswith("Next: guard ")
    assert shown(pages[0]) in MESSAGES
    assert shown(pages[1]) in MESSAGES
    refused = pages[1].text
    assert "128.0 MiB free, this run is expected to write up to 1.0 GiB" in refused
    assert "`guard start usb --override REPOSITORY_NO_SPACE --reason TEXT`" in refused
    guarded.close()


def test_what_stays_the_same_the_next_night_wakes_nobody(tmp_path):
    guarded = bad_nights(tmp_path)
    guarded.run(EIGHT)
    guarded.read()
    guarded.start()  # a restart forgets nothing
    guarded.run(EIGHT + DAY)
    pages, (digest,) = guarded.read()
    assert pages == []
    assert entries(digest) == [ARRAY, LAZY, *BY_DAY[2:4], "usb / usb: RUN_REFUSED"]
    assert digest.text.count("The same since Tue 24 Nov") == 2
    guarded.close()


def test_what_a_person_accepted_is_in_the_story_and_told_to_nobody(tmp_path):
    word = 'until = 2026-11-25T12:00:00Z\nreason = "a larger disk is ordered"\n'
    more = f'[[accept]]\ncode = "REPOSITORY_NO_SPACE"\nscope = "repository:usb"\n{word}'
    more += f'[[accept]]\ncode = "CHAIN_UNHEALTHY"\nscope = "vm:lazy VM"\n{word}'
    guarded = bad_nights(tmp_path, more)
    guarded.run(EIGHT)
    pages, (digest,) = guarded.read()
    assert titles(pages) == [ARRAY, "XO cannot be read (XO_UNREADABLE)"]
    assert entries(digest) == [BY_DAY[1], *BY_DAY[4:]]
    assert "accept of REPOSITORY_NO_SPACE for repository:usb ends on 2026-11-25T12:00:00+00:00: a larger" in digest.text
    usb = next(one for one in guarded.live.world.schedules.values() if one["name"] == "usb")
    run = guarded.run_of(usb)
    assert run.ended.end is End.REFUSED  # accepted, and refused all the same
    (found,) = (one for one in run.decided.verdict.findings if one.code == "REPOSITORY_NO_SPACE")
    assert found.accepted.reason == "a larger disk is ordered"
    guarded.run(EIGHT + DAY + timedelta(hours=8))
    pages, _ = guarded.read()
    ended = [one for one in pages if one.title.startswith("Accepted until")]
    assert {one.title.partition(": ")[2] for one in ended} == {
        "REPOSITORY_NO_SPACE for repository:usb",
        "CHAIN_UNHEALTHY for vm:lazy VM",
    }
    assert all("and it is still there" in one.text for one in ended)
    guarded.run(EIGHT + 2 * DAY)
    pages, _ = guarded.read()
    assert "usb / usb: RUN_REFUSED" in titles(pages)
    guarded.close()
