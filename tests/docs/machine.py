"""A machine that guard is installed on, below a folder: the commands of the docs other than guard's own are tried there.

What changes files is run there, with each absolute path below that folder. What needs another environment (systemd, a
package index, a pool) is held against what describes it: a unit's file, a program's own help, pyproject.toml.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from tests.docs.pages import ROOT
from tests.docs.shell import Simple

UNITS = sorted(path.name for path in (ROOT / "systemd").iterdir())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SCRIPTS = sorted(PROJECT["scripts"])
XO_UNITS = frozenset({"xo-server", "xo-server.service"})
"""Units of XO's own machine: guard has no file of theirs."""
PUT = (
    *(f"{folder}/{unit}" for folder in ("/etc/systemd/system", "/usr/local/lib/systemd/system") for unit in UNITS),
    *(f"/usr/local/bin/{script}" for script in SCRIPTS),
    *("/etc/guard", "/opt/guard", "/var/lib/guard", "/var/lib/private/guard"),
    *("/etc/guard/guard.toml", "/etc/guard/xo-token"),
)
"""What installing and running guard puts on a machine: what the docs may delete."""
_TAKEN_ALONG = ("config", "systemd", "README.md", "Makefile", "pyproject.toml")
_SECONDS = 20
_OWNERS = re.compile(r"-[og]|--(?:owner|group)")


class Machine:
    """``run`` gives what is wrong with one program's call, "" where nothing is."""

    def __init__(self, folder: Path) -> None:
        self.root, self.here = folder / "root", folder / "guard"
        for made in (
            "etc/guard",
            "etc/systemd/system",
            "opt/guard/bin",
            "usr/local/bin",
            "var/lib/guard",
            "run",
            "tmp",
        ):
            (self.root / made).mkdir(parents=True)
        self.here.mkdir()
        for name in _TAKEN_ALONG:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, self.here / name)
        for name in ("guard.toml", "xo-token"):
            (self.root / "etc/guard" / name).write_text("made by the test\n", encoding="utf-8")
        self._venv("/opt/guard")
        self._checks: dict[str, Callable[[Simple, str], str]] = {
            **dict.fromkeys(("install", "ln", "mkdir", "chmod", "cp", "mv", "tee", "cat", "printf"), self._try),
            **dict.fromkeys(
                ("ssh", "xe"), lambda _call, _stdin: ""
            ),  # on a pool's host: the syntax is all that can be tried
            "rm": self._remove,
            "cd": lambda call, _: self._exists(call.words[1]),
            **dict.fromkeys(("sudoedit", "nano"), lambda call, _: self._exists(call.words[1])),
            "python3": self._python,
            "pip": self._pip,
            "make": self._make,
            "man": self._man,
            "systemctl": self._systemctl,
            "journalctl": self._journalctl,
            "systemd-analyze": self._analyze,
            "useradd": self._account,
            "userdel": self._account,
            "apt-get": self._packages,
            "promtool": self._promtool,
            "guard-workaround-helper": self._helper,
        }

    def knows(self, program: str) -> bool:
        return program in self._checks

    def run(self, call: Simple, stdin: str = "") -> str:
        return self._checks[call.words[0].rpartition("/")[2]](call, stdin)

    # --- what changes files

    def _try(self, call: Simple, stdin: str) -> str:
        words = [self._below(word) for word in _without_owners(call.words)]
        done = subprocess.run(
            words,
            cwd=self.here,
            input=stdin or "a secret\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        if call.out:
            Path(self._below(call.out)).write_text(done.stdout, encoding="utf-8")
        return "" if done.returncode == 0 else f"exit code {done.returncode}: {done.stderr.strip()}"

    def _remove(self, call: Simple, stdin: str) -> str:
        del stdin
        for word in call.words[1:]:
            if word.startswith("-"):
                continue
            if not any(fnmatch.fnmatchcase(one, word.rstrip("/")) for one in PUT):
                return f"{word} is nothing that guard puts there"
            for found in glob.glob(self._below(word)):  # noqa: PTH207 - a shell's own word, with an absolute path
                path = Path(found)
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return ""

    def _below(self, word: str) -> str:
        return f"{self.root}{word}" if word.startswith("/") and not word.startswith("/dev/") else word

    def _exists(self, word: str) -> str:
        found = Path(self._below(word)) if word.startswith("/") else self.here / word
        return "" if found.exists() else f"there is no {word}"

    def _venv(self, folder: str) -> None:
        place = Path(self._below(folder)) / "bin"
        place.mkdir(parents=True, exist_ok=True)
        for name in ("pip", *SCRIPTS):
            (place / name).write_text("", encoding="utf-8")

    # --- what puts guard there

    def _python(self, call: Simple, stdin: str) -> str:
        del stdin
        match call.words[1:]:
            case ("-m", "venv", folder):
                self._venv(folder)
                return ""
            case _:
                return "only python3 -m venv FOLDER is known"

    def _pip(self, call: Simple, stdin: str) -> str:
        del stdin
        if call.words[0] != "pip" and self._exists(call.words[0]):
            return f"no step before made {call.words[0]}"
        if call.words[1:] == ("check",):
            return ""
        if call.words[1] not in ("install", "uninstall"):
            return f"pip {call.words[1]} is not known"
        for word in call.words[2:]:
            name, extra = re.fullmatch(r"([^\[]*)(?:\[(.*)\])?", word).groups()
            if word in ("--upgrade", "--yes"):
                continue
            if name not in (".", PROJECT["name"]):
                return f"{name} is not guard"
            unknown = {*filter(None, (extra or "").split(","))} - set(PROJECT["optional-dependencies"])
            if unknown:
                return f"pyproject.toml has no extra {', '.join(sorted(unknown))}"
        return ""

    def _make(self, call: Simple, stdin: str) -> str:
        del stdin
        words = ["make", "--dry-run", "--no-print-directory", *call.words[1:]]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_SECONDS)
        return "" if done.returncode == 0 else done.stderr.strip()

    def _helper(self, call: Simple, stdin: str) -> str:
        del stdin
        return "" if len(call.words) == 2 and call.words[0] in SCRIPTS else "expected guard-workaround-helper FOLDER"

    def _man(self, call: Simple, stdin: str) -> str:
        del stdin
        there = sorted((ROOT / "docs" / "man").glob("*.[158]"))
        return "" if call.words[-1] in {page.name.rpartition(".")[0] for page in there} else "docs/man has no such page"

    def _account(self, call: Simple, stdin: str) -> str:
        del stdin
        if not is_missing(call.words[0]):
            known = _help(shutil.which(call.words[0], path=f"{os.environ['PATH']}:/usr/sbin") or "")
            wrong = [word for word in call.words if word.startswith("--") and not _has_option(known, word)]
            if wrong:
                return f"{call.words[0]} has no option {wrong[0]}"
        return _wrong_if(call.words[-1] != "guard", call.words[-1])

    def _packages(self, call: Simple, stdin: str) -> str:
        del stdin
        names = [word for word in call.words[2:] if not word.startswith("-")]
        wrong = [name for name in names if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name)]
        return _wrong_if(call.words[1] not in ("install", "update", "remove") or bool(wrong), " ".join(call.words[1:]))

    def _promtool(self, call: Simple, stdin: str) -> str:
        return "" if is_missing("promtool") else self._try(call, stdin)

    # --- what needs systemd

    def _systemctl(self, call: Simple, stdin: str) -> str:
        del stdin
        options = [word for word in call.words[1:] if word.startswith("-")]
        verb, *units = [word for word in call.words[1:] if not word.startswith("-")]
        known = "" if is_missing("systemctl") else _help("systemctl")
        if known and not re.search(rf"^  {re.escape(verb)}(?: |$)", known, re.MULTILINE):
            return f"systemctl has no command {verb}"
        wrong = [one for one in options if known and not _has_option(known, one)]
        if wrong:
            return f"systemctl has no option {wrong[0]}"
        for unit in set(units) - XO_UNITS:
            file = unit_file(unit)
            if file is None:
                return f"systemd/ has no unit {unit}"
            if verb in ("enable", "disable") and "[Install]" not in file.read_text(encoding="utf-8"):
                return f"{file.name} has no [Install] section: it cannot be {verb}d"
        return ""

    def _journalctl(self, call: Simple, stdin: str) -> str:
        del stdin
        if is_missing("journalctl"):
            return ""
        known, words = _help("journalctl"), list(call.words[1:])
        while words:
            word = words.pop(0)
            if word.startswith("-"):
                if not _has_option(known, word):
                    return f"journalctl has no option {word}"
                if word in ("-u", "--unit"):
                    unit = words.pop(0)
                    if unit not in XO_UNITS and unit_file(unit) is None:
                        return f"systemd/ has no unit {unit}"
                elif (
                    re.search(rf"{re.escape(word)}(?:,? --[\w-]+)?=\S", known)
                    and words
                    and not words[0].startswith("-")
                ):
                    words.pop(0)
            elif "=" in word:
                name = word.partition("=")[0]
                if not name.startswith("_") and name not in _fields():
                    return f"guard writes no journal field {name}"
            else:
                return f"{word} is neither an option nor a match"
        return ""

    def _analyze(self, call: Simple, stdin: str) -> str:
        del stdin
        words = [word for word in call.words[2:] if not word.startswith("-")]
        wrong = [word for word in words if unit_file(Path(word).name) is None]
        if wrong:
            return f"systemd/ has no unit {wrong[0]}"
        return _wrong_if(call.words[1] not in ("verify", "security", "calendar"), call.words[1])


def unit_file(unit: str) -> Path | None:
    """The file of a unit, of a template for an instance of it, or of the first one that a pattern names."""
    name = unit if re.search(r"\.(?:service|timer|socket)$", unit) else f"{unit}.service"
    template = re.sub(r"@[^.]*\.", "@.", name)
    found = [one for one in UNITS if one in (name, template) or fnmatch.fnmatchcase(one, name)]
    return ROOT / "systemd" / found[0] if found else None


def is_missing(tool: str) -> bool:
    """Whether a program that tells of itself is not installed: then what it would tell is not looked at. Not so under CI."""
    found = shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin")
    assert found or not os.environ.get("CI"), f"{tool} is not installed: the commands of the docs are not tried with it"
    return found is None


@cache
def _help(tool: str) -> str:
    return subprocess.run([tool, "--help"], capture_output=True, text=True, check=False, timeout=_SECONDS).stdout


def _has_option(known: str, option: str) -> bool:
    name = option.partition("=")[0]
    if not name.startswith("--"):
        return all(re.search(rf"(?:^|\s)-{letter}\b", known, re.MULTILINE) for letter in name[1:])
    return re.search(rf"(?:^|\s){name}(?:[\s=\[]|$)", known, re.MULTILINE) is not None


@cache
def _fields() -> frozenset[str]:
    """Journal fields that guard's own source names."""
    words = " ".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "guard").rglob("*.py")))
    return frozenset(re.findall(r"\bGUARD_[A-Z_]+\b", words)) | {"PRIORITY", "SYSLOG_IDENTIFIER", "MESSAGE"}


def _wrong_if(wrong: bool, what: str) -> str:
    return f"{what} is not known" if wrong else ""


def _without_owners(words: Sequence[str]) -> list[str]:
    """Who owns a file is not tried: the tests need not be root."""
    found, skip = [], False
    for word in words:
        if skip or _OWNERS.fullmatch(word.partition("=")[0]):
            skip = not skip and "=" not in word
        else:
            found.append(word)
    return found
