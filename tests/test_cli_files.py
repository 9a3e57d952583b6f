"""Files the command line reads and writes: bounded, whole or not at all, and regular ones only."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

import pytest
from guard.cli import files, source
from guard.cli.files import check_target, read_bounded, write_whole
from guard.cli.main import main
from guard.estate.capture import from_bytes
from guard.simulator.serve import running
from tests.xo.test_client import small_world

MIB = 1024**2


@pytest.fixture
def full_disk(monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)


# --- where to write


def test_a_new_file_in_a_folder_that_exists_is_a_target(tmp_path):
    assert check_target(str(tmp_path / "new")) == tmp_path / "new"


def test_an_existing_file_is_one_and_a_link_is_followed(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    assert check_target(str(tmp_path / "link")) == tmp_path / "file"


def test_a_link_into_nothing_names_the_file_to_be(tmp_path):
    (tmp_path / "link").symlink_to("later")
    assert check_target(str(tmp_path / "link")) == tmp_path / "later"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "a file name is expected"),
        (".", "a file name is expected"),
        ("pipe", "a device or a pipe"),
        ("/dev/null", "a device or a pipe"),
        ("link-to-null", "a device or a pipe"),
        ("none/file", "there is no folder"),
        ("file/below", "there is no folder"),
    ],
)
def test_what_is_no_regular_file_is_refused(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    (tmp_path / "file").write_text("old")
    (tmp_path / "link-to-null").symlink_to("/dev/null")
    with pytest.raises(OSError, match=said):
        check_target(name)


# --- writing


def test_what_is_written_is_for_its_owner_only_and_nothing_is_left_beside_it(tmp_path):
    write_whole(tmp_path / "new", b"content")
    assert (tmp_path / "new").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "new"]


def test_a_file_that_others_could_read_is_replaced_by_one_they_cannot(tmp_path):
    (tmp_path / "old").write_text("old")
    (tmp_path / "old").chmod(0o644)
    write_whole(tmp_path / "old", b"new")
    assert ((tmp_path / "old").read_text(), stat.S_IMODE((tmp_path / "old").stat().st_mode)) == ("new", 0o600)


def test_a_full_disk_leaves_the_old_file_whole_and_no_rest(tmp_path, full_disk):
    (tmp_path / "old").write_text("old")
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "old", b"new")
    assert (tmp_path / "old").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]


def test_a_rest_that_cannot_be_removed_hides_no_error(tmp_path, full_disk, monkeypatch):

    def locked(self):
        raise OSError(errno.EACCES, "locked")

    monkeypatch.setattr(Path, "unlink", locked)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "new", b"new")


# --- reading


@pytest.mark.parametrize(("size", "limit"), [(0, 0), (5, 5), (4, 5)])
def test_up_to_the_limit_a_file_is_read_whole(tmp_path, size, limit):
    (tmp_path / "file").write_bytes(b"x" * size)
    assert read_bounded(str(tmp_path / "file"), limit) == b"x" * size


def test_a_larger_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * (MIB + 1))
    with pytest.raises(ValueError, match="is larger than 1 MiB"):
        read_bounded(str(tmp_path / "file"), MIB)


def test_an_endless_device_is_not_read_to_its_end():
    with pytest.raises(ValueError, match="is larger than 0 MiB"):
        read_bounded("/dev/zero", 10)


# --- guard capture


@pytest.fixture
def policy(tmp_path):
    token = tmp_path / "token"
    token.write_text("simulated-token\n")
    token.chmod(0o600)
    file = tmp_path / "guard.toml"
    with running(small_world()) as url:
        file.write_text(f'[xo]\nurl = "{url}"\ntoken_file = "{token}"\n')
        yield str(file)


def capture(target, policy):
    out, err = io.StringIO(), io.StringIO()
    return main(["capture", str(target), "--config", policy], out, err, {}), out.getvalue(), err.getvalue()


def test_a_capture_is_written_whole_and_without_the_token(tmp_path, policy):
    code, out, err = capture(tmp_path / "xo.capture", policy)
    content = (tmp_path / "xo.capture").read_bytes()
    assert (code, out) == (0, "")
    assert err == f"guard: {len(content)} bytes written to {tmp_path}/xo.capture; secrets are left out\n"
    assert [one.name for one in from_bytes(content).vms] == ["web"]
    assert b"simulated-token" not in content
    assert stat.S_IMODE((tmp_path / "xo.capture").stat().st_mode) == 0o600


def test_a_capture_onto_a_full_disk_leaves_the_old_one_and_says_so(tmp_path, policy, full_disk):
    (tmp_path / "xo.capture").write_text("old")
    code, _, err = capture(tmp_path / "xo.capture", policy)
    assert code == 1
    assert err.endswith("xo.capture: cannot be written ([Errno 28] No space left on device)\n")
    assert (tmp_path / "xo.capture").read_text() == "old"


@pytest.mark.parametrize("target", ["/dev/null", "", "/nowhere/file"])
def test_a_target_that_is_none_is_told_before_xo_is_asked(monkeypatch, policy, target):
    monkeypatch.setattr(source, "read_xo", lambda *_: pytest.fail("XO was asked"))
    code, out, err = capture(target, policy)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "cannot be written" in err


def test_a_pipe_into_which_nobody_writes_is_an_error_and_no_wait_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SILENCE_S", 0.05)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"nothing came out of this pipe for 0\.05 s"):
        read_bounded(str(tmp_path / "pipe"), MIB)


def test_a_pipe_is_read_to_its_end_in_however_many_pieces_it_comes():
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "wb") as stream:
        stream.write(b"x" * 1000)
        stream.flush()
        os.write(writing, b"y")
        stream.close()
        assert read_bounded(f"/dev/fd/{reading}", MIB) == b"x" * 1000 + b"y"
