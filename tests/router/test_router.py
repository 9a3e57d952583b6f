"""The simulator's REST face against XO's published router, in front of the same world, request by request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from guard.simulator.live import Live
from guard.simulator.serve import running
from guard.simulator.world import World
from tests.router import house as houses
from tests.router.compare import Answers, difference
from tests.router.questions import AS_ADMIN, Question, all_questions, guards_own
from tests.router.router import require_router, running_router

pytestmark = pytest.mark.made_up_secrets("the stub of XO is told its tokens by a file")
RECORDED = Path(__file__).parents[1] / "recordings" / "logs" / "rest_schedule_run_failures.task.json"


@dataclass(frozen=True)
class Allowed:
    """A difference that is not the simulator's fault. ``part``: how it begins, so that nothing else hides behind it."""

    reason: str
    requests: Callable[[str], bool]
    part: str


OLDER_MATCHER = "complex-matcher 0.7.0 compares numbers only; XO's is newer and converts null, texts and booleans"
ALLOWED = {
    "a comparison with null": Allowed(OLDER_MATCHER, lambda name: "filter=startTime%3A%3C1" in name, ".body: 0 rows"),
    "a comparison with a text": Allowed(
        OLDER_MATCHER, lambda name: "filter=other%3Asize%3A%3E" in name, ".body: 0 rows"
    ),
    "a comparison with true": Allowed(OLDER_MATCHER, lambda name: "filter=auto_poweron%3A%3E" in name, ".body: 0 rows"),
    "XO's API document": Allowed(
        "it is under XO's own licence: the simulator has a document of its own, for its own routes",
        lambda name: name.startswith("GET /docs/swagger.json"),
        ".body.components: only the router has it",
    ),
}


def allowed_as(question: Question, found: str) -> str:
    """The name of the allowed difference this is, '' for one that is not allowed."""
    fitting = (name for name, one in ALLOWED.items() if one.requests(question.name) and found.startswith(one.part))
    return next(fitting, "")


@contextmanager
def both(world: World, scratch: Path, failures: dict[str, Any] | None = None) -> Iterator[tuple[Answers, Answers]]:
    """The router's answers and the simulator's."""
    dumped = houses.dump(world, failures)
    with running_router(dumped, scratch) as router_url, running(world) as simulator_url:
        router, simulator = Answers(router_url), Answers(simulator_url)
        try:
            yield router, simulator
        finally:
            router.close()
            simulator.close()


@pytest.mark.oracle
def test_every_request_is_answered_as_by_the_published_router(tmp_path, capsys):
    require_router()
    house = houses.build()
    questions = all_questions(house)
    own = len({question.name for question in guards_own(house)})
    differing, allowed = [], []
    with both(house.world, tmp_path) as (router, simulator):
        for question in questions:
            found = difference(router.of(question), simulator.of(question))
            if name := found and allowed_as(question, found):
                allowed.append((name, question.name))
            elif found:
                differing.append(f"{question.name}: {found}")
    with capsys.disabled():
        print(f"\nrouter @xen-orchestra/rest-api: {len(questions)} requests ({own} as guard sends them), ", end="")
        print(f"{len(differing)} differences, {len(allowed)} allowed:")
        for name, one in ALLOWED.items():
            print(f"  {name}: {sum(found == name for found, _ in allowed)} ({one.reason})")
    assert differing == []
    assert {name for name, _ in allowed} == set(ALLOWED)
    assert len(questions) >= 60


def test_guard_sends_nothing_that_is_not_compared():
    heard = [one.path.partition("?")[0] for one in guards_own(houses.build())]
    assert {"/ping", "/tasks", "/backup-logs", "/backup-jobs", "/schedules", "/servers", "/vms", "/vdis"} <= set(heard)


@pytest.mark.parametrize(
    ("router", "simulator", "found"),
    [
        ({"status": 200, "body": []}, {"status": 200, "body": []}, ""),
        ({"status": 200, "body": [1]}, {"status": 404, "body": []}, ".status: router 200, simulator 404"),
        ({"body": [1, 2]}, {"body": [2, 1]}, ".body[0]: router 1, simulator 2"),
        ({"body": [1, 2]}, {"body": [1]}, ".body: 2 rows by the router, 1 by the simulator"),
        ({"a": 1}, {}, ".a: only the router has it: 1"),
        ({}, {"a": None}, ".a: only the simulator has it: null"),
        ({"a": 1}, {"a": True}, ".a: router 1, simulator true"),
        ({"a": 1}, {"a": 1.0}, ""),
        ({"a": "1"}, {"a": 1}, '.a: router "1", simulator 1'),
    ],
)
def test_a_difference_is_noticed(router, simulator, found):
    assert difference(router, simulator) == found


# --- starts


class Acting:
    """A world that lives, one schedule each for a run that goes well and for those that fail as a whole."""

    def __init__(self) -> None:
        house = houses.build()
        self.world = world = house.world
        schedules = {one["name"]: one for one in world.schedules.values()}
        self.good, self.none_match = schedules["mail nightly"], schedules["staging nightly"]
        self.running = next(one for one in world.schedules.values() if one["jobId"] == house.log["jobId"])
        self.sequence = next(one for one in world.schedules.values() if one["jobId"] == house.sequence["id"])
        orphan = {"id": "no-such-job", "name": "gone"}
        self.orphan = world.add_schedule(orphan, "0 3 * * *", with_settings=False, enabled=False)
        self.live = Live(world)

    def failures(self) -> dict[str, Any]:
        """By schedule, the errors a real xo-server was seen to end such runs with; the rest is the router's work."""
        recorded = json.loads(RECORDED.read_text())["F05 no match"]["task"]["result"]
        data = {"jobId": self.none_match["jobId"], "scheduleId": self.none_match["id"], "runJobId": "?"}
        busy = f"the job ({self.running['jobId']}) is already running"
        return {
            self.none_match["id"]: {"message": recorded["message"], "code": recorded["code"], "data": data},
            self.running["id"]: {"message": busy},
        }

    def wait_for(self, answers: Answers, question: Question) -> Any:
        """The answer of the simulator, whose time goes on meanwhile."""
        found: list[Any] = []
        asking = Thread(target=lambda: found.append(answers.of(question)))
        asking.start()
        while asking.is_alive():
            self.live.advance(timedelta(seconds=10))
            asking.join(0.002)
        return found[0]


def start(schedule: dict[str, Any], query: str = "") -> Question:
    return Question(f"/schedules/{schedule['id']}/actions/run{query}", "POST", AS_ADMIN)


def without_run_id(answer: Any) -> Any:
    data = answer["body"].get("data", {}) if isinstance(answer["body"], dict) else {}
    return answer | {"body": answer["body"] | {"data": data | {"runJobId": "?"}}} if "runJobId" in data else answer


STARTS = ("good", "none_match", "running", "sequence", "orphan")


@pytest.mark.oracle
def test_a_start_that_is_waited_for_ends_as_by_the_published_router(tmp_path, capsys):
    require_router()
    acting = Acting()
    with both(acting.world, tmp_path, acting.failures()) as (router, simulator):
        found = {}
        for name in STARTS:
            question = start(getattr(acting, name), "?sync=true")
            theirs, ours = router.of(question), acting.wait_for(simulator, question)
            found[name] = difference(without_run_id(theirs), without_run_id(ours))
            with capsys.disabled():
                print(f"\nrouter, a start that is waited for, {name}: {theirs['status']}", end="")
    assert found == dict.fromkeys(STARTS, "")


@pytest.mark.oracle
def test_a_start_is_answered_with_a_task_as_by_the_published_router(tmp_path):
    require_router()
    acting = Acting()
    with both(acting.world, tmp_path, acting.failures()) as (router, simulator):
        tasks = {}
        for name in STARTS:
            question = start(getattr(acting, name))
            tasks[name] = task_of(router.of(question)), task_of(simulator.of(question))
        acting.live.advance(timedelta(hours=2))  # less, and the sequence goes on; more, and the demo's night begins
        for name, (theirs, ours) in tasks.items():
            answers = outline(router.of(Question(theirs))), outline(simulator.of(Question(ours)))
            assert difference(*answers) == "", name
            assert answers[0]["body"]["status"] == ("success" if name in {"good", "sequence"} else "failure")


def task_of(answer: Any) -> str:
    """Where the task of a start is: the answer names it twice."""
    assert (answer["status"], answer["content-type"]) == (202, "application/json; charset=utf-8")
    assert answer["body"].keys() == {"taskId"}
    assert answer["location"] == f"/rest/v0/tasks/{answer['body']['taskId']}"
    return answer["location"].removeprefix("/rest/v0")


def outline(answer: Any) -> Any:
    """A task without its id and times; its ``result`` is written by the stand-in of @vates/task."""
    left_out = {"id", "start", "end", "updatedAt", "result"}
    return answer | {"body": {key: value for key, value in answer["body"].items() if key not in left_out}}
