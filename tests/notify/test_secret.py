"""Secrets of channels: where they come from, who else may read them, and that nothing prints them."""

from __future__ import annotations

import os

import pytest
from guard.errors import PolicyError
from guard.notify.secret import read_login, read_secret

OPTION = "[notify.webhook] token_file"


def written(path, content, mode=0o600):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return str(path)


def secret(file, env=None):
    return read_secret(file, env or {}, credential="webhook-token", option=OPTION).reveal()


def login(file):
    return read_login(file, {}, credential="mail-login", option="[notify.mail] login_file")


def test_a_credential_of_the_unit_comes_before_the_file_and_may_be_its_groups(tmp_path):
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    own = written(tmp_path / "own", "mine\n")
    assert secret(own, env) == "mine"
    written(tmp_path / "webhook-token", "the-units", 0o440)
    assert secret(own, env) == "the-units"
    assert secret(own) == "mine"
    (tmp_path / "webhook-token").chmod(0o444)
    with pytest.raises(PolicyError, match="others may read this secret"):
        secret(own, env)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_may_read_is_refused_with_what_to_run(tmp_path, mode):
    path = written(tmp_path / "token", "x", mode)
    with pytest.raises(PolicyError, match=rf"others may read this secret \(mode {mode:o}\); run: chmod 600 {path}"):
        secret(path)


def test_what_is_missing_or_no_file_is_told(tmp_path):
    with pytest.raises(PolicyError, match=r"\[notify.webhook\] token_file cannot be read \(No such file"):
        secret(str(tmp_path / "none"))
    with pytest.raises(PolicyError, match="is no file"):
        secret(str(tmp_path))
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(PolicyError, match="is no file"):
        secret(str(tmp_path / "pipe"))


@pytest.mark.parametrize("content", ["", "\n", "two words", "a\nb", "a\x00b", "schlüssel", b"\xff\xfe"])
def test_what_is_no_single_word_is_refused_and_never_repeated(tmp_path, content):
    with pytest.raises(PolicyError, match=r"token_file must name a file that holds") as caught:
        secret(written(tmp_path / "token", content))
    for part in ("two", "schl", "xff"):
        assert part not in str(caught.value)


def test_a_login_is_two_lines(tmp_path):
    found = login(written(tmp_path / "login", "me@example.org\r\npass word \r\n"))
    assert (found.user.reveal(), found.password.reveal()) == ("me@example.org", "pass word ")


@pytest.mark.parametrize("content", ["", "me", "me\n", "me\npw\nmore", "\npw", "me\npä"])
def test_a_login_of_another_shape_is_refused(tmp_path, content):
    with pytest.raises(PolicyError, match="two lines: the user name, then the password"):
        login(written(tmp_path / "login", content))
