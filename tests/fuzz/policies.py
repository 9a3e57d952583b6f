"""The policy file: real ones bent, and texts made to be slow, deep or large."""

from __future__ import annotations

import re
import tempfile
from functools import cache

from guard.estate.capture import to_bytes
from guard.policy.sample import sample
from tests.builders import make_estate
from tests.fuzz.judge import call
from tests.fuzz.mutate import MARKER, bend_bytes, own_folder

NAME = "policy"
_SMALL = """\
[xo]
url = "https://xo.example.org"
zone = "Europe/Paris"
call_timeout = "30 s"
[defaults]
max_defer = "2 h"
gate = "enforce"
[notify]
digest_at = "07:00"
[notify.webhook]
url = "https://hooks.example.org/guard"
[notify.mail]
host = "mail.example.org"
sender = "guard@example.org"
recipients = ["backup@example.org"]
[remedies]
timeout = "30 min"
[checks.chain]
tolerance = 2
[[schedule]]
name = "night*"
on_unknown = "defer"
[schedule.checks.chain]
effect = "warn"
[[window]]
cron = "0 22 * * 1-5"
duration = "8 h"
[[window]]
kind = "deny"
cron = "30 1 * * *"
duration = "20 min"
zone = "America/New_York"
[[limit]]
slots = 2
per = "repository"
name = "nas*"
[[pool]]
name = "paris"
url = "https://192.0.2.10"
username = "guard"
password_file = "/etc/guard/pool"
[[accept]]
code = "NEXT_RUN_FULL"
scope = "vm:web-01"
until = 2027-03-31
reason = "known"
"""
_VALUES = (
    *('""', "'x'", '"\\u0000"', '"\\u001b[31m"', '"\\u202e"', '"\U0001f4a5"', '"a" # c', "true", "false", "[]", "{}"),
    *("0", "-1", "1", "9223372036854775807", "9223372036854775808", "0x" + "f" * 2000, "9" * 5000, "1_0", "0o7", "0b1"),
    *("inf", "-inf", "nan", "1e308", "1e999", "-0.0", "0.1"),
    *("1979-05-27", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59Z", "1979-05-27T07:32:00-23:59", "07:32:00"),
    *("[[[[[[1]]]]]]", "[1, 'x', {}]", "{a = {b = {c = 1}}}", '["x"]', "[[]]", "{x.y.z = 1}", "[{}, {}]"),
    *('"* * * * *"', '"0 0 30 2 *"', '"0 0 29 2 *"', '"59 23 31 12 7"', '"*/59 */23 * * *"', '"0 0 31 2-12/5 *"'),
    *('"1 s"', '"3650 d"', '"0 s"', '"99999999999 d"', '"0.0000001 s"', '"1 h 1 h"', '"1s1s1s1s"', '"24 h"', '"0.5 s"'),
    *('"local"', '"utc"', '"Europe/paris"', '"Etc/GMT+12"', '"/etc/passwd"', '"/dev/zero"', '"/a\\u0000b"', '"/"'),
    *('"***"', '"[[[*"', '"[!a-]*?*?*?*?*?b"', '"all"', '"vm:"', '"vm:x"', '"enforce"', '"always"', '"page"', '"xo"'),
    *('"http://[::1]:1"', '"http://a b"', '"http://\\u2100"', '"https://x@y"', '"https://xo?x"', '"http://1.2.3.4.5"'),
)
_TRAPS = (
    lambda n: " " * n,
    lambda n: '[xo]\nurl = """\n[' + " " * n + '"""\n',
    lambda n: f"[xo]\nurl = '''\n{'a ' * (n // 2)}'''\n",
    lambda n: "#" * n,
    lambda n: f'[xo]\nurl = "{"x" * n}"\n',
    lambda n: f'[xo]\ncall_timeout = "{"1s" * (n // 2)}"\n',
    lambda n: f'[xo]\ncall_timeout = "{"9" * n} s"\n',
    lambda n: "[xo]\n" + "".join(f"k{one} = 1\n" for one in range(n // 9)),
    lambda n: "".join(f"[t{one}]\n" for one in range(n // 8)),
    lambda n: "[[schedule]]\n" * (n // 13),
    lambda n: "".join(
        f"[[schedule]]\nname = '{one}*'\n[schedule.checks.chain]\ntolerance = 1\n" for one in range(n // 70)
    ),
    lambda n: "[[window]]\ncron = '* * * * *'\nduration = '1 min'\n" * (n // 50),
    lambda n: f"[[window]]\ncron = '{','.join('0' * (n // 2))} * * * *'\nduration = '1 h'\n",
    lambda n: f"[[schedule]]\nname = '{'*a' * (n // 2)}'\nclaim = 'always'\n",
    lambda n: ".".join("a" * min(990, n // 2)) + " = 1\n",
    lambda n: f"a = {'[' * n}",
    lambda n: f"a = {'[' * 390}{']' * 390}\n",
    lambda n: "schedule = [{x." + ".".join("y" * 400) + " = 1}]\n",
    lambda n: f"[xo]\naccept_versions = [{'1, ' * (n // 3)}]\n",
    lambda n: (
        "[notify.mail]\nhost = 'x'\nsender = 'a@"
        + "b." * (n // 4)
        + "'\nrecipients = ["
        + "'a@b.c', " * (n // 20)
        + "]\n"
    ),
    lambda n: f"[notify.mail]\nsender = '{'a' * n}'\n",
    lambda n: f"'{'k' * n}' = 1\n",
)
_SECRET_PLACES = (
    *("[xo]\ntoken", "[xo]\npassword", "[xo]\ntoken_file", "[notify.webhook]\ntoken", "[notify.webhook]\nurl"),
    *(
        "[notify.mail]\npassword",
        "[notify.mail]\nlogin",
        "[notify.mail]\nlogin_file",
        "[notify.healthchecks]\nping_key",
    ),
    *("[[pool]]\npassword", "[[pool]]\npassword_file", "[[pool]]\nsecret", "[notify.webhook]\napi_key", "[pool]\nx"),
)


def make(random):
    kind = random.random()
    if kind < 0.35:
        return _changed_lines(random, random.choice((_SMALL, _SMALL, sample()))).encode(errors="surrogatepass")
    if kind < 0.6:
        words = (b'"""', b"'''", b"[[", b"]]", b"=", b"\r", b"\n[xo]\n", b"\n[[schedule]]\n", b".", b"{", b"#")
        return bend_bytes(random, _SMALL.encode(), words)
    if kind < 0.75:
        place = random.choice(_SECRET_PLACES)
        shape = random.choice(('"{}"', "'{}'", '["{}"]', '{{ x = "{}" }}', '"https://u:{}@h/p"', '"http://h /{}"'))
        return f"{place} = {shape.format(MARKER)}\n{random.choice(('', '[xo]', 'url = 1', 'x'))}\n".encode()
    size = random.choice((300, 3_000, 30_000, 1_000_000))
    return (random.choice(_TRAPS)(size) + random.choice(("", _SMALL))).encode()


def _changed_lines(random, text):
    lines = [re.sub(r"^#(\w+ = )", r"\1", line) if random.random() < 0.1 else line for line in text.splitlines()]
    for _ in range(random.choice((1, 2, 6))):
        at = random.randrange(len(lines))
        key, mark, _ = lines[at].partition("=")
        what = random.random()
        if mark and what < 0.7:
            lines[at] = f"{key}= {random.choice(_VALUES)}"
        elif what < 0.8:
            lines[at:at] = [lines[at]] * random.choice((1, 3))
        elif what < 0.9:
            del lines[at]
        else:
            lines.insert(at, random.choice(("[xo]", "[[window]]", "[checks.nothing]", "x = 1", "[[xo]]", "[schedule]")))
    return "\n".join(lines) + "\n"


@cache
def capture_file():
    file = own_folder() / "estate"
    file.write_bytes(to_bytes(make_estate()))
    return str(file)


def run(data):
    """Every command that reads a policy and no XO, one after another."""
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        told, _ = call("config", "check", "--config", file.name)
        call("config", "show", "--config", file.name)
        call("config", "show", "--config", file.name, "--schedule", "nightly", "--job", "job", "--tag", "x")
        planned, _ = call("plan", "--config", file.name, "--estate", capture_file())
    return told if told.startswith("error") else planned
