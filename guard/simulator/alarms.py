"""Alarms: XAPI messages of a few names, which XO shows apart from the others and in a shape of their own."""

from __future__ import annotations

import math
import re

from guard.simulator.shapes import XoObject

NAMES = ("alarm", "bond_status_changed", "multipath_periodic_alert")
"""In lower case; XO looks for them anywhere in a message's name."""
RAISED = re.compile(r'value:\s*(-?Infinity|NaN|[0-9]+(?:\.[0-9]+)?)\s*config:\s*<variable>\s*<name value="(.*?)"')
"""How XAPI words what a measured value has set off: the value, a part of 1, and what was measured."""


def is_alarm(message: XoObject) -> bool:
    return any(name in message["name"].lower() for name in NAMES)


def alarm_of(message: XoObject, about: XoObject | None) -> XoObject:
    """``about``: the object it is about, None where XO does not know it. ``time`` is in ms here; the value in percent."""
    raised = RAISED.match(message["body"])
    body: XoObject = {"name": message["body"] if raised is None else raised[2]}
    if raised is not None:
        value = float(raised[1])
        body["value"] = f"{value * 100:.1f}" if math.isfinite(value) else raised[1]
    target: XoObject = {"type": "unknown", "uuid": message["$object"]}
    if about is not None:
        href = f"/rest/v0/{about['type'].lower()}s/{about['uuid']}"
        target = {"type": about["type"], "uuid": about["uuid"], "href": href}
    kept = {key: value for key, value in message.items() if key != "$object"}
    return kept | {"body": body, "object": target, "time": message["time"] * 1000}
