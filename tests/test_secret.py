"""A Secret is shown by nothing, and only known modules may take it out."""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import io
import json
import logging
import pickle
import pprint
import reprlib
import traceback
from pathlib import Path

import msgspec
import pytest
import rich.console
import rich.pretty
import rich.traceback
from guard.errors import PolicyError
from guard.notify.apprise import Target
from guard.notify.secret import Login, read_login
from guard.secret import Secret, file_trouble, one_word, read_secret_file
from guard.xapi.session import PoolSettings
from guard.xo.token import Token, read_token
from hypothesis import given
from hypothesis import strategies as some

ROOT = Path(__file__).parents[1]
WORD = "correct-horse-battery"
HIDDEN = "Secret(***)"


@dataclasses.dataclass(frozen=True)
class Holder:
    password: Secret


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda one: f"{one}",
        lambda one: f"{one!r}",
        lambda one: f"{one!s:>60}",
        lambda one: "%s %r" % (one, one),  # noqa: UP031  an old way that people still write
        lambda one: "{} {!r}".format(one, one),  # noqa: UP032
        lambda one: format(one),
        lambda one: ascii(one),
        lambda one: str([one, {"a": one}, (one,)]),
        lambda one: repr(Holder(one)),
        lambda one: repr(dataclasses.asdict(Holder(one))),
        lambda one: repr(Target(name="n", scheme="s", line=1, url=one)),
        lambda one: repr(PoolSettings(name="p", url="https://p", username="u", password=one)),
        lambda one: repr(Login(one, one)),
        lambda one: pprint.pformat([one]),
        lambda one: reprlib.repr(one),
        lambda one: repr(ValueError(one)),
        lambda one: repr(dir(one)) + repr([getattr(one, name) for name in type(one).__slots__]),
        lambda one: repr(inspect.getmembers(one)),
        lambda one: rich.pretty.pretty_repr(Holder(one)),
        lambda one: json.dumps({"a": one}, default=str),
        lambda one: logging.LogRecord("n", 10, "p", 1, "%s", (one,), None).getMessage(),
        lambda one: str(one.__hash__()) + str(hash(one)),
    ],
)
def test_nothing_that_turns_things_into_text_shows_it(show):
    assert WORD not in show(Secret(WORD))
    assert WORD not in show(Token(WORD))


@pytest.mark.made_up_secrets("any text at all, a single letter too")
@given(some.text(min_size=1))
def test_no_secret_is_in_its_own_words(text):
    told = repr(Secret(text))
    assert told == str(Secret(text)) == HIDDEN
    assert Secret(text).reveal() == text


@pytest.mark.parametrize(
    "give_away",
    [
        pickle.dumps,
        json.dumps,
        msgspec.json.encode,
        msgspec.to_builtins,
        lambda one: pickle.dumps(Holder(one)),
        lambda one: pickle.dumps(Login(one, one)),
        lambda one: msgspec.json.encode(Target(name="n", scheme="s", line=1, url=one)),
        lambda one: one + "",
        lambda one: str.join("", [one]),
        lambda one: f"{one:>10}",
    ],
)
def test_nothing_encodes_it(give_away):
    with pytest.raises((TypeError, AttributeError)) as caught:
        give_away(Secret(WORD))
    assert WORD not in "".join(traceback.format_exception(caught.value))


def test_a_copy_is_the_secret_itself():
    one = Secret(WORD)
    assert copy.copy(one) is one
    assert copy.deepcopy([one])[0] is one
    assert copy.deepcopy(Holder(one)).password is one


def test_equal_ones_are_equal_and_no_text_equals_one():
    assert Secret(WORD) == Secret(WORD)
    assert Secret(WORD) != Secret("other")
    assert Secret(WORD) != WORD
    assert Secret("\ud800") == Secret("\ud800")
    assert len({Secret(WORD), Secret(WORD), Secret("other")}) == 2
    assert hash(Secret(WORD)) == hash(Secret("other"))


def with_locals(error):
    """The traceback as a tool shows it that shows locals, and what hangs on the error."""
    shown = io.StringIO()
    console = rich.console.Console(file=shown, width=300)
    while error is not None:
        found = rich.traceback.Traceback.from_exception(
            type(error), error, error.__traceback__, show_locals=True, locals_max_string=1000
        )
        console.print(found)
        shown.write(repr(error.args) + repr(getattr(error, "object", "")))
        error = error.__context__
    # the lines of this file itself hold what it uses
    return "\n".join(line for line in shown.getvalue().splitlines() if "WORD" not in line)


@pytest.mark.parametrize(
    ("content", "read"),
    [
        (f"{WORD} and more\n", lambda path: read_token(path, {})),
        (f"{WORD}\n", lambda path: read_login(str(path), {}, credential="c", option="o")),
        (WORD.encode() + b"\xff", lambda path: read_token(path, {})),
    ],
    ids=["no single word", "no login", "no UTF-8"],
)
def test_an_error_about_a_secret_carries_it_in_no_frame(tmp_path, content, read):
    path = tmp_path / "secret"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    del content
    with pytest.raises(PolicyError) as caught:
        read(path)
    frames = caught.value.__traceback__.tb_next  # the first is this test's own
    shown = with_locals(caught.value.with_traceback(frames))
    assert "secret.py" in shown
    assert WORD not in shown


def test_a_file_is_read_into_a_secret_and_a_word_of_it_is_one(tmp_path):
    path = tmp_path / "token"
    path.write_text(f" {WORD}\n")
    path.chmod(0o600)
    found, content = read_secret_file(path, {}, credential="c", option="o")
    assert (found, content.reveal()) == (path, f" {WORD}\n")
    assert one_word(path, content, "o") == Secret(WORD)


# --- who may take one out

REVEALERS = {
    "guard/secret.py",  # compares two; finds out whether one is a word
    "guard/notify/secret.py",  # splits a login into its two lines
    "guard/notify/apprise.py",  # splits the file into URLs; hands one to Apprise
    "guard/notify/healthchecks.py",  # puts the ping key into the address of one POST
    "guard/notify/mail.py",  # SMTP's login; takes the password out of what a server says
    "guard/notify/webhook.py",  # the header of one POST
    "guard/xapi/session.py",  # session.login_with_password
    "guard/xapi/settings.py",  # takes the line's end off
    "guard/xo/client.py",  # session.signIn; the cookie of each GET, by http.py
    "guard/xo/live.py",  # the same
    "guard/xo/named.py",  # the cookie of its few GETs
    "guard/xo/renew.py",  # token.deleteOwn
    "guard/xo/token.py",  # a word becomes the token
    "guard/xo/token_file.py",  # writes a renewed token into its file
}


def modules():
    for path in sorted((ROOT / "guard").rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_exactly_the_known_modules_reveal_a_secret():
    found = {
        name
        for name, tree in modules()
        if any(isinstance(node, ast.Attribute) and node.attr == "reveal" for node in ast.walk(tree))
    }
    assert found == REVEALERS


def test_nobody_goes_round_reveal():
    names = {"_give", "__closure__", "cell_contents", "getclosurevars"}
    found = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.Constant) and node.value in names | {"reveal"})
    }
    assert found == {"guard/secret.py"}


def test_what_is_revealed_is_kept_in_no_attribute():
    """``self.x = secret.reveal()`` would make a plain text of it for as long as the object lives."""
    kept = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        and any(
            isinstance(target, ast.Attribute)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        )
        and node.value is not None
        and any(isinstance(one, ast.Attribute) and one.attr == "reveal" for one in ast.walk(node.value))
    ]
    assert kept == []


# --- what can be seen of a secret's file without reading it


def test_what_will_keep_a_secret_from_being_read_is_seen_without_reading_it(tmp_path):
    file = tmp_path / "token"
    assert file_trouble(file, {}, credential="c") == "there is no such file"
    assert file_trouble(file / "below", {}, credential="c") == "there is no such file"
    assert file_trouble(tmp_path, {}, credential="c") == "is no file"
    file.write_bytes(b"\xff")
    file.chmod(0o640)
    assert file_trouble(file, {}, credential="c") == f"others may read this secret (mode 640); run: chmod 600 {file}"
    file.chmod(0o400)
    assert file_trouble(file, {}, credential="c") == ""


def test_where_the_unit_was_given_a_credential_the_file_does_not_matter(tmp_path):
    (tmp_path / "c").write_text("x")
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert file_trouble(tmp_path / "none", env, credential="c") == ""
    assert file_trouble(tmp_path / "none", env, credential="other") == "there is no such file"


def test_a_file_that_cannot_be_seen_from_here_is_no_trouble():
    assert file_trouble(Path("/nowhere\0"), {}, credential="c") == ""
