"""Every block of a page that is neither commands nor policy is what guard really says, reads or writes.

One that nothing here knows fails: add it to HELD, with what holds it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from guard.lifecycle.channels import ChannelStatus
from guard.mechanics.fallback import FallbackKind, read_name
from guard.notify import apprise
from guard.views.channels import channel_lines
from guard.views.log import Line, Priority, as_json
from tests.docs.pages import DOCS, ROOT, Block, pages, parse, read
from tests.docs.shell import is_commands
from tests.docs.test_policies import _UNIT, is_policy
from tests.views.policy_reference import example_errors


def is_other(block: Block) -> bool:
    return not (is_commands(block) or is_policy(block) or _UNIT.match(block.text))


def fallbacks(block, _folder):
    found = [read_name(line) for line in block.text.splitlines()]
    assert [kind for found_name in found for kind in FallbackKind if kind in found_name] == list(FallbackKind)


def errors_of_the_policy(block, _folder):
    assert block.text.splitlines() == [f"guard: {line}" for line in example_errors()]


def log_line(block, _folder):
    """As written by guard for the same line, but for figures, ids and what ``...`` stands for."""
    shown = json.loads("".join(block.text.splitlines()))
    named = {key: shown[key] for key in ("event", "schedule", "schedule_name", "job", "verdict")}
    line = Line(
        priority=Priority.NOTICE,
        message=shown["message"],
        due=datetime.fromisoformat(shown["due"]),
        codes=tuple(shown["codes"]),
        **named,
    )
    assert json.loads(as_json(line, datetime.fromisoformat(shown["ts"]))) == shown


def channels(block, _folder):
    shown = [
        ChannelStatus(name="webhook", sent=12, last_sent_at=datetime(2026, 11, 25, 0, 1, tzinfo=UTC)),
        ChannelStatus(
            name="mail",
            sent=3,
            failed=5,
            waiting=2,
            last_sent_at=datetime(2026, 11, 24, 6, tzinfo=UTC),
            failing_since=datetime(2026, 11, 25, tzinfo=UTC),
            last_error="mail.example.org:587 said 451 try later",
        ),
    ]
    told = " ".join(" ".join(channel_lines(shown, UTC)).split())
    assert " ".join(block.text.split()) == told


def apprise_urls(block, folder):
    file = folder / "apprise-urls"
    file.write_text(block.text, encoding="utf-8")
    file.chmod(0o600)
    assert [target.name for target in apprise.read_targets(str(file), {})] == ["apprise-slack", "apprise-ntfys"]


HELD = {
    ("docs/architecture.md", "due times -> selection"): "a picture",
    ("docs/channels.md", "# on call"): apprise_urls,
    ("docs/channels.md", "Channel webhook: "): channels,
    ("docs/enforce.md", "guard[5f0c9a52b7e4d38a]: start "): fallbacks,
    ("docs/enforce.md", "8 VMs start with concurrency 1 instead of 4"): "tests/decision/test_concurrency.py",
    ("docs/logs.md", '{"schema":"guard.log/1"'): log_line,
    ("docs/messages.md", "array / array: failure"): "tests/stories/test_messages.py",
    ("docs/messages.md", "Quiet night: "): "tests/stories/test_messages.py",
    ("docs/messages.md", "Paged meanwhile: "): "tests/views/test_nightly.py",
    ("docs/metrics.md", "scrape_configs:"): "tests/metrics/test_docs.py",
    ("docs/policy.md", "guard: /etc/guard/guard.toml:4: "): errors_of_the_policy,
}
"""(page, how the block begins) -> what holds it: a function here, the file of a test, or what it is."""


def held_by(block: Block):
    """What holds a block; None where nothing does."""
    page = str(block.place.page.relative_to(ROOT))
    return next((how for (name, begins), how in HELD.items() if name == page and block.text.startswith(begins)), None)


def blocks():
    return [block for path in pages() for block in read(path).blocks if is_other(block)]


@pytest.mark.parametrize("block", blocks(), ids=lambda block: str(block.place))
def test_every_other_block_of_a_page_is_held_by_something(block, tmp_path):
    how = held_by(block)
    assert how is not None, (
        f"{block.place}: nothing holds it: add it to HELD in tests/docs/test_outputs.py\n{block.text}"
    )
    if callable(how):
        how(block, tmp_path)
    elif how.startswith("tests/"):
        # a story compares the whole message where it comes about; a table holds the very line
        test = (ROOT / how).read_text(encoding="utf-8")
        assert str(block.place.page.name) in test or block.text.strip() in test


def test_everything_that_is_held_is_still_on_a_page():
    there = {
        (str(block.place.page.relative_to(ROOT)), begins)
        for block in blocks()
        for _, begins in HELD
        if block.text.startswith(begins)
    }
    assert set(HELD) - there == set()


def test_a_block_that_nothing_holds_and_an_output_that_is_not_so_are_found(tmp_path):
    page = parse(DOCS / "channels.md", "    Channel nowhere\n\nText.\n\n    Channel webhook: 13 sent.\n")
    unknown, wrong = page.blocks
    assert is_other(unknown)
    assert held_by(unknown) is None
    with pytest.raises(AssertionError):
        held_by(wrong)(wrong, tmp_path)
