"""[[pool]] entries of a policy as settings: passwords come from files nobody else may read, and never come out again."""

from __future__ import annotations

import pytest
from guard.errors import PolicyError
from guard.policy.load import load
from guard.policy.schema import default_policy
from guard.xapi.settings import pool_settings

XO = '[xo]\nurl = "https://xo.example.org"\n'


def policy(*entries):
    return load(XO + "".join(f"[[pool]]\n{entry}\n" for entry in entries), file="p")


def entry(name, file=None, more=""):
    told = f'password_file = "{file}"\n' if file else ""
    return f'name = "{name}"\nurl = "https://{name}.example.org"\nusername = "guard"\n{told}{more}'


def secret(path, text="hunter2\n", mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def test_by_default_no_pool_is_asked():
    assert pool_settings(default_policy(), {}) == ()


def test_an_entry_becomes_settings_with_its_password_hidden(tmp_path):
    more = 'ca_file = "/ca.pem"\nserver_name = "xcp-1"\ncall_timeout = "5 s"\ntotal_timeout = "1 min"\n'
    (one,) = pool_settings(policy(entry("paris", secret(tmp_path / "p"), more)), {})
    assert (one.name, one.url, one.host, one.username) == (
        "paris",
        "https://paris.example.org",
        "paris.example.org",
        "guard",
    )
    assert (str(one.ca_file), one.server_name, one.verify) == ("/ca.pem", "xcp-1", True)
    assert (one.call_timeout_s, one.total_timeout_s) == (5, 60)
    assert one.password.reveal() == "hunter2"
    assert "hunter2" not in repr(one)


def test_what_an_entry_leaves_out_has_its_default(tmp_path):
    (one,) = pool_settings(policy(entry("paris", secret(tmp_path / "p"))), {})
    assert (one.ca_file, one.server_name, one.verify) == (None, None, True)
    assert (one.call_timeout_s, one.total_timeout_s) == (10, 30)


@pytest.mark.parametrize("text", ["hunter2", "hunter2\n", "hunter2\r\n"])
def test_the_end_of_the_line_is_no_part_of_a_password(tmp_path, text):
    path = tmp_path / "p"
    path.write_bytes(text.encode())
    path.chmod(0o600)
    assert pool_settings(policy(entry("paris", path)), {})[0].password.reveal() == "hunter2"


def test_a_password_may_hold_blanks_and_letters_of_any_language(tmp_path):
    path = secret(tmp_path / "p", " pâss wörd \n")
    assert pool_settings(policy(entry("paris", path)), {})[0].password.reveal() == " pâss wörd "


@pytest.mark.parametrize("text", ["", "\n", "a\nb\n", "a\tb", "a\x00b"])
def test_a_file_that_holds_no_password_or_more_than_one_is_refused(tmp_path, text):
    path = secret(tmp_path / "p", text)
    with pytest.raises(
        PolicyError, match=r"\[\[pool\]\] paris: .*: password_file must name a file of one line"
    ) as caught:
        pool_settings(policy(entry("paris", path)), {})
    assert str(path) in str(caught.value)


def test_the_credential_of_systemd_comes_first(tmp_path):
    secret(tmp_path / "pool-paris", "from systemd\n")
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    paris, lyon = pool_settings(policy(entry("paris", "/none"), entry("lyon", secret(tmp_path / "l"))), env)
    assert (paris.password.reveal(), lyon.password.reveal()) == ("from systemd", "hunter2")


def test_every_password_that_cannot_be_had_is_told_at_once(tmp_path):
    told = policy(
        entry("a", secret(tmp_path / "a", mode=0o644)),
        entry("b", tmp_path / "none"),
        entry("c"),
        entry("d", secret(tmp_path / "d")),
    )
    with pytest.raises(PolicyError) as caught:
        pool_settings(told, {})
    assert caught.value.problems == [
        f"[[pool]] a: {tmp_path / 'a'}: others may read this secret (mode 644); run: chmod 600 {tmp_path / 'a'}",
        f"[[pool]] b: {tmp_path / 'none'}: password_file cannot be read (No such file or directory)",
        "[[pool]] c: password_file is not set, and there is no systemd credential pool-c; set it to the secret's file",
    ]
    assert "hunter2" not in str(caught.value)
