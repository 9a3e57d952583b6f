"""guard token through the command line, against the simulated XO on loopback: which token is in the file, and in XO."""

from __future__ import annotations

import asyncio
import io
import json
import os
from contextlib import contextmanager
from datetime import timedelta

import msgspec
import pytest
from guard.cli import clock
from guard.cli.main import main
from guard.daemon.compose import LEDGER, only_one
from guard.ledger.sqlite import read_ledger
from guard.lifecycle.loop import Loop
from guard.lifecycle.token import TOKEN as DOCUMENT
from guard.lifecycle.token import TokenFacts, TokenState, read_token_state, seen
from guard.simulator.faults import Cut, Faults, RpcFailure
from guard.simulator.serve import running
from guard.simulator.tokens import keep
from guard.views.text import WIDTH
from tests.ledger.opening import opened
from tests.simulator.worlds import NOW, small_world

OWN = "simulated-token"
DAY = timedelta(days=1)


class Place:
    """A small world, a policy, a token file and a state folder; ``guard`` runs a command."""

    def __init__(self, folder, monkeypatch):
        self.now = NOW
        monkeypatch.setattr(clock, "now", lambda: self.now)
        self.world, self.faults = small_world().world, Faults()
        self.world.now = lambda: self.now
        self.user = next(iter(self.world.users.values()))
        self.folder, self.policy, self.file = folder / "state", folder / "guard.toml", folder / "xo-token"
        self.folder.mkdir(mode=0o700)
        self.write(OWN)
        self.more = ""

    def write(self, token):
        self.file.write_text(token + "\n")
        self.file.chmod(0o600)

    def made_by(self, client, days=20.0):
        return keep(self.world, OWN, created=NOW - 10 * DAY, expires=NOW + days * DAY, client=client)

    @contextmanager
    def serving(self):
        with running(self.world, self.faults) as self.url:
            self.policy.write_text(f'[xo]\nurl = "{self.url}"\ntoken_file = "{self.file}"\n{self.more}')
            yield

    def guard(self, *words, env=None):
        """(exit code, stdout, stderr)"""
        out, err = io.StringIO(), io.StringIO()
        with self.serving():
            code = main(
                ["token", *words, "--config", str(self.policy), "--state", str(self.folder)], out, err, env or {}
            )
        for token in self.world.tokens:
            assert token not in out.getvalue() + err.getvalue()
        assert all(len(line) <= WIDTH or line.startswith("{") for line in out.getvalue().splitlines())
        return code, out.getvalue(), err.getvalue()

    def told(self, *words, code=0):
        found, out, err = self.guard(*words)
        assert (found, err) == (code, "")
        return " ".join(out.split())

    def refused(self, *words):
        code, out, err = self.guard(*words)
        assert (code, out) == (1, "")
        return err

    @property
    def in_file(self):
        return self.file.read_text().strip()

    @property
    def old(self):
        return self.file.with_name("xo-token.old")

    def ends(self, token):
        return self.world.token_records[token]["expiration"] / 1000

    def writes(self):
        return [write.method for write in self.world.writes]


@pytest.fixture
def place(tmp_path, monkeypatch):
    return Place(tmp_path, monkeypatch)


# --- show


def test_show_tells_whose_the_token_is_and_until_when(place):
    place.made_by("guard-0011")
    out = place.told("show")
    assert "User: admin@example.org, an administrator" in out
    assert "in 20 d" in out
    assert "Made by: guard (guard-0011); guard can push its end on" in out
    assert place.writes() == []


def test_show_exits_2_when_the_end_is_near_or_unknown(place):
    place.made_by("guard-0011", days=14)
    place.told("show", code=2)
    place.faults.plant("user.getAuthenticationTokens", RpcFailure(-32601, "method not found"))
    assert "Valid until: unknown" in place.told("show", code=2)


def test_show_as_a_document(place):
    place.made_by(None)
    code, out, _ = place.guard("show", "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["schema"], document["client"], document["renewed_by_guard"]) == ("guard.token/1", None, False)
    assert document["expires_in_s"] == 20 * 86400


def test_a_token_that_xo_refuses_is_the_known_error(place):
    place.write("wrong-token")
    assert "refused the token" in place.refused("show")
    assert "refused the token" in place.refused("renew")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "--dry-run"), "go with renew"),
        (("show", "--valid-for", "9 d"), "go with renew"),
        (("renew", "--json"), "--json goes with show"),
        (("renew", "--valid-for", "soon"), "--valid-for 'soon': expected a duration"),
        (("renew", "--valid-for", "1 d"), "--valid-for '1 d': expected at least 2 d"),
        (("renew", "--dry-run", "--delete-old"), "do not go together"),
        (("renew", "--delete-old"), "there is no old token"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_xo_is_asked_to_write(place, words, said):
    assert said in place.refused(*words)
    assert place.writes() == []


# --- renew: a token that guard made


def test_a_token_of_guards_stays_the_same_with_a_later_end(place):
    place.made_by("guard-0011")
    assert "Renewed: the same token is valid until" in place.told("renew")
    assert (place.in_file, place.old.exists()) == (OWN, False)
    assert place.ends(OWN) == (NOW + 180 * DAY).timestamp()
    assert place.writes() == ["token.create"]


def test_for_how_long_is_asked_for_or_the_policys(place):
    place.made_by("guard-0011")
    place.guard("renew", "--valid-for", "90 d")
    assert place.ends(OWN) == (NOW + 90 * DAY).timestamp()
    place.more = 'renew_for = "120 d"\n'
    place.guard("renew")
    assert place.ends(OWN) == (NOW + 120 * DAY).timestamp()


def test_a_renewal_that_would_bring_the_end_nearer_is_refused(place):
    place.made_by("guard-0011", days=100)
    assert "is valid for 100 d still, and 90 d would make that less" in place.refused("renew", "--valid-for", "90 d")
    assert "would make that less" in place.refused("renew", "--valid-for", "90 d", "--dry-run")
    assert place.writes() == []


def test_a_dry_run_writes_nothing(place):
    place.made_by("guard-0011")
    assert "Would push the end of guard's token on to" in place.told("renew", "--dry-run")
    place.made_by(None)
    assert "and put it into" in place.told("renew", "--dry-run")
    assert place.writes() == []
    assert sorted(one.name for one in place.file.parent.iterdir()) == ["guard.toml", "state", "xo-token"]


def test_a_refused_renewal_leaves_everything_as_it_was(place):
    place.made_by("guard-0011")
    assert "XO allows no token of 300 d" in place.refused("renew", "--valid-for", "300 d")
    assert (place.in_file, place.ends(OWN)) == (OWN, (NOW + 20 * DAY).timestamp())


def test_what_the_daemon_knows_of_its_token_is_brought_up_to_date(place):
    place.made_by("guard-0011")
    before = seen(TokenState(told=7), TokenFacts(user="x", admin=True, expires_at=NOW + DAY), NOW)
    with place.serving(), opened(place.folder / LEDGER, xo=place.url) as ledger:
        asyncio.run(ledger.remember(DOCUMENT, msgspec.json.encode(before)))
        out, err = io.StringIO(), io.StringIO()
        words = ["token", "renew", "--config", str(place.policy), "--state", str(place.folder)]
        assert (main(words, out, err, {}), err.getvalue()) == (0, "")
    with read_ledger(place.folder / LEDGER, xo=place.url, clock=lambda: NOW) as ledger:
        state = read_token_state(asyncio.run(ledger.recall(DOCUMENT)))
    assert (state.expires_at, state.renewed_at, state.told) == (NOW + 180 * DAY, NOW, None)


def test_a_ledger_that_cannot_be_written_is_told_and_the_token_is_renewed_all_the_same(place):
    place.made_by("guard-0011")
    with opened(place.folder / LEDGER, xo="https://another.example"):
        code, _, err = place.guard("renew")
    assert (code, err.startswith("guard: note: guard status tells it later: ")) == (0, True)
    assert place.ends(OWN) == (NOW + 180 * DAY).timestamp()


# --- renew: a token that somebody else made


@pytest.mark.parametrize("client", [None, "w574r066b5"])
def test_a_token_of_others_is_replaced_once_the_new_one_is_proven_and_the_old_one_is_kept(place, client):
    place.made_by(client)
    out = place.told("renew")
    assert "A sign-in with it went well" in out
    assert "guard token renew --delete-old" in out
    fresh = place.in_file
    assert fresh != OWN
    assert place.old.read_text().strip() == OWN
    assert {one.stat().st_mode & 0o777 for one in (place.file, place.old)} == {0o600}
    assert place.ends(fresh) == (NOW + 180 * DAY).timestamp()
    assert place.ends(OWN) == (NOW + 20 * DAY).timestamp()  # as it was
    assert place.world.token_records[fresh]["client"]["id"].startswith("guard-")
    assert place.world.token_records[fresh]["description"].startswith("guard on ")


def test_the_new_token_is_guards_own_from_then_on(place):
    place.made_by(None)
    place.told("renew")
    fresh = place.in_file
    place.now += 30 * DAY
    place.world.token_records.pop(OWN)
    place.world.tokens.pop(OWN)
    place.guard("renew")
    assert place.in_file == fresh
    assert place.ends(fresh) == (NOW + 210 * DAY).timestamp()


@pytest.mark.parametrize("fault", [Cut(), RpcFailure(2, "not enough permissions")])
def test_when_the_new_token_does_not_work_the_old_one_stays_and_the_next_try_takes_it_up(place, fault):
    place.made_by(None)
    place.faults.plant("session.getUser", fault, times=1, skip=1)
    place.refused("renew")
    assert (place.in_file, place.old.exists()) == (OWN, False)
    assert sorted(one.name for one in place.file.parent.iterdir()) == ["guard.toml", "state", "xo-token"]
    count = len(place.world.tokens)
    place.told("renew")
    assert place.in_file != OWN
    assert len(place.world.tokens) == count  # XO gave the same one again


def test_a_new_token_of_other_rights_is_not_taken(place):
    place.made_by(None)
    place.faults.after(5, lambda: place.user.update(permission="none"))  # between the new token's making and its proof
    assert "not of the same user with the same rights" in place.refused("renew")
    assert place.in_file == OWN


def test_a_systemd_credential_is_left_to_a_person_with_the_steps(place, tmp_path):
    place.made_by(None)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "xo-token").write_text(OWN)
    (credentials / "xo-token").chmod(0o400)
    code, out, _ = place.guard("renew", env={"CREDENTIALS_DIRECTORY": str(credentials)})
    assert code == 2
    assert "it is a systemd credential, which is read-only. Nothing was changed." in " ".join(out.split())
    code, out, _ = place.guard("renew", "--dry-run", env={"CREDENTIALS_DIRECTORY": str(credentials)})
    assert code == 2
    assert place.writes() == []


def test_a_folder_nobody_may_write_to_is_told_before_xo_is_asked_for_anything(place, monkeypatch):
    place.made_by(None)
    real = os.open

    def refuse(path, *more):
        if str(path).endswith("xo-token.new"):
            raise PermissionError(13, "Permission denied")
        return real(path, *more)

    monkeypatch.setattr("guard.xo.token_file.os.open", refuse)
    assert "run guard token renew as the user that may write in its folder, such as root" in place.refused("renew")
    assert place.writes() == []


# --- renew --delete-old


def replaced(place):
    place.made_by(None)
    place.told("renew")
    return place.in_file


def test_the_old_token_is_deleted_only_when_asked_for_and_the_new_one_works(place):
    fresh = replaced(place)
    assert "The old token is deleted, in XO and here." in place.told("renew", "--delete-old")
    assert (OWN in place.world.tokens, place.old.exists(), place.in_file) == (False, False, fresh)
    assert "there is no old token" in place.refused("renew", "--delete-old")


def test_an_old_token_is_kept_while_the_new_one_is_refused(place):
    fresh = replaced(place)
    place.world.tokens.pop(fresh)
    assert "refused the token" in place.refused("renew", "--delete-old")
    assert OWN in place.world.tokens
    assert place.old.exists()


def test_an_old_token_that_the_daemon_was_seen_with_is_kept(place):
    replaced(place)
    created = NOW - 10 * DAY
    state = seen(TokenState(), TokenFacts(user="x", admin=True, created_at=created, expires_at=NOW + 20 * DAY), NOW)
    with place.serving(), opened(place.folder / LEDGER, xo=place.url) as ledger:
        asyncio.run(ledger.remember(DOCUMENT, msgspec.json.encode(state)))
        out = io.StringIO()
        words = ["token", "renew", "--delete-old", "--config", str(place.policy), "--state", str(place.folder)]
        assert main(words, out, io.StringIO(), {}) == 2
    assert "Nothing was deleted: when guard daemon last asked XO" in " ".join(out.getvalue().split())
    assert OWN in place.world.tokens
    assert place.old.exists()


def test_an_old_token_is_kept_where_the_ledger_does_not_tell_which_one_the_daemon_has(place):
    replaced(place)
    with opened(place.folder / LEDGER, xo="https://another.example"):
        pass
    assert "another.example" in place.refused("renew", "--delete-old")
    assert OWN in place.world.tokens
    assert place.old.exists()


def test_an_old_token_that_xo_refuses_by_now_is_forgotten(place):
    replaced(place)
    place.world.tokens.pop(OWN)
    place.world.token_records.pop(OWN)
    assert "The old token is deleted" in place.told("renew", "--delete-old")
    assert not place.old.exists()


def test_the_token_in_use_is_never_deleted_as_the_old_one(place):
    place.made_by("guard-0011")
    place.old.write_text(OWN)
    place.old.chmod(0o600)
    assert "holds the same token as the file of the old one" in place.refused("renew", "--delete-old")
    assert OWN in place.world.tokens


# --- status


def test_status_tells_until_when_and_of_a_folder_that_others_may_look_into(place):
    state = seen(TokenState(), TokenFacts(user="x", admin=True, expires_at=NOW + 6 * DAY), NOW)
    place.policy.write_text('[xo]\nurl = "https://xo.example"\n')
    with opened(place.folder / LEDGER, xo="https://xo.example") as ledger:
        asyncio.run(ledger.remember(DOCUMENT, msgspec.json.encode(state)))
        asyncio.run(ledger.remember("loop", msgspec.json.encode(Loop(at=NOW))))
    place.folder.chmod(0o755)

    def status(*words):
        out = io.StringIO()
        given = ["--config", str(place.policy), "--state", str(place.folder)]
        with only_one(place.folder):
            code = main(["status", *words, *given], out, io.StringIO(), {})
        return code, out.getvalue()

    _, text = status()
    assert "Guard's XO token runs out in 6 days" in text
    assert f"State folder: others may look into {place.folder} (mode 755)" in " ".join(text.split())
    document = json.loads(status("--json")[1])
    assert document["token"]["expires_in_s"] == 6 * 86400
    assert len(document["state_folder"]) == 1
    code, line = status("--nagios")
    assert (code, "token runs out in 6 days" in line) == (1, True)
