"""What is said where the policy's file is broken."""

from __future__ import annotations

import pytest
from guard.views.broken_policy import nagios, warnings

BROKEN = ("g.toml:3: defaults.gaet = 'on'|off: unknown key", "g.toml:9: xo.zone = 'x': no zone")


def test_each_problem_is_a_line_and_then_what_is_done_about_it():
    assert warnings(BROKEN) == [
        f"warning: {BROKEN[0]}",
        f"warning: {BROKEN[1]}",
        "warning: goes on with [xo] of the policy that was last in force",
    ]
    assert warnings(()) == []
    assert "\x1b" not in warnings(["\x1b[31m"])[0]


@pytest.mark.parametrize("code", [1, 2, 3])
def test_monitoring_hears_of_it_where_nothing_is_worse(code):
    line = "GUARD OK - 0 runs going on|age=1s"
    assert nagios(0, line, BROKEN) == (
        1,
        "GUARD WARNING - the policy has 2 errors: g.toml:3: defaults.gaet = 'on'/off: unknown key|age=1s",
    )
    assert nagios(code, "GUARD X - y", BROKEN) == (code, "GUARD X - y")
    assert nagios(0, line, ()) == (0, line)
    assert nagios(0, "GUARD OK - x", BROKEN)[1].endswith("unknown key")
