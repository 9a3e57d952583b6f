from __future__ import annotations

from typing import Annotated

import msgspec
import pytest
from guard.policy.words import in_plain_words
from msgspec import Meta


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (int, "x", "expected a whole number, got a text"),
        (int, 1.5, "expected a whole number, got a number"),
        (float | None, "x", "expected a number, got a text"),
        (bool, 1, "expected true or false, got a whole number"),
        (str | None, [], "expected a text, got a list"),
        (tuple[str, ...], {}, "expected a list, got a table"),
        (tuple[str, ...], [5], "expected each value to be a text, got a whole number"),
        (dict[str, str], {"a": 5}, "expected each value to be a text, got a whole number"),
        (Annotated[int, Meta(ge=10)], 5, "expected a whole number, at least 10"),
        (Annotated[float, Meta(le=100)], 101, "expected a number, at most 100"),
        (
            tuple[Annotated[str, Meta(pattern="^/")], ...],
            ["var"],
            'expected each value to be a text that begins with "/"',
        ),
        (Annotated[str, Meta(min_length=2)], "x", "expected a text of length >= 2"),
        (str, b"x", "expected a text, got bytes"),
    ],
)
def test_what_msgspec_says_of_a_type_is_said_in_plain_words(kind, value, told):
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, kind)
    assert in_plain_words(str(caught.value)) == told


def test_what_is_no_word_on_a_type_stays_as_it_is():
    assert in_plain_words("Invalid enum value 'x'") == "Invalid enum value 'x'"
