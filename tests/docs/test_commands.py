"""Every command that a page shows is run, or held against what describes it; none is left out in silence.

A command that nothing here knows fails, and says where to add it: a placeholder to WORDS, a path to PATHS, an exit code
other than 0 to RULES, a program to machine.py.
"""

from __future__ import annotations

import re
import socket
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from guard.cli import clock
from guard.cli.parser import build_parser
from guard.errors import PolicyError, UsageError
from guard.policy.load import load
from tests.docs.house import TOKEN, House
from tests.docs.machine import Machine, is_missing, unit_file
from tests.docs.pages import DOCS, Place, page_name, pages, parse, read
from tests.docs.shell import Command, Simple, commands, simple, synopses

NOT_SHOWN_HERE = {DOCS / "codes.md"}
"""Made from the code; its commands are those of guard explain, which tests/views holds."""
WORDS = {
    "SCHEDULE": "nightly",
    "MEMBER": "nightly",
    "JOB": "nightly",
    "NAME": "nightly",
    "TAG": "prod",
    "SCOPE": "schedule:nightly",
    "CODE": "CHAIN_UNHEALTHY",
    "DUE": "2027-03-28T02:00+01:00",
    "TEXT": "a test of the docs",
    "REASON": "a test of the docs",
    "...": "a test of the docs",
    "a,b": "db1,db2",
    "web": "nightly",  # a schedule of guard demo --serve
}
"""Placeholders -> what stands for them."""
AS_ROOT = ("sudo", "-i")
XO = ("XO", "xo.example.org")
"""Hosts that stand for the simulated XO."""
METRICS = "127.0.0.1:9478"
"""The address of [metrics] on the pages: that of a daemon of this place."""


@dataclass(frozen=True)
class Rule:
    """``codes``: the exit codes that are right, and ``why``. ``first``: what has to be done before. ``policy``: what the
    policy says beside [xo], None for the usual. ``instead``: other words, where the command itself cannot be run.
    ``more``: words beside which alone an option of a synopsis may stand.
    """

    pattern: str
    why: str
    codes: tuple[int, ...] = (0,)
    first: tuple[str, ...] = ()
    policy: str | None = None
    instead: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


RULES = (
    Rule(r"guard status .*--nagios", "the exit code is the monitoring state", codes=(0, 1, 2, 3)),
    Rule(r"guard \w+ .*--exit-code", "2 where something is found", codes=(0, 2)),
    Rule(r"guard start .*--override ON_HOLD", "something has to be on hold", first=("hold all --until 4h --reason x",)),
    Rule(r"guard unhold (?P<scope>\S+)", "ends a hold", first=("hold {scope} --until 4h --reason x",)),
    Rule(r"guard unbypass (?P<scope>\S+)", "ends a bypass", first=("bypass {scope} --reason x",)),
    Rule(r"guard workaround revert", "takes back what was applied", first=("workaround apply --reason x",)),
    Rule(r"guard config show --(job|tag)", "goes with --schedule", more=("--schedule", "nightly")),
    Rule(r"guard workaround apply(?!.*--reason)", "goes with --reason", more=("--reason", "x")),
    Rule(r"guard token renew --delete-old", "deletes what was replaced", first=("token renew",)),
    Rule(r"guard demo --serve", "any free port", instead=("demo", "--serve", "0")),
    Rule(r"guard demo$", "its night takes half a minute: tests/test_demo_night.py", instead=("demo", "--plan-only")),
)


@dataclass
class Bench:
    house: House
    machine: Machine

    def wrong(self, command: Command) -> list[str]:
        """What is wrong with a command, one sentence each."""
        syntax = subprocess.run(
            ["bash", "-n"], input=command.text, capture_output=True, text=True, check=False, timeout=20
        )
        if not command.in_line and syntax.returncode:
            return [f"{command}: bash: {syntax.stderr.strip()}"]
        found = []
        for form in synopses(command.text) if command.in_line else [command.text]:
            for call in simple(form):
                said = self.tried(_without_sudo(call), command)
                found += [f"{command.place}: {form}: {said}"] if said else []
        return found

    def tried(self, call: Simple, command: Command) -> str:
        program = call.words[0].rpartition("/")[2]
        if program == "guard":
            return self.guard(call.words[1:], command)
        if call.words == AS_ROOT:
            return ""
        if program == "curl":
            return self.curl(call.words)
        if not self.machine.knows(program):
            return f"nothing tries {program}: add it to tests/docs/machine.py"
        said = self.machine.run(call, command.stdin)
        return said or _wrong_policy(call, command)

    def guard(self, words: tuple[str, ...], command: Command) -> str:
        parser = build_parser()
        if command.in_line and _is_mention(parser, words):
            return _unknown_words(parser, words)
        text = " ".join(("guard", *words))
        rule = next((one for one in RULES if re.match(one.pattern, text)), Rule("", ""))
        codes = rule.codes if command.exit_code is None else (command.exit_code,)
        if command.exit_code == 2 and words[0] == "workaround":
            rule = Rule("", "", policy="")
        for first in rule.first:
            scope = re.match(rule.pattern, text).groupdict()
            done = self.house.guard(*self.there(first.format(**scope).split()))
            assert done[0] == 0, f"{command}: first guard {first}: {done}"
        if rule.policy is not None:
            self.house.write_policy(rule.policy)
        given = self.there((*(rule.instead or words), *rule.more))
        goes_on = given[0] == "daemon" or "--serve" in given
        code, out, err = (self.house.lasting if goes_on else self.house.guard)(*given)
        if rule.policy is not None:
            self.house.write_policy()
        self.house.clear_brakes()
        if words[0] == "token":
            self.house.reset()  # another token may be in the file now
        missing = [line for line in command.told if not _occurs(line, out + err)]
        if code not in codes:
            return f"exit code {code} and not {' or '.join(map(str, codes))}: {err.strip() or out.strip()}"
        return f"its output has no line like {missing[0]!r}" if missing else ""

    def there(self, words) -> list[str]:
        """The words with this place's files in place of those of the docs."""
        house = self.house
        given = [WORDS.get(word, word) for word in words]
        for number, word in enumerate(given):
            if re.fullmatch(r"/etc/guard/\w+\.toml|my\.toml", word):
                given[number] = str(house.policy)
            elif re.fullmatch(r"/var/lib/guard(-\w+)?|state", word):
                given[number] = str(house.state)
            elif word == "FILE" or word.endswith((".json", ".json.gz")):
                made = {"--log": house.logs, "--estate": house.capture}.get(given[number - 1], house.new_file)
                given[number] = str(made())
        options = _options(given[0])
        for option, path in (("--config", house.policy), ("--state", house.state)):
            if option in options and not {option, "--demo", "--estate"} & set(given):
                given += [option, str(path)]
        return given

    def curl(self, words: tuple[str, ...]) -> str:
        address = next((word for word in words if "://" in word), "")
        host = urlsplit(address).netloc
        if host not in (*XO, METRICS):
            return f"nothing stands for the host {host}: add it to XO"
        given = [str(self.house.new_file()) if word == "FILE" else word.replace("TOKEN", TOKEN) for word in words]
        number, told = given.index(address), []
        if host in XO:
            given[number] = self.house.url + address.partition(host)[2]
            return _curled(given)
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            here = f"127.0.0.1:{free.getsockname()[1]}"
        given[number] = address.replace(METRICS, here)
        self.house.write_policy(f'[metrics]\nlisten = "{here}"\n')
        self.house.lasting(*self.there(["daemon"]), meanwhile=lambda: told.append(_curled(given)))
        self.house.write_policy()
        return told[0]


def _curled(words) -> str:
    """What is wrong with a request, "" where it was answered well."""
    if is_missing("curl"):
        return ""
    line = [*words, "--fail", "--silent", "--show-error"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=20)
    return done.stderr.strip() if done.returncode else ""


def _without_sudo(call: Simple) -> Simple:
    return Simple(call.words[1:], call.out, call.piped) if call.words[0] == "sudo" and call.words != AS_ROOT else call


def _is_mention(parser, words) -> bool:
    """Whether code in a line only names a command, such as ``guard start --dry-run``, whose schedule is not said."""
    try:
        parser.parse_args(words)
    except UsageError as error:
        return any(said in str(error) for said in ("the following arguments are required", "expected one argument"))
    except SystemExit:  # --version
        return False
    return words == ("workaround", "apply")  # its reason is asked for by the command, not by the parser


def _unknown_words(parser, words) -> str:
    """What of a mention guard does not know."""
    known = _options(words[0])
    wrong = [word for word in words[1:] if word.startswith("-") and word not in known]
    return f"guard {words[0]} has no option {wrong[0]}" if wrong else ""


def _options(command: str) -> frozenset[str]:
    (commands_,) = (one for one in build_parser()._actions if one.dest == "command")
    if command not in commands_.choices:
        return frozenset()
    found = list(commands_.choices[command]._actions)
    for one in commands_.choices[command]._actions:
        if isinstance(one.choices, dict):  # commands below a command
            found += [deeper for parser in one.choices.values() for deeper in parser._actions]
    return frozenset(option for one in found for option in one.option_strings)


def _occurs(line: str, out: str) -> bool:
    """Whether a line of a page stands in an output, but for figures, times and ids."""
    fixed = [re.escape(part) for part in re.split(r"\S*\d\S*|\.\.\.", " ".join(line.split()))]
    return re.search(r"\S*".join(fixed), " ".join(out.split())) is not None


def _wrong_policy(call: Simple, command: Command) -> str:
    """A here-document that is written into a .toml file is a policy."""
    target = call.out or call.words[-1]
    if not command.stdin or not target.endswith(".toml"):
        return ""
    try:
        load(command.stdin, file=target)
    except PolicyError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One for all pages: to make its nights takes longer than to read a page."""
    made = House(tmp_path_factory.mktemp("house"))
    with pytest.MonkeyPatch.context() as patch, made.open():
        patch.setattr(clock, "now", made.now)
        yield made


@pytest.fixture
def bench(house, tmp_path):
    house.reset()
    return Bench(house, Machine(tmp_path))


@pytest.mark.parametrize("path", [path for path in pages() if path not in NOT_SHOWN_HERE], ids=page_name)
def test_every_command_of_a_page_does_what_the_page_says(path, bench):
    found = list(commands(read(path)))
    problems = [said for command in found for said in bench.wrong(command)]
    print(f"{path.name}: {len(found)} commands")
    assert not problems, "\n".join(problems)


# --- the tester, tested


def made_up(text: str) -> list[Command]:
    return list(commands(parse(DOCS / "made-up.md", text)))


def test_commands_are_found_in_blocks_and_in_lines_with_their_comments_and_here_documents():
    text = (
        "Say `guard plan`, not `guard[1]` or `make`.\n\n"
        "    sudo guard status   # a comment; exit code 2\n"
        "    guard config \\\n        check\n\n"
        "```sh\nsudo tee /etc/x.toml <<'END'\n[xo]\nEND\n# nothing\nmake demo\n```\n\n"
        "```console\n$ guard when x\nNext: 3\n$ guard report\n```\n\n"
        "    [xo]\n    url = 1\n"
    )
    assert [(one.text, one.in_line, one.exit_code, one.stdin, one.told) for one in made_up(text)] == [
        ("guard plan", True, None, "", ()),
        ("sudo guard status", False, 2, "", ()),
        ("guard config  check", False, None, "", ()),
        ("sudo tee /etc/x.toml <<'END'", False, None, "[xo]\n", ()),
        ("make demo", False, None, "", ()),
        ("guard when x", False, None, "", ("Next: 3",)),
        ("guard report", False, None, "", ()),
    ]
    assert [one.place.line for one in made_up(text)] == [1, 3, 4, 8, 12, 16, 18]


def test_a_synopsis_stands_for_its_forms():
    assert synopses('guard hold A [--until "4 h"] [--x]') == [
        "guard hold A",
        'guard hold A --until "4 h"',
        "guard hold A --x",
    ]
    assert synopses("guard w show|apply") == ["guard w show", "guard w apply"]


def test_a_line_is_cut_into_the_programs_it_runs():
    assert simple("mkdir -m 700 state; guard plan | tee a >>'b c'") == [
        Simple(("mkdir", "-m", "700", "state")),
        Simple(("guard", "plan")),
        Simple(("tee", "a"), out="b c", piped=True),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("guard plan --nowhere", "unrecognized arguments"),
        ("guard why nobody", "exit code 1 and not 0"),
        ("guard hold all", ""),  # a mention
        ("guard hold all --for", "has no option --for"),
        ("guard frob nicate", "invalid choice"),
        ("systemctl restrat guard", "has no command restrat"),
        ("systemctl restart gaurd", "has no unit gaurd"),
        ("systemctl enable guard-release", "has no [Install] section"),
        ("systemctl --nwo enable guard", "has no option --nwo"),
        ("journalctl -u guard --nowhere", "has no option --nowhere"),
        ("journalctl GUARD_NOWHERE=1", "writes no journal field GUARD_NOWHERE"),
        ("make nowhere", "No rule to make target"),
        ("useradd --sistem guard", "useradd has no option --sistem"),
        ("useradd --system guard", ""),
        ("rm -rf /etc/passwd", "is nothing that guard puts there"),
        ("rm -f /etc/systemd/system/guard.*", ""),
        ("install -m 644 systemd/nowhere.service /etc/systemd/system/", "exit code 1"),
        ("ln -s /opt/guard/bin/guard /usr/local/bin/guard", ""),
        ("pip install '.[nowhere]'", "has no extra nowhere"),
        ("curl https://nowhere.example/", "nothing stands for the host nowhere.example"),
        ("curl https://XO/rest/v0/nowhere", "404"),
        ("curl http://127.0.0.1:9478/livez", ""),
        ("curl http://127.0.0.1:9478/nowhere", "404"),
        ("wget --nowhere", "nothing tries wget"),
        ("sudoedit /etc/guard/nowhere.toml", "there is no /etc/guard/nowhere.toml"),
    ],
)
def test_a_command_that_is_wrong_is_found(text, said, bench):
    tool = text.split()[0]
    if tool in ("systemctl", "journalctl", "curl", "useradd") and is_missing(tool):
        pytest.skip(f"{tool} is not installed: the commands of the docs were not tried with it")
    wrong = bench.wrong(Command(Place(DOCS / "made-up.md", 1), text, in_line=True))
    assert (wrong == []) if not said else (len(wrong) == 1 and said in wrong[0]), wrong


def test_output_that_guard_does_not_tell_is_found_and_figures_may_differ(bench):
    text = "```console\n$ guard config check\n{}\n```\n"
    (right,) = made_up(text.format("/etc/guard.toml: no error"))
    (wrong,) = made_up(text.format("all is well"))
    assert "its output has no line like 'all is well'" in bench.wrong(wrong)[0]
    assert unit_file("guard@paris") == unit_file("guard@.service") == DOCS.parent / "systemd" / "guard@.service"
    del right


def test_a_policy_in_a_here_document_is_checked(bench):
    text = "    sudo tee /etc/guard/guard.toml <<'END'\n    [xo]\n    url = \"{}\"\n    END\n"
    (right,), (wrong,) = made_up(text.format("https://xo.example.org")), made_up(text.format("nowhere"))
    assert bench.wrong(right) == []
    assert "expected the address of XO" in bench.wrong(wrong)[0]
    assert Path(bench.machine.root / "etc/guard/guard.toml").read_text().startswith("[xo]")
