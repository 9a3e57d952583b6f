"""Regular expressions of a filter, as JavaScript reads them (compared with the real thing in tests/router)."""

from __future__ import annotations

import pytest
from guard.simulator.expressions import compiled


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("^web-[0-9]$", "web-1"),
        ("b.e", "b e"),
        ("[[]", "a[b"),
        ("[$.]$", "a."),
        ("\\$", "5 $"),
        ("a\\/b", "a/b"),
        ("\\Aweb", "Aweb"),
        ("b\\Z$", "bZ"),
        ("\\w\\d\\s\\S", "a1 x"),
        ("a[^]b", "a\nb"),
    ],
)
def test_an_expression_is_found(source: str, text: str) -> None:
    assert compiled(source, "").search(text)


@pytest.mark.parametrize(("source", "text"), [("line$", "line\n"), ("a.b", "a\rb"), ("\\Aweb", "web"), ("a[]", "a]")])
def test_an_expression_is_not_found_where_python_would_find_it(source: str, text: str) -> None:
    assert not compiled(source, "").search(text)


def test_case_counts_unless_told_otherwise() -> None:
    assert not compiled("é", "").search("É")
    assert compiled("é", "i").search("É")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("(", "Unterminated group"),
        ("[a", "Unterminated character class"),
        ("*", "Nothing to repeat"),
        ("a**", "Nothing to repeat"),
        (")", "Unmatched ')'"),
        ("a{2,1}", "numbers out of order in {} quantifier"),
        ("[z-a]", "Range out of order in character class"),
    ],
)
def test_what_is_no_expression_is_refused_in_javascripts_words(source: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        compiled(source, "")
    assert str(caught.value) == f"Invalid regular expression: /{source}/: {words}"
