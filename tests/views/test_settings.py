"""What is different in one run, as a person reads it."""

from __future__ import annotations

import pytest
from guard.views.settings import settings_document, settings_text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, ""),
        ({"": {"concurrency": 2}}, "concurrency = 2"),
        ({"schedule": {"concurrency": 2}}, "concurrency = 2"),
        ({"v1": {"bypassVdiChainsCheck": True}}, "bypassVdiChainsCheck = true (web)"),
        (
            {"": {"concurrency": 1}, "v1": {"bypassVdiChainsCheck": True}, "v2": {"bypassVdiChainsCheck": True}},
            "concurrency = 1; bypassVdiChainsCheck = true (web, v2)",
        ),
        (
            {f"x{number}": {"bypassVdiChainsCheck": True} for number in range(7)},
            "bypassVdiChainsCheck = true (x0, x1, x2, x3, x4 and 2 more)",
        ),
        ({"": {"bypassVdiChainsCheck": False}}, "bypassVdiChainsCheck = false"),
    ],
)
def test_each_setting_is_told_with_its_value_and_for_whom(settings, told):
    assert settings_text(settings, {"v1": "web"}) == told


def test_without_names_the_ids_are_told():
    assert settings_text({"v1": {"bypassVdiChainsCheck": True}}) == "bypassVdiChainsCheck = true (v1)"


def test_a_document_has_them_as_xo_gets_them():
    settings = {"": {"concurrency": 1}, "v1": {"bypassVdiChainsCheck": True}}
    assert settings_document(settings) == settings
