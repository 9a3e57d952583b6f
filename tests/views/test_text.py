"""Text for a terminal: names that cannot harm it, and lines folded by the columns they take."""

from __future__ import annotations

import json

import pytest
from guard.views.text import WIDTH, cells, clean, json_line, wrap


@pytest.mark.parametrize(
    "harmless", ["", "web-01", "base de données", "データベース", "a\N{COMBINING ACUTE ACCENT}", "🙂"]
)
def test_a_harmless_name_stays_as_it_is(harmless):
    assert clean(harmless) == harmless


@pytest.mark.parametrize(
    "harmful",
    [
        "\x1b",
        "\x9b",
        "\n",
        "\r",
        "\t",
        "\0",
        "\x7f",
        "\u202e",
        "\u2066",
        "\u200b",
        "\u2028",
        "\u2029",
        "\ud800",
        "\ufeff",
    ],
)
@pytest.mark.parametrize("name", ["web{}01", "é{}"])
def test_escapes_newlines_and_direction_marks_in_a_name_are_replaced_one_by_one(harmful, name):
    assert clean(name.format(harmful)) == name.format("\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize(
    ("text", "columns"), [("", 0), ("abc", 3), ("é", 1), ("データ", 6), ("\uff57", 2), ("a\N{COMBINING ACUTE ACCENT}b", 2)]
)  # fmt: skip
def test_a_wide_character_takes_two_columns_and_a_combining_one_none(text, columns):
    assert cells(text) == columns


@pytest.mark.parametrize(
    ("text", "indent", "first", "width", "lines"),
    [
        ("one two three", "", None, 20, ["one two three"]),
        ("one two three", "", None, 13, ["one two three"]),
        ("one two three", "", None, 12, ["one two", "three"]),
        ("one two three", "  ", None, 9, ["  one two", "  three"]),
        ("one two three", "    ", "", 9, ["one two", "    three"]),
        ("one two three", "  ", "- ", 7, ["- one", "  two", "  three"]),
        ("one  two", "", None, 20, ["one  two"]),
        ("abcdefgh", "", None, 3, ["abc", "def", "gh"]),
        ("ab cdefgh", "", None, 3, ["ab", "cde", "fgh"]),
        ("データベース", "", None, 5, ["デー", "タベ", "ース"]),
        ("a\nb", "", None, 20, ["a\N{REPLACEMENT CHARACTER}b"]),
        ("", "  ", None, 20, [""]),
    ],
)
def test_a_text_is_folded_at_blanks_and_a_word_that_fits_on_no_line_is_broken(text, indent, first, width, lines):
    assert wrap(text, indent, first, width) == lines


def test_lines_are_80_columns_unless_told_otherwise():
    assert WIDTH == 80
    assert wrap("x" * 81, "") == ["x" * 80, "x"]


@pytest.mark.parametrize("letter", ["x", "中", "é"])
def test_a_word_of_a_megabyte_is_folded_at_once(letter):
    lines = wrap(letter * 500_000, "")
    assert "".join(lines) == letter * 500_000
    assert max(map(cells, lines)) == WIDTH


@pytest.mark.parametrize(
    ("letter", "escaped"),
    [
        ("\x9b", "\\u009b"),
        ("\x7f", "\\u007f"),
        ("\u202e", "\\u202e"),
        ("\U000e0001", "\\udb40\\udc01"),
        ("\x1b", "\\u001b"),
    ],
)
def test_a_document_holds_nothing_that_moves_a_cursor_and_says_the_same(letter, escaped):
    line = json_line({"name": f"é{letter}中"})
    assert line == f'{{"name":"é{escaped}中"}}\n'
    assert json.loads(line) == {"name": f"é{letter}中"}
