"""How much a JSON text would take once it is read."""

from __future__ import annotations

import msgspec
import pytest
from guard.errors import CaptureError
from guard.estate import crowded
from guard.estate.capture import from_bytes, to_bytes
from guard.estate.crowded import is_crowded
from tests.builders import make_estate


@pytest.mark.parametrize(
    ("text", "told"), [(b"[0,0,0,0]", True), (b"[[[[]]]]", True), (b'{"a":{}}', False), (b"0", False)]
)
def test_a_text_is_crowded_by_the_values_that_it_holds(monkeypatch, text, told):
    monkeypatch.setattr(crowded, "MOST_VALUES", 3)
    assert is_crowded(text) is told
    assert is_crowded(msgspec.Raw(text)) is told


def test_a_crowded_capture_is_refused(monkeypatch):
    monkeypatch.setattr(crowded, "MOST_VALUES", 3)
    with pytest.raises(CaptureError, match="holds more than"):
        from_bytes(to_bytes(make_estate()))
