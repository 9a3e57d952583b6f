"""What holds for every test: no output of one may hold a secret."""

from __future__ import annotations

pytest_plugins = ("pytester", "tests.secrets_plugin")
