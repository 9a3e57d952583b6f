"""What guard answers to an oracle's question, in the oracle's words."""

from __future__ import annotations

from guard.mechanics.cron import CronError, to_minute, to_time, xo_next
from guard.mechanics.pattern import matches


def ours(question):
    if question["op"] == "match":
        return {"result": matches(question["pattern"], question["value"])}
    starts, at = [], to_time(question["after"])
    try:
        for _ in range(question["count"]):
            at = xo_next(question["expression"], question["zone"], at)
            starts.append(to_minute(at))
    except CronError:
        return {"error": True}
    return {"result": starts}


def differences(questions, answers):
    found = []
    for question, answer in zip(questions, answers, strict=True):
        mine = ours(question)
        if ("error" in answer) != ("error" in mine) or ("error" not in answer and mine != answer):
            found.append((question, answer, mine))
    return found
