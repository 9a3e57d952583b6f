"""XO's filter language: what matches, and what XO says about a text it cannot parse."""

from __future__ import annotations

import pytest
from guard.simulator.filters import FilterError, compile_filter

OBJECT = {
    "name_label": "Web-01 (prod)",
    "power_state": "Running",
    "status": "disconnected",
    "tags": ["prod", "customer=acme"],
    "size": 32,
    "start": 1755000000001,
    "nothing": None,
    "flag": True,
    "empty": {},
    "zero": 0,
    "memory": {"size": 2048},
    "$SR": "a-b-c",
    "type": "VDI-unmanaged",
    "path": "a/b",
    "text": "2048",
    "two_lines": "first\nsecond\n",
}

MATCHING = [
    "",
    "web",
    "WEB-01",
    '"web-01 (p"',
    "status:connected",
    "power_state:/^Running$/",
    "power_state:/^running$/i",
    "tags:prod",
    "tags:acme",
    "memory:size:2048",
    "memory:size:>2000",
    "size:32",
    "size:>=32 size:<=32 size:<33",
    "start:>1755000000000",
    "flag?",
    "empty?",
    "!zero?",
    "!missing?",
    "!missing:x",
    "nothing:<1",
    "$SR:a-b-c",
    '"$SR":"a-b-c"',
    "w*01",
    "name_label:w*prod",
    "|(nope web)",
    "|(id:/^a$/ $SR:/^a-b-c$/)",
    "type:|(/^VDI-unmanaged$/ /^VUSB$/ /^task$/)",
    "(web !(nope))",
    "  web   prod  ",
    r"path:/^a\/b$/",
    "tags:0:prod",
    "tags:length:2",
    "tags:length:>1",
    "tags:length?",
    "name_label:0:w",
    "name_label:length:13",
    "size:0x20",
    "size:<Infinity",
    "size:>0x1f",
    "flag:>0",
    "text:>2047",
]

NOT_MATCHING = [
    "nope",
    "power_state:/^running$/",
    "status:/^connected$/",
    "size:33",
    "size:>32",
    "missing:>0",
    "missing:<0",
    "memory:size:9999",
    "memory:sizes:2048",
    "zero?",
    "nothing?",
    "!web",
    "web nope",
    "|(nope neither)",
    "tags:size",
    "type:/^VDI$/",
    "tags:2:prod",
    "size:length?",
    "tags:01:prod",
    "nothing:length:0",
    "two_lines:/first$/",
    "two_lines:/second$/",
]


@pytest.mark.parametrize("text", MATCHING)
def test_a_filter_matches(text: str) -> None:
    assert compile_filter(text)(OBJECT)


@pytest.mark.parametrize("text", NOT_MATCHING)
def test_a_filter_does_not_match(text: str) -> None:
    assert not compile_filter(text)(OBJECT)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        *[("((", 0), ("web (", 4), ("web )", 4), ("|(", 0), ("a b (c", 4)],
        *[("!", 0), ("/open", 0), ("٣", 0), ("x²", 1)],
    ],
)
def test_a_text_that_is_no_filter_is_refused_at_the_right_place(text: str, position: int) -> None:
    with pytest.raises(FilterError, match=f"expected end of input at position {position}$") as caught:
        compile_filter(text)
    assert caught.value.text == text


@pytest.mark.parametrize("text", ["size:>many", "name:/(/"])
def test_a_number_or_expression_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(FilterError):
        compile_filter(text)
