"""guard config check: what it says beside the policy's own mistakes."""

from __future__ import annotations

import io

from guard.cli.main import main

POLICY = """\
[xo]
url = "https://xo.example"
token_file = "{folder}/xo-token"

[notify.mail]
host = "mail.example"
sender = "guard@example.org"
recipients = ["backup@example.org"]
login_file = "{folder}/login"

[[pool]]
name = "paris"
url = "https://192.0.2.10"
username = "reader"
password_file = "{folder}/pool"
"""


def check(tmp_path, env=None):
    policy = tmp_path / "guard.toml"
    policy.write_text(POLICY.format(folder=tmp_path))
    out, err = io.StringIO(), io.StringIO()
    code = main(["config", "check", "--config", str(policy)], out, err, env or {})
    assert (code, out.getvalue()) == (0, "")
    first, *warnings = err.getvalue().splitlines()
    assert first == f"guard: {policy} is a valid policy"
    return warnings


def test_a_secrets_file_that_is_missing_or_that_others_may_read_is_a_warning(tmp_path):
    (tmp_path / "login").write_text("user\nword\n")
    (tmp_path / "login").chmod(0o644)
    (tmp_path / "pool").write_text("word")
    (tmp_path / "pool").chmod(0o600)
    token, login = check(tmp_path)
    assert token == f"guard: warning: [xo] token_file = {tmp_path}/xo-token: there is no such file"
    assert login.startswith(f"guard: warning: [notify.mail] login_file = {tmp_path}/login: others may read this secret")
    assert login.endswith(f"(mode 644); run: chmod 600 {tmp_path}/login")


def test_a_secret_that_the_unit_was_given_needs_no_file(tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    for name in ("xo-token", "mail-login", "pool-paris"):
        (given / name).write_text("x")
    assert check(tmp_path, {"CREDENTIALS_DIRECTORY": str(given)}) == []
