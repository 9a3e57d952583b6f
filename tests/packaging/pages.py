"""Man pages and shell completion, made from the parser and the sample policy (make reference writes them)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage
from guard import __version__
from guard.cli.parser import build_parser
from guard.policy.codes import EVERY_CODE
from guard.policy.sample import sample
from tests.packaging import prose

ROOT = Path(__file__).parents[2]
MAN = ROOT / "docs" / "man"
COMPLETIONS = ROOT / "config" / "completions"
SHELLS = {"bash": "guard.bash", "zsh": "_guard", "fish": "guard.fish"}
_ONE_LINE = 10_000  # columns: a page must not depend on the terminal it was made on; man breaks the lines
_TITLE = '.TH {name} "{section}" "" "guard {version}" "guard"'  # no date: the version says which guard it is of


def texts() -> dict[Path, str]:
    """Every file that is made, and what it must hold."""
    found = {
        MAN / "guard.1": guard_page(),
        MAN / "guard.toml.5": policy_page(sample()),
        MAN / "guard-workaround-helper.8": _title("GUARD-WORKAROUND-HELPER", 8) + prose.HELPER,
    }
    return found | {COMPLETIONS / name: completion(shell) for shell, name in SHELLS.items()}


def write() -> None:
    for file, text in texts().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def guard_page() -> str:
    """guard(1): every command and option from the parser, and what a parser does not know from prose.py."""
    parser = build_parser()
    parser.description = None  # prose.py says more
    for _, one in commands(parser):
        one.formatter_class = partial(argparse.HelpFormatter, width=_ONE_LINE)
    for group in parser._action_groups:
        if any(isinstance(action, argparse._SubParsersAction) for action in group._group_actions):
            group.title = "commands"
    page = Manpage(parser, {"project_name": "guard", "version": __version__}, format="single-commands-section")
    page.date, page.manual = "", "guard"
    page.description = "watch over the backup schedules of Xen Orchestra"
    page.add_section("description", ">", prose.GUARD_ABOUT.strip())
    for heading, text in (
        ("words", prose.GUARD_WORDS),
        ("exit status", prose.GUARD_EXIT),
        ("files", prose.GUARD_FILES),
        ("environment", prose.GUARD_ENVIRONMENT),
        ("signals", prose.GUARD_SIGNALS),
        ("examples", prose.GUARD_EXAMPLES),
        ("see also", prose.GUARD_SEE),
    ):
        page.add_section(heading, ">", text.strip())
    return str(page)


def commands(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The parser and those of all commands below it, each with its name: '', 'plan', 'token renew'."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, one in action.choices.items():
                yield from commands(one, f"{name} {word}".strip())


def completion(shell: str) -> str:
    """The completion for one shell; files, folders and codes are completed where they are asked for."""
    parser = build_parser()
    for _, one in commands(parser):
        for action in one._actions:
            if action.metavar == "FILE":
                action.complete = shtab.FILE  # shtab's way of being told
            elif action.metavar == "FOLDER":
                action.complete = shtab.DIRECTORY
            elif action.metavar in ("CODE", "CODE[,..]"):
                action.choices = sorted(EVERY_CODE)
    return shtab.complete(parser, shell)


def policy_page(text: str) -> str:
    """guard.toml(5) from the sample policy: each of its sections and kinds of entries with every option."""
    sections, entries = [], []
    for block in text.strip().split("\n\n")[1:]:
        lines = block.splitlines()
        if any(line.startswith("[") for line in lines):
            sections += _section(lines)
        else:
            entries += _entry(lines)
    return "\n".join(
        [
            _title("GUARD.TOML", 5),
            ".SH NAME",
            r"guard.toml \- policy of guard",
            ".SH SYNOPSIS",
            ".I /etc/guard/guard.toml",
            ".SH DESCRIPTION",
            prose.POLICY_ABOUT.strip(),
            ".SH SECTIONS",
            *sections,
            ".SH ENTRIES",
            "There may be many of each of these, or none.",
            *entries,
            ".SH FILES",
            prose.POLICY_FILES.strip(),
            ".SH SEE ALSO",
            prose.POLICY_SEE.strip(),
            "",
        ]
    )


def _section(lines: list[str]) -> Iterator[str]:
    """A section of the sample: what it is, its name in brackets, then for each option its comment and its default."""
    told: list[str] = []
    for line in lines:
        if line.startswith("# "):
            told.append(line[2:])
            continue
        if line.startswith("["):
            yield f".SS {_roff(line)}"
        else:
            key, _, value = line.removeprefix("#").partition(" = ")
            yield f'.TP\n.BR "{_roff(key)}" " = {_quoted(value)}"'
        yield _line(" ".join(told))
        told = []
    if told:
        yield f".PP\n{_line(' '.join(told))}"


def _entry(lines: list[str]) -> Iterator[str]:
    """A kind of entries in the sample: a line for each option, what such an entry is, an example."""
    plain = [line[2:] for line in lines]
    first = next(place for place, line in enumerate(plain) if line.startswith("[["))
    options = [found.groups() for line in plain[:first] if (found := re.fullmatch(r"([a-z_]+): (.+)", line))]
    told = [line for line in plain[:first] if not re.match(r"[a-z_]+: ", line)]
    yield f".SS {_roff(plain[first])}"
    yield _line(" ".join(told))
    for key, text in options:
        yield f".TP\n.B {_roff(key)}\n{_line(text)}"
    yield ".PP\nFor example:\n.PP\n.RS 4\n.nf"
    yield from (_line(line) for line in plain[first:])
    yield ".fi\n.RE"


def _title(name: str, section: int) -> str:
    return _TITLE.format(name=_roff(name), section=section, version=__version__)


def _roff(text: str) -> str:
    """Text that roff takes literally, with the signs a person can copy into a shell."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    return escaped.replace("^", r"\(ha").replace("~", r"\(ti").replace("`", r"\(ga")


def _quoted(text: str) -> str:
    return _roff(text).replace('"', r"\(dq")


def _line(text: str) -> str:
    """A line of text; one that begins with a sign of roff's own is no request."""
    return rf"\&{_roff(text)}" if text.startswith((".", "'")) else _roff(text)


if __name__ == "__main__":
    write()
