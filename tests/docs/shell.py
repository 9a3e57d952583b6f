"""The commands that the docs show, taken out of code blocks and of code in a line, and cut into words as a shell would."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.docs.pages import Block, Page, Place

SHELLS = ("sh", "bash", "shell", "console")
PROGRAMS = {
    "apt-get",
    "cat",
    "cd",
    "chmod",
    "chown",
    "cp",
    "curl",
    "guard",
    "guard-workaround-helper",
    "install",
    "journalctl",
    "ln",
    "make",
    "man",
    "mkdir",
    "mv",
    "nano",
    "openssl",
    "pip",
    "printf",
    "promtool",
    "python3",
    "rm",
    "sed",
    "ssh",
    "sudo",
    "sudoedit",
    "systemctl",
    "systemd-analyze",
    "tee",
    "useradd",
    "userdel",
    "xe",
}
"""First words of a command. A block without a language is one of commands where its first line begins with one of these."""
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_HERE = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_EXIT = re.compile(r"exit code (\d+)")
_ENDS = (";", "&&", "|", "||")


@dataclass(frozen=True)
class Command:
    """``text``: as it stands on the page. ``exit_code``: what the comment behind it promises. ``told``: the block's lines
    of output behind it, where the block shows prompts. ``stdin``: the lines of its here-document.
    """

    place: Place
    text: str
    in_line: bool
    exit_code: int | None = None
    stdin: str = ""
    told: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass(frozen=True)
class Simple:
    """One program with its arguments; ``out``: the file its output goes to, ``piped``: whether it reads another's."""

    words: tuple[str, ...]
    out: str = ""
    piped: bool = False


def commands(page: Page) -> Iterator[Command]:
    """Every command of a page, in the order of its lines."""
    found = [one for block in page.blocks if is_commands(block) for one in _of_block(block)]
    found += [Command(span.place, span.text, in_line=True) for span in page.spans if is_command(span.text)]
    yield from sorted(found, key=lambda one: one.place.line)


def is_commands(block: Block) -> bool:
    if block.info:
        return block.info.split()[0] in SHELLS
    return is_command(block.text.splitlines()[0].removeprefix("$ "))


def is_command(text: str) -> bool:
    first, _, rest = text.partition(" ")
    return bool(rest) and first.rpartition("/")[2] in PROGRAMS


def simple(text: str) -> list[Simple]:
    """A line as the programs it runs. Raises ValueError where a shell would not understand it either."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=";&|<>")
    reader.whitespace_split, reader.commenters = True, ""
    found, words, out, piped = [], [], "", False
    tokens = [*reader, ";"]
    while tokens:
        token = tokens.pop(0)
        if token in _ENDS:
            if words:
                found.append(Simple(tuple(words), out, piped))
            words, out, piped = [], "", token == "|"
        elif token in (">", ">>"):
            out = tokens.pop(0)
        elif token in ("<", "<<"):
            tokens.pop(0)
        else:
            words.append(token)
    return found


def synopses(text: str) -> list[str]:
    """What ``[optional]`` parts and ``one|other`` words stand for: without any, then with each alone."""
    kept = [found[0] for found in _QUOTED.finditer(text)]
    hidden = iter(range(len(kept)))
    bare = _QUOTED.sub(lambda _: f"\0{next(hidden)}\0", text)
    parts = _OPTIONAL.findall(bare)
    forms = [_OPTIONAL.sub("", bare)]
    for chosen in range(len(parts)):
        numbers = iter(range(len(parts)))
        forms.append(_OPTIONAL.sub(lambda found, one=chosen, all_=numbers: found[1] if next(all_) == one else "", bare))
    found = [one for form in forms for one in _either(form.split())]
    return [re.sub("\0(\\d+)\0", lambda one: kept[int(one[1])], form) for form in found]


def _either(words: list[str]) -> list[str]:
    for number, word in enumerate(words):
        if "|" in word.strip("|"):
            return [form for one in word.split("|") for form in _either([*words[:number], one, *words[number + 1 :]])]
    return [" ".join(words)]


def _of_block(block: Block) -> Iterator[Command]:
    lines = list(enumerate(block.text.splitlines(), start=block.place.line))
    prompts = any(line.startswith("$ ") for _, line in lines)
    while lines:
        number, line = lines.pop(0)
        while line.endswith("\\") and lines:
            line = f"{line[:-1]} {lines.pop(0)[1].strip()}"
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        line = line.removeprefix("$ ").strip()
        told = []
        while prompts and lines and not lines[0][1].startswith("$ "):
            told.append(lines.pop(0)[1])
        stdin = []
        here = _HERE.search(line)
        if here is not None:
            while lines and lines[0][1].strip() != here[2]:
                stdin.append(lines.pop(0)[1])
            if not lines:
                raise AssertionError(f"{block.place}: nothing ends the here-document {here[2]}")
            lines.pop(0)
        text, comment = _without_comment(line)
        promised = _EXIT.search(comment)
        yield Command(
            Place(block.place.page, number),
            text,
            in_line=False,
            exit_code=int(promised[1]) if promised else None,
            stdin="".join(f"{one}\n" for one in stdin),
            told=tuple(one for one in told if one.strip()),
        )


def _without_comment(line: str) -> tuple[str, str]:
    bare = _QUOTED.sub(lambda found: "x" * len(found[0]), line)
    start = re.search(r"(?:^|\s)#", bare)
    return (line, "") if start is None else (line[: start.start()].strip(), line[start.start() :])
