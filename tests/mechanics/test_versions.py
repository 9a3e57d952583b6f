"""On which xo-server guard may act."""

from __future__ import annotations

import pytest
from guard.mechanics.versions import TESTED, is_tested


@pytest.mark.parametrize("version", sorted(TESTED))
def test_guard_may_act_on_a_version_it_was_tried_on(version):
    assert is_tested(version)


def test_guard_may_act_on_a_version_that_a_person_accepts_and_on_no_other():
    assert is_tested("5.300.0", ("5.300.0",))
    assert not is_tested("5.300.0", ("5.300.1",))
    assert not is_tested("")
