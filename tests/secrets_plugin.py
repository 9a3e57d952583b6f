"""Every output of every test is searched for the secrets that the tests of its module used; a hit fails that test.

A secret is what a ``guard.secret.Secret`` was made of, a read secret file included. An output is what a test left on stdout,
stderr and in the log, what ``capsys`` and its like took from there, what a command wrote through ``main``, what a process
wrote into ``communicate``, what a test's own servers were sent (``searched``), the words of a failure, and every file below
``tmp_path`` but the secret files themselves. Only made-up secrets are in these tests, and yet no report repeats one.
"""

from __future__ import annotations

import base64
import functools
import gzip
import json
import os
import subprocess
import zlib
from pathlib import Path
from urllib.parse import quote

import pytest
from _pytest.capture import CaptureFixture
from guard import secret as secrets
from guard.cli import main as command_line

# why it is not searched for: it is too short to be told from other words, or is one of them
EXCLUDED = {
    "me": "a user name in the tests of mail logins, and a part of many words",
    "secret": "a token in the tests of bad input, and a word of guard's own sentences",
}
ALWAYS = (
    "simulated-token",
    "simulated-password",
)  # of the simulated XO and its pool; processes of their own use them too
SHORTEST_ENCODED = 8  # characters; encodings of shorter ones are found in anything
SECRET_BYTES = secrets.MAX_BYTES


class Searcher:
    """``texts``: what the running test put out so far, with where. ``of_module``: the secrets of the module it is in."""

    def __init__(self):
        self.module = ""
        self.of_import, self.of_module = set(ALWAYS), set()
        self.secret_files, self.texts = set(), []
        self.is_off = False

    def enter(self, item):
        if item.path != self.module:
            self.module, self.of_module = item.path, set()
        self.secret_files, self.texts = set(), []
        self.is_off = item.get_closest_marker("made_up_secrets") is not None

    def made(self, text):
        text = text.strip()
        if text and "\n" not in text and text not in EXCLUDED and not self.is_off:
            (self.of_module if self.module else self.of_import).add(text)

    @property
    def needles(self):
        """(bytes to look for, the secret) for each secret in the forms in which it may be written."""
        for text in self.of_import | self.of_module:
            yield from ((form, text) for form in forms(text))

    def found(self, texts, folder):
        """What was found, a sentence each."""
        if self.is_off:
            return []
        hits = [hit(text, where) for where, told in texts for form, text in self.needles if form in told]
        if folder is None:
            return hits
        needles = list(self.needles)
        for path in sorted(folder.rglob("*")) if needles else ():
            if path.is_symlink() or not path.is_file() or path.name.endswith(".ballast"):  # 4 MiB of zeros
                continue
            try:
                content = path.read_bytes()
            except OSError:
                continue
            content = unpacked(content)
            for form, text in needles:
                if form in content and not self.is_secret_file(path, content):
                    hits.append(hit(text, f"the file {path.relative_to(folder)}"))
        return hits

    def is_secret_file(self, path, content):
        """One that guard read as such, or that holds nothing but one secret."""
        if os.path.realpath(path) in self.secret_files:
            return True
        return (
            len(content) <= SECRET_BYTES and content.decode(errors="replace").strip() in self.of_import | self.of_module
        )


@functools.lru_cache(maxsize=4096)
def forms(text):
    plain = text.encode(errors="surrogatepass")
    found = {plain}
    if len(text) >= SHORTEST_ENCODED:
        found |= {*in_base64(plain), quote(plain, safe="").encode(), quote(plain).encode()}
        found |= {json.dumps(text)[1:-1].encode(), repr(plain)[2:-1].encode()}
    return frozenset(found)


def in_base64(plain):
    """As it looks with other bytes around it, such as the user name before a password: what it alone decides of that."""
    for before in range(3):
        told = base64.b64encode(bytes(before) + plain)
        yield told[-(-before * 8 // 6) : (before + len(plain)) * 8 // 6]


def unpacked(content):
    """What is in a gzip file, such as a capture; the bytes themselves where it is none, or not whole."""
    try:
        return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error):
        return content


def hit(text, where):
    shown = f"{text[:2]}*** ({len(text)} characters)" if len(text) > SHORTEST_ENCODED else "a short one"
    return f"a secret ({shown}) is in {where}"


SEARCHER = Searcher()


def searched(told, where="what a server was sent"):
    """Have ``told`` searched at the end of the test; text or bytes."""
    if told:
        data = told if isinstance(told, bytes) else told.encode(errors="surrogatepass")
        SEARCHER.texts.append((where, data))


def _wrap(owner, name, around):
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*given, **named):
        return around(original, *given, **named)

    setattr(owner, name, wrapped)


def _made(original, self, secret):
    SEARCHER.made(secret)
    original(self, secret)


def _content(original, path):
    SEARCHER.secret_files.add(os.path.realpath(path))
    return original(path)


def _main(original, argv, stdout, stderr, env):
    try:
        return original(argv, stdout, stderr, env)
    finally:
        for stream, name in ((stdout, "stdout"), (stderr, "stderr")):
            if hasattr(stream, "getvalue"):
                searched(stream.getvalue(), f"a command's {name}")


def _communicate(original, self, *given, **named):
    told = original(self, *given, **named)
    for text, name in zip(told, ("stdout", "stderr"), strict=True):
        searched(text, f"a process's {name}")
    return told


def _readouterr(original, self):
    told = original(self)
    for text in told:
        searched(text, "what was captured")
    return told


def pytest_configure(config):
    config.addinivalue_line("markers", "made_up_secrets(why): the outputs of this test are not searched for secrets")
    _wrap(secrets.Secret, "__init__", _made)
    _wrap(secrets, "_content", _content)
    _wrap(command_line, "main", _main)
    _wrap(subprocess.Popen, "communicate", _communicate)
    _wrap(CaptureFixture, "readouterr", _readouterr)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    SEARCHER.enter(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "setup":
        return report
    seen = getattr(item, "_searched_sections", 0)
    item._searched_sections = len(report.sections)
    texts = [(name, text.encode(errors="surrogatepass")) for name, text in report.sections[seen:]]
    texts += SEARCHER.texts
    SEARCHER.texts = []
    if call.excinfo is not None:
        texts.append(("the failure's words", call.excinfo.exconly().encode(errors="surrogatepass")))
    folder = item.funcargs.get("tmp_path") if call.when == "teardown" and hasattr(item, "funcargs") else None
    hits = SEARCHER.found(texts, Path(folder) if folder is not None else None)
    if hits:
        said = "\n".join(dict.fromkeys(hits))
        if report.outcome == "failed":
            report.sections.append(("Secrets", said))
        else:
            report.outcome, report.longrepr = "failed", said
    return report
