"""Tasks of a backup log while they are written: opened, moved on, closed with the status XO shows (times: ms)."""

from __future__ import annotations

from random import Random

from guard.simulator.runs import base36, failed_status, result_of
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import Timeline

LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


def failing(name: str, message: str, **more: object) -> XoObject:
    """The object XO logs for an error."""
    return {**more, "message": message, "name": name}


class LogTasks:
    """Writes tasks into logs; ids come from a seed, so the same script gives the same logs."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._random = Random(20_261_122)  # noqa: S311 - ids, not secrets

    def moment(self) -> int:
        return round(self._timeline.now().timestamp() * 1000)

    def new_id(self, moment: int) -> str:
        tail = "".join(self._random.choices(LETTERS, k=11))
        return f"{base36(moment):0>9}-{tail}"

    def open(self, parent: XoObject, message: str, data: XoObject | None = None) -> XoObject:
        """A task below a log or another task, pending from now on."""
        moment = self.moment()
        task: XoObject = {"id": self.new_id(moment), "start": moment, "status": "pending", "message": message}
        if data is not None:
            task["data"] = data
        parent.setdefault("tasks", []).append(task)
        return task

    def close(self, task: XoObject, result: object = None, error: str | XoObject | None = None) -> None:
        """The end of a task or a log: ``result`` of a good one, ``error`` as XO logs it."""
        task["end"] = self.moment()
        if error is not None:
            result = result_of(error)
        if result is not None:
            task["result"] = result
        task["status"] = status_of("success" if error is None else failed_status(task["result"]), task.get("tasks", []))

    def quick(self, parent: XoObject, message: str, result: object, started: int) -> XoObject:
        """A task that began at ``started`` (ms) and ends now."""
        task = self.open(parent, message)
        task["start"] = started
        self.close(task, result)
        return task


def status_of(own: str, tasks: list[XoObject]) -> str:
    """XO's rule (failure-modes.md 2): failure over skipped over success; a failed task that a good one of the same
    kind made up for, after a retry, does not count."""
    if own == "failure":
        return own
    good = {kind_of(task) for task in tasks if task["status"] == "success"}
    left = [task["status"] for task in tasks if kind_of(task) not in good or task["status"] == "success"]
    return next((status for status in ("failure", "skipped") if status == own or status in left), own)


def kind_of(task: XoObject) -> tuple[str, str]:
    """What makes two tasks the same one tried twice: the message and what it is about."""
    return task["message"], task.get("data", {}).get("id", "")
