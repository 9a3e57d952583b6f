"""Alarms are XAPI messages that XO shows apart."""

from __future__ import annotations

from typing import Any

import pytest
from guard.simulator.alarms import alarm_of
from tests.simulator.faces import get
from tests.simulator.worlds import Small, small_world

CPU = 'value: 0.912345\nconfig:\n<variable>\n<name value="cpu_usage"/>\n<alarm_trigger_level value="0.4"/>\n</variable>'


def alarmed() -> tuple[Small, dict[str, Any], dict[str, Any]]:
    small = small_world()
    return small, small.world.add_message(small.thin, "ALARM", CPU), small.world.add_message(small.thin, "VM_STARTED")


def test_an_alarm_is_no_message_and_a_message_no_alarm() -> None:
    small, alarm, message = alarmed()
    assert get(small.world, "/messages").json() == [f"/rest/v0/messages/{message['id']}"]
    assert get(small.world, "/alarms").json() == [f"/rest/v0/alarms/{alarm['id']}"]
    for collection, one in (("messages", alarm), ("alarms", message)):
        answer = get(small.world, f"/{collection}/{one['id']}")
        assert (answer.status_code, answer.json()["data"]["type"]) == (404, collection.removesuffix("s"))


def test_an_alarm_says_what_was_measured_and_of_what() -> None:
    small, alarm, _ = alarmed()
    shown = get(small.world, f"/alarms/{alarm['id']}").json()
    about = {"type": "VM", "uuid": small.thin["id"], "href": f"/rest/v0/vms/{small.thin['id']}"}
    assert (shown["body"], shown["object"]) == ({"value": "91.2", "name": "cpu_usage"}, about)
    assert shown["time"] == alarm["time"] * 1000
    assert "$object" not in shown


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("the bond is: 1/2 up", {"name": "the bond is: 1/2 up"}),
        (CPU.replace("0.912345", "NaN"), {"value": "NaN", "name": "cpu_usage"}),
        (CPU.replace("0.912345", "1"), {"value": "100.0", "name": "cpu_usage"}),
    ],
)
def test_an_alarm_of_another_text_is_shown_as_it_is(text: str, body: dict[str, str]) -> None:
    shown = alarm_of({"name": "ALARM", "body": text, "time": 1, "$object": "gone"}, None)
    assert shown == {"name": "ALARM", "body": body, "object": {"type": "unknown", "uuid": "gone"}, "time": 1000}
