"""docs/policy.md is made from the structs of the policy, holds all of them, and what it says of each key is true."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
import pytest
from guard.policy import schema, validate
from guard.policy.load import load
from guard.policy.sample import descriptions, sample, written
from guard.policy.schema import CHECK_OPTIONS
from tests.docs.pages import DOCS, read
from tests.views.policy_reference import SECTIONS, example_errors, policy_reference, type_in_words

COMPUTED = {"changes", "checks", "ends"}
"""Fields that are no keys: what guard makes of others, or tables with headings of their own."""


def test_the_page_is_that_of_the_code():
    assert (DOCS / "policy.md").read_text(encoding="utf-8") == policy_reference(), "make reference"


def test_every_section_that_a_policy_may_have_is_on_the_page():
    named = {name.strip("[]").partition(".")[0] for name in SECTIONS}
    assert named == set(validate._SECTIONS)
    assert {name.strip("[]") for name in SECTIONS if name.startswith("[checks.")} == {
        f"checks.{one}" for one in CHECK_OPTIONS
    }
    assert [one for one in read(DOCS / "policy.md").headings if one.startswith("[")] == list(SECTIONS)
    sections = [line for line in sample().splitlines() if line.startswith("[")]
    assert sorted(sections) == sorted(name for name in SECTIONS if not name.startswith("[["))


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key_is_on_the_page_unless_guard_makes_it(name):
    kind = SECTIONS[name]
    nested = {field for field in kind.__struct_fields__ if f"[{name.strip('[]')}.{field}]" in SECTIONS}
    assert set(kind.__struct_fields__) - set(descriptions(kind)) - nested <= COMPUTED


@pytest.mark.parametrize("name", [name for name in SECTIONS if not name.startswith("[[")])
def test_every_default_on_the_page_is_a_value_that_the_policy_takes(name):
    kind = SECTIONS[name]
    shown = {key: written(getattr(kind(), key)) for key in descriptions(kind)}
    rows = "\n".join(f"{key} = {value}" for key, value in shown.items() if value not in ('""', "") and key != "url")
    head = "" if name == "[xo]" else '[xo]\nurl = "https://xo.example.org"\n'
    url = 'url = "https://xo.example.org"\n' if name == "[xo]" else ""
    load(f"{head}{name}\n{url}{rows}\n", file="guard.toml")


def test_the_example_of_a_wrong_policy_gets_one_line_for_each_error():
    assert len(example_errors()) == 4
    assert all(
        f"/etc/guard/guard.toml:{line}: " in told for line, told in zip((4, 5, 7, 9), example_errors(), strict=True)
    )


class Odd(msgspec.Struct):
    """Fields of every type that a policy has."""

    flag: bool = True
    age: timedelta | None = None
    share: Annotated[float, msgspec.Meta(ge=0, le=100)] = 1.0
    many: Annotated[int, msgspec.Meta(ge=1)] = 1
    ca_file: str | None = None
    paths: tuple[Annotated[str, msgspec.Meta(pattern="^/")], ...] = ()


def test_types_are_told_in_words():
    assert {key: type_in_words(Odd, key) for key in Odd.__struct_fields__} == {
        "flag": "`true` or `false`",
        "age": "a duration",
        "share": "a number, 0 to 100",
        "many": "a whole number, 1 or more",
        "ca_file": "a file",
        "paths": "a list, each text",
    }
    assert type_in_words(schema.Defaults, "gate") == '`"observe"` or `"enforce"`'
