"""A clean Debian 12 for tests: built once by debootstrap, kept as an archive, unpacked for each test that asks.

    with debian_root(tmp_path) as root:
        root.copy(ROOT, "/src")
        root.run("make", "-C", "/src", "install", env=offline("/wheelhouse"))

It is a chroot with a mount and process namespace of its own where the machine allows that: its own files, processes and
/proc; the network, so loopback too, is the machine's. No service runs in it, and systemd is not its first process.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from guard.cli import clock

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "make", "man-db", "python3", "python3-venv", "sudo", "systemd")
PYTHON = "3.11"
"""Debian 12's own."""
_NOT_FILES = ("/dev", "/proc", "/sys", "/run", "/tmp")  # noqa: S108  the root's own folders, which hold nothing that is installed
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}


@dataclass(frozen=True)
class DebianRoot:
    path: Path

    def run(
        self,
        *command: str,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        stdin: str = "",
        cwd: str = "/",
        limit_s: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root in it, from the folder ``cwd``. With ``check`` an exit code other than 0 fails the test."""
        given = _ENVIRONMENT | dict(env or {})
        inside = ["chroot", str(self.path), "/usr/bin/env", "--chdir", cwd, "--", *command]
        done = subprocess.run(
            [*_apart(self.path), *inside],
            env=given,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )
        assert done.returncode == 0 or not check, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def start(self, *command: str, env: Mapping[str, str] | None = None, user: int = 0) -> subprocess.Popen[bytes]:
        """A command that goes on, as ``user``; it is the process itself, so signals reach it. Who starts it ends it."""
        given = _ENVIRONMENT | dict(env or {})
        inside = ["chroot", f"--userspec={user}:{user}", str(self.path), "/usr/bin/env", "--chdir", "/", "--", *command]
        return subprocess.Popen(
            inside, env=given, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def inside(self, path: str) -> Path:
        """Where an absolute path of the root is on this machine."""
        return self.path / path.lstrip("/")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.inside(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def copy(self, source: Path, path: str, leave_out: Iterable[str] = ()) -> None:
        """A file or a folder into it, owned by root; names that match ``leave_out`` stay behind."""
        target = self.inside(path)
        if source.is_dir():
            shutil.copytree(
                source, target, symlinks=True, ignore=shutil.ignore_patterns(*leave_out), dirs_exist_ok=True
            )
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)

    def files(self, leave_out: Iterable[str] = ()) -> dict[str, str]:
        """Path -> kind, mode, owner, and a file's digest or a link's target, of everything but /proc, /dev and the like."""
        found: dict[str, str] = {}
        passed = {*_NOT_FILES, *leave_out}
        for folder, names, files in os.walk(self.path):
            here = "/" + str(Path(folder).relative_to(self.path)).removeprefix(".")
            names[:] = [name for name in names if f"{here.rstrip('/')}/{name}" not in passed]
            for name in (*names, *files):
                path = Path(folder) / name
                found[f"{here.rstrip('/')}/{name}"] = _told(path)
        return found


@contextmanager
def debian_root(tmp: Path) -> Iterator[DebianRoot]:
    """A fresh Debian 12 below ``tmp``, gone at the end. Skips without root or debootstrap; under CI that is a failure."""
    reason = _missing()
    if reason and os.environ.get("CI"):
        pytest.fail(f"no clean Debian under CI: {reason}")
    if reason:
        pytest.skip(f"nothing was tried in a clean Debian: {reason}")
    archive = _archive()
    path = tmp / "debian"
    path.mkdir()
    try:
        subprocess.run(["tar", "--extract", "--numeric-owner", "--file", archive, "--directory", path], check=True)
        yield DebianRoot(path)
    finally:
        shutil.rmtree(path)


def offline(wheels: str) -> dict[str, str]:
    """What has pip inside install from a folder of wheels alone, and leave nothing of its own behind."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, "PIP_NO_CACHE_DIR": "1", "PIP_ROOT_USER_ACTION": "ignore"}


def _missing() -> str:
    if os.geteuid() != 0:
        return "only root can make one"
    return "" if shutil.which("debootstrap") else "debootstrap is not installed (Debian package debootstrap)"


def _archive() -> Path:
    """The root as it comes from debootstrap: one for each month and list of packages, shared by all who test at once."""
    month = clock.now().strftime("%Y-%m")
    key = hashlib.sha256(" ".join((SUITE, *PACKAGES)).encode()).hexdigest()[:8]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "guard-tests"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{SUITE}-{month}-{key}.tar"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            for old in folder.glob("*.tar"):
                old.unlink()
            _bootstrap(folder, archive)
    return archive


def _bootstrap(folder: Path, archive: Path) -> None:
    fresh, unfinished = folder / "root", archive.with_suffix(".unfinished")
    shutil.rmtree(fresh, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(fresh), _mirror()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    for package in (fresh / "var/cache/apt/archives").glob("*.deb"):
        package.unlink()
    with tarfile.open(unfinished, "w") as packed:
        packed.add(fresh, arcname=".")
    shutil.rmtree(fresh)
    unfinished.rename(archive)


def _mirror() -> str:
    """Where this machine gets Debian's packages: the first source in its own lists that is no security archive."""
    lists = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for file in lists:
        text = file.read_text(encoding="utf-8") if file.suffix in (".list", ".sources") and file.exists() else ""
        for line in text.splitlines():
            words = [word for word in line.split() if not word.startswith(("[", "signed-by", "arch")) and word != "deb"]
            for word in words if line.startswith(("deb ", "URIs:")) else ():
                if "://" in word and "debian" in word and "security" not in word:
                    return word
    return pytest.fail("this machine's apt knows no Debian mirror")


def _apart(root: Path) -> list[str]:
    """What gives a command namespaces of its own, where that is allowed: nothing it mounts or leaves running stays."""
    trial = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={root / 'proc'}"]
    allowed = subprocess.run([*trial, "true"], capture_output=True, check=False).returncode == 0
    return trial if allowed else []


def _told(path: Path) -> str:
    one = path.lstat()
    kind = stat.filemode(one.st_mode)
    if stat.S_ISLNK(one.st_mode):
        content = path.readlink().as_posix()
    elif stat.S_ISREG(one.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    else:
        content = ""
    return f"{kind} {one.st_uid}:{one.st_gid} {content}".rstrip()
