"""docs/runbook.md has a section for each code that a person must act on, of one shape, and what it says is guard's own.

The words of **You see** are compared with what guard prints: the demo's findings, the messages of the daemon, and where a
text is made deep inside, the source that makes it. Figures may differ.
"""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace

import pytest
from guard.assess import make_plan
from guard.checks import ALL
from guard.cli.parser import build_parser
from guard.cli.source import read_demo
from guard.decision.brakes import Brake, on_hold
from guard.decision.decide import XO_WOULD_CRASH
from guard.decision.windows import outside_window
from guard.errors import UsageError
from guard.finding import Harm
from guard.lifecycle.follow_up_causes import SORTED, FollowedBy
from guard.lifecycle.loop import SwitchedOff
from guard.lifecycle.token import Notice, TokenFacts, TokenState
from guard.notify import trouble
from guard.notify.message import Event, Message, Tier
from guard.outcomes.alarms import ALARMS
from guard.outcomes.outcome import outcome
from guard.policy.codes import EVERY_CODE, POLICY_CODES
from guard.policy.sample import written
from guard.policy.schema import WindowRule, default_policy
from guard.policy.tiers_schema import TOLD_AHEAD, tier_of
from guard.simulator.demo import DEMO_NOW
from guard.units import format_duration
from guard.views import messages_own
from guard.views.explain import RUNBOOK, explain_text, has_runbook
from guard.views.story import outcome_sentence
from guard.views.token import notice_text
from tests.builders import make_due, make_log, make_transfer, make_vm_task
from tests.docs.pages import DOCS, ROOT, parse, read
from tests.docs.shell import commands, synopses
from tests.views.policy_reference import SECTIONS

PAGE = DOCS / "runbook.md"
TEXT = PAGE.read_text(encoding="utf-8")
PARTS = ("You see", "It means", "Look", "Do", "guard meanwhile", "Done when", "If not")
MOST_LINES = 20
"""More is not read at three in the morning."""
_LEAD = re.compile(r"^\* \*\*(.+?)\*\*", re.MULTILINE)
_ROW = re.compile(r"^\| \[(\w+)\]\(#(\w+)\) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def section_texts(text: str = TEXT) -> dict[str, str]:
    """Code -> its section without the heading, in the order of the page."""
    found = re.split(r"^## ([A-Z][A-Z0-9_]+)\n", text, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


SECTIONS_OF_CODES = section_texts()


def part(section: str, name: str) -> str:
    """One bullet of a section on one line, without its lead."""
    found = re.search(rf"^\* \*\*{name}\*\*(.*?)(?=^\* \*\*|\Z)", section, re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def quoted(section: str) -> str:
    """What guard prints, by the page: between the first and the last quotation mark of **You see**."""
    found = re.fullmatch(r'"(.+)"', part(section, "You see"))
    assert found is not None, f"You see is no quotation: {part(section, 'You see')}"
    return found[1]


# --- which codes, in which shape


def wanted() -> list[str]:
    """Alarms, what a person or a remedy clears, what no check predicts, and the policy's own words."""
    told = {code.id for code in (*ALARMS, *POLICY_CODES)}
    return sorted(
        code.id
        for code in EVERY_CODE.values()
        if code.id in told or not code.clears or {one.value for one in code.clears} & {"person", "remedy"}
    )


def test_every_code_a_person_must_act_on_has_its_section_and_no_other_in_the_order_of_the_alphabet():
    assert list(SECTIONS_OF_CODES) == wanted()


def test_the_table_names_the_same_codes_in_the_same_order():
    rows = _ROW.findall(TEXT)
    assert [code for code, *_ in rows] == wanted()
    assert all(anchor == code.lower() for code, anchor, *_ in rows)


def test_the_codes_without_a_section_are_named_with_the_reason():
    told = re.search(r"^Eight codes have no section(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)[1]
    named = re.findall(r"\[(\w+)\]\(codes\.md#\w+\)", told)
    assert named == sorted(EVERY_CODE.keys() - set(wanted()))
    assert len(named) == 8
    assert "time alone clears them" in told


def shape_errors(section: str) -> list[str]:
    """What a section lacks of the shape that all of them have."""
    found = [] if tuple(_LEAD.findall(section)) == PARTS else [f"its parts are {_LEAD.findall(section)}"]
    steps = re.findall(r"^  (\d)\. ", section, re.MULTILINE)
    if len(steps) < 2 or [int(one) for one in steps] != list(range(1, len(steps) + 1)):
        found.append(f"its steps are numbered {steps}")
    lines = [line for line in section.splitlines() if line.strip()]
    if not 8 <= len(lines) <= MOST_LINES:
        found.append(f"it has {len(lines)} lines")
    return found + [f"{name} says nothing" for name in PARTS if len(part(section, name)) < 10]


@pytest.mark.parametrize("code", SECTIONS_OF_CODES)
def test_every_section_has_the_same_shape_and_leads_to_what_the_code_means(code):
    section = SECTIONS_OF_CODES[code]
    assert shape_errors(section) == []
    assert f"([more](codes.md#{code.lower()}))" in part(section, "It means")


def test_a_section_that_lacks_something_is_found():
    good = SECTIONS_OF_CODES["USB_ATTACHED"]
    assert "its parts are" in shape_errors(good.replace("* **Look**", "* **Peep**"))[0]
    assert "numbered" in shape_errors(good.replace("  2. ", "  3. "))[0]
    assert "lines" in shape_errors(good + "\nmore" * MOST_LINES)[0]


def test_guard_explain_leads_to_each_section_and_to_none_that_is_not_there():
    assert f"{RUNBOOK}" == str(PAGE.relative_to(ROOT))
    for code in EVERY_CODE.values():
        link = f"\nRunbook: {RUNBOOK}#{code.id.lower()}\n"
        assert has_runbook(code) is (code.id in SECTIONS_OF_CODES), code.id
        assert explain_text(code).endswith(link) is (code.id in SECTIONS_OF_CODES), code.id


def test_every_alert_that_leads_here_leads_to_a_section():
    slugs = read(PAGE).slugs
    named = set()
    for file in sorted((ROOT / "config" / "prometheus").glob("*.yaml")):
        named |= set(re.findall(r"runbook_url: docs/runbook\.md#(\S.*)", file.read_text(encoding="utf-8")))
    of_any_alarm = {one for one in named if "{{" in one}
    assert len(named) > len(of_any_alarm) == 1
    assert named - of_any_alarm - slugs == set()
    assert {code.id.lower() for code in ALARMS} - slugs == set()


# --- how urgent

_STATES = {
    "XO_DID_NOT_FIRE": ("rescued", "missed"),
    "SCHEDULE_DISABLED": ("switched_off",),
    "START_UNCERTAIN": ("alarm", "missed"),
    "SCHEDULE_LEFT_OFF": ("alarm",),
    "JOB_STUCK": ("alarm",),
    "RUN_REFUSED": ("refused",),
    "RUN_EXPIRED": ("expired",),
    "OUTSIDE_WINDOW": ("defer", "refused"),
    "ON_HOLD": ("defer", "refused"),
    "NO_SLOT": ("defer",),
    "SNAPSHOT_REFUSED": ("defer",),
    **dict.fromkeys(("GATE_STANDS_ASIDE", "XO_UNREADABLE", "CLOCKS_DIFFERENT"), ("trouble",)),
    **dict.fromkeys(("LEDGER_DISK_FULL", "LEDGER_UNWRITABLE"), ("trouble",)),
}
"""The states in which a code is told that is no cause of a failed run (guard/views/messages.py, messages_own.py)."""
_BY_THEIR_OWN = {
    "TOKEN_EXPIRES": {"page", "digest"},
    "NOTIFY_FAILING": {"digest"},
    "NOTIFY_DROPPED": {"page", "digest"},
}
"""guard/lifecycle/token.py and guard/notify/trouble.py choose the tier themselves."""


def tiers(code: str) -> set[str]:
    """The tiers in which guard tells of a code by default."""
    if code in _BY_THEIR_OWN:
        return _BY_THEIR_OWN[code]
    states = list(_STATES.get(code, ()))
    harmful = any(one is not Harm.NONE for one in EVERY_CODE[code].harm)
    if harmful or code in XO_WOULD_CRASH:
        states.append("refused")
    if not states or harmful:
        follows, _ = SORTED[code]
        if follows is FollowedBy.PERSON:
            states += ["failure", "failure_of_all"]
        elif follows is not FollowedBy.NOTHING:
            states.append("failure")
    if code in TOLD_AHEAD:
        states.append("warn")
    return {tier_of({}, state, (code,)) for state in states}


@pytest.mark.parametrize(("code", "urgency"), [(code, cell) for code, _, _, cell, _ in _ROW.findall(TEXT)])
def test_the_table_tells_how_urgent_a_code_is_by_default(code, urgency):
    found = tiers(code)
    assert found
    if "page" not in found:
        assert urgency == "digest"
    else:
        assert urgency.split(",")[0] == "page"
        assert bool("," in urgency) is (found != {"page"} and code not in ("SETTINGS_MISSING", "REPOSITORY_NO_SPACE"))


# --- what guard prints

NIGHT = datetime(2026, 11, 24, 2, 5, tzinfo=UTC)
IN_THE_SOURCE = {
    "JOB_STUCK": "guard/lifecycle/next_step.py",
    "NO_SLOT": "guard/decision/limits.py",
    "RUN_EXPIRED": "guard/lifecycle/acting.py",
    "SCHEDULE_LEFT_OFF": "guard/gate/hands.py",
    "START_UNCERTAIN": "guard/lifecycle/acting.py",
    "XO_DID_NOT_FIRE": "guard/lifecycle/next_step.py",
}
"""Code -> the module whose words its text is made of."""
LEAST_WORDS = 15  # letters that a piece of source must have in common with the page


def blanked(text: str) -> str:
    """One line, with a sign for each figure."""
    return re.sub(r"\d[\d.,:]*\d|\d", "#", " ".join(text.split()))


def fits(quote: str, printed: str) -> bool:
    """Whether what guard printed begins with the page's words, but for figures and what ``...`` stands for."""
    parts = [re.escape(blanked(one).strip()) for one in quote.split("...")]
    return re.match(r".*?".join(parts), blanked(printed)) is not None


@cache
def demo() -> dict[str, list[str]]:
    """Code -> the sentences of the demo's plan."""
    plan = make_plan(read_demo(), default_policy(), now=DEMO_NOW, start=DEMO_NOW, within=timedelta(hours=24))
    found: dict[str, list[str]] = {}
    for one in plan.runs:
        for finding in one.verdict.findings:
            found.setdefault(finding.code, []).append(finding.summary)
    return found


def messages() -> dict[str, str]:
    """Code -> what the daemon tells of it."""
    run = SimpleNamespace(due=make_due(zone="utc"), schedule=SimpleNamespace(id="s", name="nightly"))
    window = WindowRule(name="month's end", kind="deny", cron="0 0 * * *", duration=timedelta(hours=12))
    hold = Brake(
        kind="hold",
        scope="repository:nas",
        until=NIGHT + timedelta(hours=4),
        reason="disks are replaced",
        since=NIGHT,
        by="alice",
    )
    held_back = outside_window([window], run, NIGHT)
    assert held_back is not None
    lost = Message(tier=Tier.PAGE, event=Event.ALARM, title="nightly", text="", at=NIGHT)
    day = timedelta(days=1)
    token = TokenState(
        facts=TokenFacts(user="guard", admin=True, expires_at=NIGHT + 12 * day, created_at=NIGHT), read_at=NIGHT
    )
    return {
        "CLOCKS_DIFFERENT": messages_own.clocks(timedelta(seconds=-42)).text,
        "GATE_STANDS_ASIDE": messages_own.stands_aside("xo-server 5.210.0 was never tested with guard").text,
        "LEDGER_DISK_FULL": messages_own.disk_full().text,
        "LEDGER_UNWRITABLE": messages_own.unwritten("it is full", NIGHT, UTC).text,
        "NOTIFY_DROPPED": trouble.dropped("webhook", [lost] * 3, "it is gone", NIGHT).title,
        "NOTIFY_FAILING": trouble.failing("webhook", NIGHT, "it is gone", day, NIGHT, UTC).title,
        "ON_HOLD": on_hold(hold, (), run).summary,
        "OUTSIDE_WINDOW": held_back.summary,
        "RUN_INTERRUPTED": outcome_sentence(
            outcome(
                make_log(
                    make_vm_task("db1", make_transfer(4 * 2**30)),
                    make_vm_task("db2"),
                    status="interrupted",
                    seconds=720,
                )
            )
        ),
        # a story holds that page to the very words of a message (tests/stories/test_messages.py)
        "RUN_REFUSED": " ".join(
            (DOCS / "messages.md").read_text(encoding="utf-8").partition("usb: RUN_REFUSED")[2].split()
        ),
        "SCHEDULE_DISABLED": messages_own.switched_off(SwitchedOff(schedule="s", name="nightly", at=NIGHT)).text,
        "TOKEN_EXPIRES": notice_text(token, Notice(days=14, is_page=False, failing=False), NIGHT, UTC, renews=False),
        "XO_UNREADABLE": messages_own.unread("connection refused", NIGHT, UTC).text,
    }


def templates(path: str) -> list[str]:
    """The texts that a module makes, as patterns: what it puts in is anything, a name bound to a text is that text."""
    found: list[str] = []
    for function in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        bound: dict[str, list[ast.expr]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                bound.setdefault(node.targets[0].id, []).append(node.value)
        texts = [one for one in ast.walk(function) if isinstance(one, ast.JoinedStr | ast.BinOp)]
        found += [_pattern(one, bound, 0) for one in texts]
    return [one for one in found if len(re.findall(r"[a-z]", one)) >= LEAST_WORDS]


def _pattern(node: ast.expr, bound: dict[str, list[ast.expr]], depth: int) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(blanked(f".{node.value}.")[1:-1])
    if isinstance(node, ast.JoinedStr):
        return "".join(_pattern(one, bound, depth) for one in node.values)
    if isinstance(node, ast.FormattedValue):
        return _pattern(node.value, bound, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _pattern(node.left, bound, depth) + _pattern(node.right, bound, depth)
    if isinstance(node, ast.IfExp):
        return f"(?:{_pattern(node.body, bound, depth)}|{_pattern(node.orelse, bound, depth)})"
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Slice):
        whole = [one.value for one in bound.get(node.value.id, ()) if isinstance(one, ast.Constant)]
        return f"(?:{'|'.join(re.escape(one[ast.literal_eval(node.slice.lower or '0') :]) for one in whole)})"
    if isinstance(node, ast.Name) and node.id in bound and depth < 3:
        return f"(?:{'|'.join(_pattern(one, bound, depth + 1) for one in bound[node.id])})"
    return ".*?"


def printed(code: str, quote: str) -> bool:
    """Whether guard prints such a text for this code."""
    said = [*demo().get(code, ()), *filter(None, [messages().get(code)])]
    if code in IN_THE_SOURCE and any(re.fullmatch(one, blanked(quote)) for one in templates(IN_THE_SOURCE[code])):
        return True
    prefix = re.fullmatch(rf"(\S+): {code}: (.+)", quote)
    if prefix is not None:  # a cause in a message of a failed run: the classifier must give the words this code
        log = make_log(status="failure", result={"message": prefix[2], "name": "Error"})
        return [one.code for one in outcome(log).causes] == [code]
    return any(fits(quote, one) for one in said)


@pytest.mark.parametrize("code", SECTIONS_OF_CODES)
def test_what_a_section_says_you_see_is_what_guard_prints(code):
    assert printed(code, quoted(SECTIONS_OF_CODES[code])), quoted(SECTIONS_OF_CODES[code])


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("CHAIN_UNHEALTHY", "web-2: 2 uncoalesced VDIs in the chain of disk web-2_disk0"),
        ("CLOCKS_DIFFERENT", "guard's clock is 42 s after XO's."),
        ("NETWORK_LOST", "db1: NETWORK_LOST: unhealthy VDI chain"),
        ("RUN_EXPIRED", "nightly: The deadline passed and nobody started it."),
        ("START_UNCERTAIN", "nightly: XO's answer to the start was lost, and no run of it showed afterwards."),
        ("SNAPSHOT_STUCK", "web-2: 2 un-coalesced VDIs in the chain of disk web-2_disk0 on SAN LUN 1; XO tolerates 1."),
    ],
)
def test_words_that_guard_does_not_print_are_found(code, wrong):
    assert not printed(code, wrong)


# --- what it names

LOOKS = frozenset(
    ("why", "plan", "status", "match", "coverage", "report", "when", "token show", "workaround show", "config show")
)
"""Commands of guard's that change nothing."""
XE = frozenset(
    {
        *(
            "host-list",
            "pbd-list",
            "snapshot-list",
            "sr-list",
            "task-list",
            "vbd-list",
            "vdi-list",
            "vm-list",
            "vusb-list",
        ),
        *("sr-param-get", "sr-param-remove", "vdi-destroy", "vdi-param-get"),
        *("vm-param-get", "vm-param-remove", "vm-param-set"),
    }
)
"""The commands of XAPI's own command line that the page names."""


def spans(text: str) -> list[str]:
    return [one.text for one in parse(PAGE, text).spans]


def looks_wrong(section: str) -> list[str]:
    """The commands of **Look** that may change something."""
    found = []
    for text in spans(part(section, "Look")):
        words = text.split()
        if words[0] == "xe":
            found += [] if re.fullmatch(r"\w+-(list|param-get)", words[1]) else [text]
        elif words[0] == "guard":
            found += [] if LOOKS & {words[1], " ".join(words[1:3])} else [text]
        elif words[0] in ("systemctl", "sudo", "rm"):
            found += [] if words[1] == "status" else [text]
    return found


@pytest.mark.parametrize("code", SECTIONS_OF_CODES)
def test_to_look_changes_nothing(code):
    assert looks_wrong(SECTIONS_OF_CODES[code]) == []


def test_a_look_that_changes_something_is_found():
    text = "* **Look** `xe sr-scan uuid=SR`, `xe sr-list`, `guard release`, `guard why x`, `systemctl restart guard`\n"
    assert looks_wrong(text) == ["xe sr-scan uuid=SR", "guard release", "systemctl restart guard"]


def test_every_xe_command_is_one_of_xapis():
    named = {text.split()[1] for text in spans(TEXT) if text.startswith("xe ")}
    assert named == XE


def test_every_command_of_guards_is_one_that_its_parser_takes():
    parser, tried, wrong = build_parser(), 0, []
    for command in commands(read(PAGE)):
        for form in synopses(command.text.removeprefix("sudo ")):
            if form.startswith("guard ") and not form.endswith("--version"):
                words = [one.strip("\"'") for one in re.findall(r"\"[^\"]*\"|\S+", form.partition(" >")[0])][1:]
                tried += 1
                try:
                    parser.parse_args(words)
                except UsageError as error:
                    wrong += [] if "arguments are required" in str(error) else [f"{command.place}: {form}: {error}"]
    assert wrong == []
    assert tried > 100


def test_every_word_that_looks_like_a_key_of_the_policy_is_one_and_checks_are_those_of_the_code():
    keys = set().union(*(set(kind.__struct_fields__) for kind in SECTIONS.values()))
    owners = {check.name: {code.id for code in check.codes} for check in ALL}
    wrong = []
    for code, section in SECTIONS_OF_CODES.items():
        for text in spans(section):
            named = re.fullmatch(r"(?:\[([a-z_.]+)\] )?([a-z]+(?:_[a-z]+)+)(?: = .+)?", text)
            if named and named[2] not in keys:
                wrong.append(f"{code}: {text}")
            if named and (named[1] or "").startswith("checks.") and code not in owners[named[1].partition(".")[2]]:
                wrong.append(f"{code}: {text}: a check of another code")
    assert wrong == []


def defaults() -> list[tuple[str, str, str, object]]:
    """(code, section of the policy, key, default as it is told) for each key with its figure behind it in brackets."""
    found = []
    for code, section in SECTIONS_OF_CODES.items():
        last = ""
        for where, key, told in re.findall(r"`(?:\[([\w.]+)\] )?(\w+)`,? \((\d[^)]*)\)", " ".join(section.split())):
            last = where or last
            found.append((code, last, key, told))
    return found


@pytest.mark.parametrize(("code", "where", "key", "told"), defaults())
def test_a_figure_behind_a_key_is_its_default(code, where, key, told):
    kind = SECTIONS[f"[{where}]"] if where else SECTIONS["[defaults]"]
    value = getattr(kind(), key)
    said = format_duration(value.total_seconds()) if isinstance(value, timedelta) else written(value).removesuffix(".0")
    assert told.split(":")[0] == said, code


def test_figures_behind_keys_are_looked_at():
    assert len(defaults()) >= 8
