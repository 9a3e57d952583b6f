"""Every piece of policy on a page is one that guard takes, and every unit's line one that systemd does."""

from __future__ import annotations

import re

import pytest
import tomli
from guard.errors import PolicyError
from guard.policy.load import load
from tests.docs.pages import DOCS, ROOT, Block, page_name, pages, parse, read
from tests.docs.shell import is_commands
from tests.views.policy_reference import SECTIONS

WRONG_ON_PURPOSE = {DOCS / "policy.md": "4 hours"}
"""Page -> words of a policy there that shows what an error looks like."""
_UNIT = re.compile(r"\[(?:Unit|Service|Timer|Socket|Install)\]")
_HEAD = re.compile(r"\[{1,2}[a-z_.]+\]{1,2}(?:\s|$)")
_KEY = re.compile(r"\[([a-z_.]+)\] ([a-z_]+)(?: = (.+))?")
_PAIR = re.compile(r"([a-z_]+) = (\"[^\"]*\"|true|false|\d+)")


def is_policy(block: Block) -> bool:
    if block.info:
        return block.info == "toml"
    return _HEAD.match(block.text) is not None and _UNIT.match(block.text) is None


def wrong(block: Block) -> list[str]:
    """What guard says of a piece of policy, with the address of an XO where the piece has none."""
    try:
        has_address = "url" in tomli.loads(block.text).get("xo", {})
    except tomli.TOMLDecodeError as error:
        return [f"{block.place}: no TOML: {error}"]
    text = block.text
    if not has_address and "[xo]" in text:
        text = text.replace("[xo]\n", '[xo]\nurl = "https://xo.example.org"\n')
    elif not has_address:
        text += '\n[xo]\nurl = "https://xo.example.org"\n'
    try:
        load(text, file=str(block.place))
    except PolicyError as error:
        return list(error.problems)
    return []


@pytest.mark.parametrize("path", pages(), ids=page_name)
def test_every_piece_of_policy_on_a_page_is_taken(path):
    shown = [block for block in read(path).blocks if is_policy(block)]
    kept = [block for block in shown if WRONG_ON_PURPOSE.get(path, "\0") not in block.text]
    assert [said for block in kept for said in wrong(block)] == []


@pytest.mark.parametrize("path", pages(), ids=page_name)
def test_every_key_that_a_page_names_in_a_line_is_one_of_the_policy(path):
    keys = {name.strip("[]"): set(kind.__struct_fields__) for name, kind in SECTIONS.items()}
    anywhere = set().union(*keys.values())
    problems = []
    for span in read(path).spans:
        named, pair = _KEY.fullmatch(span.text), _PAIR.fullmatch(span.text)
        if named and named[1] not in keys:
            problems.append(f"{span.place}: {span.text}: no section [{named[1]}]")
        elif named and named[2] not in keys[named[1]]:
            problems.append(f"{span.place}: {span.text}: no key {named[2]} in [{named[1]}]")
        elif named and named[3]:
            brackets = f"[[{named[1]}]]" if f"[[{named[1]}]]" in SECTIONS else f"[{named[1]}]"
            problems += wrong(Block(span.place, "toml", f"{brackets}\n{named[2]} = {named[3]}\n"))
        elif pair and pair[1] not in anywhere and path != ROOT / "CHANGELOG.md":
            problems.append(f"{span.place}: {span.text}: no section has a key {pair[1]}")
    assert problems == []


@pytest.mark.parametrize("path", pages(), ids=page_name)
def test_every_line_for_a_unit_is_one_that_a_unit_of_guards_has(path):
    units = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "systemd").iterdir()))
    known = set(re.findall(r"^#?(\w+)=", units, re.MULTILINE))
    shown = [block for block in read(path).blocks if _UNIT.match(block.text) and not is_commands(block)]
    keys = {key for block in shown for key in re.findall(r"^(\w+)=", block.text, re.MULTILINE)}
    assert keys - known == set()


def test_a_wrong_piece_of_policy_is_found():
    page = parse(
        DOCS / "made-up.md",
        '    [defaults]\n    gate = "nowhere"\n\n```toml\n[xo]\nnowhere = 1\n```\n\n```toml\n[xo\n```\n\n'
        '    [[limit]]\n    slots = 2\n    per = "sr"\n\nText.\n\n    [Service]\n    LoadCredential=x\n\n```console\n[xo]\n```\n',
    )
    found = [said for block in page.blocks if is_policy(block) for said in wrong(block)]
    assert [said.partition(": ")[0] for said in found] == [
        "docs/made-up.md:1:2",
        "docs/made-up.md:5:3",
        "docs/made-up.md:10",
    ]
