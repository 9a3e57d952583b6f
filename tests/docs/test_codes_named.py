"""Every code that a page names is one of guard's. docs/codes.md is made from the codes, and quotes errors of XAPI's too."""

from __future__ import annotations

import re

import pytest
from guard.policy.codes import EVERY_CODE
from tests.docs.pages import page_name, pages

NO_CODES = {
    "ON_REQUEST",  # a name in guard's source
    "CAP_DAC_OVERRIDE",  # capabilities
    "CAP_FOWNER",
    "SYSLOG_IDENTIFIER",  # a field of the journal's own
    "VDI_IO_ERROR",  # an error of XAPI's
}
"""Words in capitals with an underscore that are no codes."""
_CODE = re.compile(r"(?<![\w.$-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w-])")
_OTHERS = re.compile(r"SR_BACKEND_FAILURE_\d+|GUARD_\w+")
"""XAPI's own errors, journal fields."""


def wrong(text: str) -> set[str]:
    """The words of a text that look like a code and are none."""
    return {word for word in _CODE.findall(text) if not _OTHERS.fullmatch(word)} - set(EVERY_CODE) - NO_CODES


@pytest.mark.parametrize("path", [path for path in pages() if path.name != "codes.md"], ids=page_name)
def test_every_code_that_a_page_names_is_one_of_guards(path):
    assert wrong(path.read_text(encoding="utf-8")) == set()


def test_a_code_that_is_none_is_found():
    assert wrong("`CHAIN_UNHEALTHY`, `CHAIN_UNHELTHY`, SR_BACKEND_FAILURE_44, [x](#no_code), GUARD_DUE") == {
        "CHAIN_UNHELTHY"
    }
