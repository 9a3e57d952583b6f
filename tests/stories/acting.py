"""A guard that enforces in a small world, for stories."""

from __future__ import annotations

import msgspec
from guard.gate.watch import BRAKES, CONFIRMED
from guard.lifecycle.due_run import fold
from guard.policy.load import load
from tests.gate.night import word
from tests.stories.driven import Guarded
from tests.stories.in_process import URL
from tests.virtual_time import run as finished


def enforcing(more: str = "", claim: str = "when_needed"):
    """A policy that acts on every schedule."""
    text = (
        f'[xo]\nurl = "{URL}"\nzone = "utc"\n[defaults]\ngate = "enforce"\nclaim = "{claim}"\nmax_defer = "1 h"\n{more}'
    )
    return load(text, file="guard.toml")


class Enforcing(Guarded):
    """``trusted``: real starts agreed with guard before."""

    def __init__(self, live, path, *, claim="when_needed", more="", trusted=True, **options):
        super().__init__(live, path, policy=enforcing(more, claim), **options)
        if trusted:
            known = {
                one["id"]: f"{one['cron']}|{one.get('timezone') or 'utc'}" for one in live.world.schedules.values()
            }
            finished(self.ledger.remember(CONFIRMED, msgspec.json.encode(known)))
            finished(self.ledger.mark(dict.fromkeys(known, live.now())))

    def brake(self, *brakes):
        finished(self.ledger.remember(BRAKES, msgspec.json.encode(brakes)))

    def run_of(self, schedule):
        """The latest due run of a schedule."""
        found = {key: events for key, events in self.stories().items() if key.schedule == schedule["id"]}
        key = max(found)
        return fold(key, found[key])

    def tale(self, schedule):
        found = {key: events for key, events in self.stories().items() if key.schedule == schedule["id"]}
        return [word(event) for event in found[max(found)]]

    def methods(self):
        """What was written to XO, in order."""
        return [one.method for one in self.live.world.writes]


def starts_of(live, schedule):
    return [one for one in live.world.starts if one.schedule_id == schedule["id"]]


def left_behind(live):
    """Schedules that are off, and call jobs that are guard's."""
    return [one["name"] for one in live.world.schedules.values() if not one["enabled"]] + [
        job["name"] for job in live.world.call_jobs.values() if job["name"].startswith("guard[")
    ]
