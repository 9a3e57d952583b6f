"""A new token in the place of the old one: whole at every moment, and nothing lost whatever fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from guard.errors import PolicyError
from guard.xo import token_file
from guard.xo.token import Token, read_token
from guard.xo.token_file import TokenFile, forget_old, is_credential, old_token

OLD, NEW = Token("old-token-0123"), Token("new-token-4567")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "xo-token"
    path.write_text("old-token-0123\n")
    path.chmod(0o600)
    return path


def files(folder):
    return {one.name: one.stat().st_mode & 0o777 for one in folder.iterdir()}


def test_the_new_token_takes_the_place_and_the_old_one_is_kept_beside_it(file):
    before = os.umask(0)
    try:
        with TokenFile(file) as place:
            assert place.write(NEW) == NEW
            assert read_token(file, {}) == OLD  # until it is proven
            kept = place.swap(OLD)
    finally:
        os.umask(before)
    assert read_token(file, {}) == NEW
    assert kept == file.with_name("xo-token.old")
    assert old_token(file) == OLD
    assert files(file.parent) == {"xo-token": 0o600, "xo-token.old": 0o600}


def test_without_a_swap_everything_is_as_it_was(file):
    with pytest.raises(ValueError, match="it did not work"), TokenFile(file) as place:
        place.write(NEW)
        raise ValueError("it did not work")
    assert read_token(file, {}) == OLD
    assert files(file.parent) == {"xo-token": 0o600}


def test_the_owner_of_the_file_stays_its_owner(file):
    if os.geteuid() != 0:
        pytest.skip("only root may give a file away")
    os.chown(file, 1234, 5678)
    with TokenFile(file) as place:
        place.write(NEW)
        place.swap(OLD)
    owners = {(one.stat().st_uid, one.stat().st_gid) for one in file.parent.iterdir()}
    assert owners == {(1234, 5678)}


def test_a_link_stays_a_link_and_what_it_leads_to_is_replaced(file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(file)
    with TokenFile(link) as place:
        place.write(NEW)
        place.swap(OLD)
    assert link.is_symlink()
    assert read_token(file, {}) == read_token(link, {}) == NEW
    assert old_token(link) == OLD


def test_what_a_try_that_broke_off_left_is_in_nobodys_way(file):
    file.with_name("xo-token.new").write_text("half")
    file.with_name("xo-token.old").write_text("older")
    with TokenFile(file) as place:
        place.write(NEW)
        place.swap(OLD)
    assert (read_token(file, {}), old_token(file)) == (NEW, OLD)


def test_a_link_planted_in_the_place_of_the_new_file_is_not_followed(file, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("somebody's")
    file.with_name("xo-token.new").symlink_to(elsewhere)
    with TokenFile(file) as place:
        place.write(NEW)
        place.swap(OLD)
    assert elsewhere.read_text() == "somebody's"
    assert read_token(file, {}) == NEW


def test_two_renewals_at_once_do_not_put_an_empty_file_in_the_place_of_the_token(file):
    with TokenFile(file) as first:
        first.write(NEW)
        with pytest.raises(PolicyError, match="xo-token: another guard token renew is at work on it"):
            TokenFile(file).__enter__()
        first.swap(OLD)
    assert (read_token(file, {}), old_token(file)) == (NEW, OLD)
    with TokenFile(file) as later:
        assert later.write(NEW) == NEW


def test_one_that_is_done_leaves_alone_what_the_next_one_makes(file):
    first = TokenFile(file).__enter__()
    first.write(NEW)
    first.swap(OLD)
    with TokenFile(file) as second:
        second.write(OLD)
        first.__exit__(None, None, None)
        second.swap(NEW)
    assert (read_token(file, {}), old_token(file)) == (OLD, NEW)


def test_a_link_planted_while_xo_is_asked_is_not_written_through(file, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("somebody's")
    with TokenFile(file) as place:
        file.with_name("xo-token.new").unlink()
        file.with_name("xo-token.new").symlink_to(elsewhere)
        with pytest.raises(PolicyError, match="cannot be replaced"):
            place.write(NEW)
    assert (elsewhere.read_text(), read_token(file, {})) == ("somebody's", OLD)


def test_a_folder_that_cannot_be_made_durable_is_no_failure_as_the_token_is_in_place(file, monkeypatch):
    def refuse(_):
        raise OSError(22, "Invalid argument")

    with TokenFile(file) as place:
        place.write(NEW)
        monkeypatch.setattr(token_file, "sync_folder", refuse)
        place.swap(OLD)
    assert (read_token(file, {}), old_token(file)) == (NEW, OLD)


def test_a_token_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(PolicyError, match=r"nowhere: \[xo\] token_file cannot be read \(No such file"):
        TokenFile(tmp_path / "nowhere")


def test_a_folder_nobody_may_write_to_is_told_before_anything_is_made(file, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")  # root, who runs the tests, may write everywhere

    monkeypatch.setattr(token_file.os, "open", refuse)
    with pytest.raises(
        PolicyError, match=r"cannot be replaced \(Permission denied\), and nothing was; run guard token renew as"
    ):
        TokenFile(file).__enter__()
    assert files(file.parent) == {"xo-token": 0o600}


@pytest.mark.parametrize("fails_at", range(13))
def test_wherever_it_fails_the_old_token_is_read_and_no_new_one_is_lost_beside(file, monkeypatch, fails_at):
    """A disk that is full, or a device that fails, at the nth call that touches it."""
    calls = iter(range(100))

    def failing(real):
        def work(*args, **more):
            if next(calls) == fails_at:
                raise OSError(28, "No space left on device")
            return real(*args, **more)

        return work

    with monkeypatch.context() as patch:
        for name in ("open", "fchmod", "fsync"):
            patch.setattr(token_file.os, name, failing(getattr(os, name)))
        patch.setattr(Path, "replace", failing(Path.replace))
        try:
            with TokenFile(file) as place:
                place.write(NEW)
                place.swap(OLD)
            swapped = True
        except PolicyError as error:
            assert "No space left on device" in str(error)
            swapped = False
    found = read_token(file, {})
    assert found in ((NEW,) if swapped else (OLD, NEW))
    if found == NEW:
        assert old_token(file) == OLD
    assert not file.with_name("xo-token.new").exists()


def test_the_old_token_goes_when_it_is_told_to(file):
    assert old_token(file) is None
    forget_old(file)
    file.with_name("xo-token.old").write_text("old-token-0123\n")
    file.with_name("xo-token.old").chmod(0o600)
    assert old_token(file) == OLD
    forget_old(file)
    assert old_token(file) is None


def test_an_old_token_that_cannot_be_deleted_is_told(file):
    file.with_name("xo-token.old").mkdir()
    with pytest.raises(PolicyError, match=r"xo-token\.old: cannot be deleted"):
        forget_old(file)


def test_a_credential_of_systemd_is_known_by_its_file(tmp_path):
    assert not is_credential(None)
    assert not is_credential(str(tmp_path))
    (tmp_path / "xo-token").write_text("x")
    assert is_credential(str(tmp_path))
