"""The token: which of two places it comes from, who else may read it, and that nothing prints it."""

from __future__ import annotations

import pytest
from guard.errors import PolicyError
from guard.xo.token import Token, read_token


def written(path, content="the-token\n", mode=0o600):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


@pytest.fixture
def credentials(tmp_path):
    """The folder systemd names in the environment."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    return folder


def test_a_credential_of_the_unit_comes_before_the_file_of_the_policy(tmp_path, credentials):
    env, own = {"CREDENTIALS_DIRECTORY": str(credentials)}, written(tmp_path / "own", "mine")
    assert read_token(own, env).reveal() == "mine"
    written(credentials / "xo-token", "the unit's".replace(" ", "-"))
    assert read_token(own, env).reveal() == "the-unit's"
    assert read_token(None, env).reveal() == "the-unit's"
    assert read_token(own, {}).reveal() == "mine"


def test_a_unit_whose_credential_is_missing_is_told_where_it_was_looked_for(credentials):
    with pytest.raises(PolicyError, match=rf"{credentials}/xo-token: \[xo\] token_file cannot be read"):
        read_token(None, {"CREDENTIALS_DIRECTORY": str(credentials)})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_token_file_that_others_may_read_is_refused_with_what_to_run(tmp_path, mode):
    path = written(tmp_path / "token", mode=mode)
    with pytest.raises(PolicyError, match=rf"others may read this secret \(mode {mode:o}\); run: chmod 600 {path}"):
        read_token(path, {})


def test_a_credential_may_be_read_by_its_group_but_by_nobody_else(credentials):
    env = {"CREDENTIALS_DIRECTORY": str(credentials)}
    path = written(credentials / "xo-token", mode=0o440)
    assert read_token(None, env).reveal() == "the-token"
    path.chmod(0o444)
    with pytest.raises(PolicyError, match="others may read"):
        read_token(None, env)


@pytest.mark.parametrize("content", ["", " \n", "two tokens", "a\nb", "a\x00b", "a\x1bb"])
def test_a_file_that_does_not_hold_just_one_token_is_refused_without_repeating_it(tmp_path, content):
    with pytest.raises(PolicyError, match="must name a file that holds one token and nothing else") as caught:
        read_token(written(tmp_path / "token", content), {})
    assert content.strip() == "" or content not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(PolicyError, match="is no UTF-8 text"):
        read_token(written(tmp_path / "token", b"\xff\xfe"), {})


def test_a_folder_is_no_token_file(tmp_path):
    with pytest.raises(PolicyError, match="is no file"):
        read_token(tmp_path, {})


def test_without_any_place_the_policy_is_told_what_to_set():
    with pytest.raises(PolicyError, match=r"\[xo\] token_file is not set"):
        read_token(None, {})


def test_nothing_prints_a_token_but_the_one_way_to_it():
    token = Token("hunter2")
    assert "hunter2" not in f"{token} {token!r} {[token]}"
    assert not hasattr(token, "__dict__")
    assert token.reveal() == "hunter2"
