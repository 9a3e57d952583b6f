"""What holds for every test: no output of one may hold a secret; and what the whole run says at its end."""

from __future__ import annotations

pytest_plugins = ("pytester", "tests.engine.closing", "tests.secrets_plugin")
