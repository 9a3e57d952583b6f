"""guard token show | renew: until when XO takes guard's token, and another life for it.

Losing the token that works is the worst that could come of this: the old one is never deleted before the new one is
saved and a sign-in with it went well, and only when it is asked for.
"""

from __future__ import annotations

import asyncio
import socket
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TextIO

import msgspec

from guard.cli import clock, source
from guard.cli.state import is_missing, ledger_path, state_folder
from guard.daemon.compose import LEDGER, zone_of
from guard.errors import LedgerError, PolicyError, UsageError, XoAnswerError, XoAuthError
from guard.ledger.sqlite import open_beside, read_ledger
from guard.lifecycle.token import TOKEN, TokenFacts, TokenState, read_token_state, renewed
from guard.policy.schema import Policy
from guard.units import format_duration, parse_duration
from guard.views import token as views
from guard.views.text import clean
from guard.xo.renew import TokenXo, client_id
from guard.xo.settings import xo_settings
from guard.xo.token import Token, read_token
from guard.xo.token_file import TokenFile, forget_old, is_credential, old_token

FINE, A_PERSON = 0, 2
_SHORTEST = timedelta(days=2)


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    """0 when all is well or done, 2 when something is left to a person, 1 (raised) for errors."""
    if arguments.what == "show" and (arguments.valid_for or arguments.dry_run or arguments.delete_old):
        raise UsageError("--valid-for, --dry-run and --delete-old go with renew")
    if arguments.dry_run and arguments.delete_old:
        raise UsageError("--dry-run and --delete-old do not go together: deleting is all or nothing")
    if arguments.what == "renew" and arguments.json:
        raise UsageError("--json goes with show")
    policy = source.read_policy(arguments.config)
    valid_for = _valid_for(arguments.valid_for, policy)
    renewal = _Renewal(policy, arguments, stderr, env)
    if arguments.what == "show":
        code, lines = _show(renewal, as_json=arguments.json)
    elif arguments.dry_run:
        code, lines = _would(renewal, valid_for)
    elif arguments.delete_old:
        code, lines = _delete_old(renewal)
    else:
        code, lines = _renew(renewal, valid_for)
    stdout.write("".join(line + "\n" for line in lines))
    return code


class _Renewal:
    """What every way needs: the policy, the token in use, and XO asked with it."""

    def __init__(self, policy: Policy, arguments: Namespace, stderr: TextIO, env: Mapping[str, str]) -> None:
        """Raises PolicyError where the token cannot be read."""
        self.policy, self.zone = policy, zone_of(policy)
        self._arguments, self._stderr, self._env = arguments, stderr, env
        self.file = Path(policy.xo.token_file) if policy.xo.token_file else None
        self.token = read_token(self.file, env)
        self.xo = self.asking_with(self.token)

    def asking_with(self, token: Token) -> TokenXo:
        settings = xo_settings(self.policy)
        return TokenXo(lambda: settings, lambda: token, clock=clock.now)

    def place(self) -> tuple[Path | None, str]:
        """The file that another token may be written to; None and why where there is none."""
        if is_credential(self._env.get("CREDENTIALS_DIRECTORY")):
            return None, "it is a systemd credential, which is read-only"
        return self.file, "" if self.file is not None else "[xo] token_file is not set"

    def known(self) -> TokenState:
        """What the daemon knows of its token; an empty state where there is no ledger yet. Raises LedgerError for one that
        cannot be read, such as that of another XO: which token its daemon has is unknown then.
        """
        try:
            folder = state_folder(self._arguments.state, self._env)
        except LedgerError:
            return TokenState()
        if is_missing(folder / LEDGER):
            return TokenState()
        with read_ledger(folder / LEDGER, xo=self.policy.xo.url, clock=clock.now) as ledger:
            return read_token_state(asyncio.run(ledger.recall(TOKEN)))

    def remember(self, facts: TokenFacts) -> None:
        """So that guard status need not wait for the daemon's next reading. Where it fails, it has to.

        Without a ledger there was no daemon yet, and there is nothing to bring up to date.
        """

        def work(document: bytes | None) -> bytes:
            return msgspec.json.encode(renewed(read_token_state(document), facts, clock.now()))

        try:
            path = ledger_path(self._arguments.state, self._env)
        except LedgerError:
            return
        try:
            with open_beside(path, xo=self.policy.xo.url, clock=clock.now) as ledger:
                asyncio.run(ledger.change(TOKEN, work))
        except LedgerError as error:
            self._stderr.write(f"guard: note: guard status tells it later: {clean(str(error))}\n")


def _show(renewal: _Renewal, *, as_json: bool) -> tuple[int, list[str]]:
    facts, now = asyncio.run(renewal.xo.facts()), clock.now()
    soon = facts.expires_at is None or facts.expires_at - now <= views.TELLS_SOON
    if as_json:
        lines = [msgspec.json.encode(views.facts_document(facts, now)).decode()]
    else:
        lines = views.facts_lines(facts, now, renewal.zone)
    return A_PERSON if soon else FINE, lines


def _would(renewal: _Renewal, valid_for: timedelta) -> tuple[int, list[str]]:
    facts, now = asyncio.run(renewal.xo.facts()), clock.now()
    if facts.is_guards:
        _check_later(facts, valid_for)
        return FINE, views.would_lines(facts, valid_for, None, now, renewal.zone)
    file, why = renewal.place()
    if file is None:
        return A_PERSON, views.by_hand_lines(facts, why)
    with TokenFile(file):  # shows whether it could be written
        return FINE, views.would_lines(facts, valid_for, str(file), now, renewal.zone)


def _renew(renewal: _Renewal, valid_for: timedelta) -> tuple[int, list[str]]:
    before = asyncio.run(renewal.xo.facts())
    if before.is_guards:
        return FINE, _push(renewal, before, valid_for)
    file, why = renewal.place()
    if file is None:
        return A_PERSON, views.by_hand_lines(before, why)
    return FINE, _replace(renewal, file, before, valid_for)


def _push(renewal: _Renewal, before: TokenFacts, valid_for: timedelta) -> list[str]:
    """The token stays. Raises XoError; XoAnswerError where XO did something else."""
    _check_later(before, valid_for)
    given = asyncio.run(renewal.xo.make(before.client, before.description, valid_for))
    if given != renewal.token:
        raise XoAnswerError("XO made another token instead of pushing this one's end on; the one in use still works")
    facts = asyncio.run(renewal.xo.facts())
    renewal.remember(facts)
    return views.renewed_lines(facts, clock.now(), renewal.zone)


def _replace(renewal: _Renewal, file: Path, before: TokenFacts, valid_for: timedelta) -> list[str]:
    """Another token in the place of one that guard did not make. Raises PolicyError, XoError; the old one works on.

    The ledger's document stays as it is: the daemon has the old token until it is started anew, and tells the new one then.
    """
    machine = socket.gethostname()
    with TokenFile(file) as place:
        made = asyncio.run(renewal.xo.make(client_id(machine, str(place.path)), f"guard on {machine}", valid_for))
        fresh = asyncio.run(renewal.asking_with(place.write(made)).facts())
        if (fresh.user, fresh.admin) != (before.user, before.admin):
            raise XoAnswerError(
                "the new token is not of the same user with the same rights; the old one stays in place"
            )
        old = place.swap(renewal.token)
    return views.replaced_lines(fresh, str(place.path), str(old), clock.now(), renewal.zone)


def _delete_old(renewal: _Renewal) -> tuple[int, list[str]]:
    """Raises XoError where the new one does not work: then the old one may be all there is; LedgerError where the daemon may
    still have the old one.
    """
    old = None if renewal.file is None else old_token(renewal.file)
    if renewal.file is None or old is None:
        raise UsageError(
            "--delete-old: there is no old token; guard token renew keeps one where it has to make another"
        )
    if old == renewal.token:
        raise PolicyError(
            f"{renewal.file}: holds the same token as the file of the old one beside it; delete that file"
        )
    fresh, state = asyncio.run(renewal.xo.facts()), renewal.known()
    with suppress(XoAuthError):  # it has run out, or was deleted in XO: nobody uses it any more
        was = asyncio.run(renewal.asking_with(old).facts())
        if state.facts is not None and state.facts.created_at == was.created_at != fresh.created_at:
            return A_PERSON, views.still_used_lines(state, renewal.zone)
    asyncio.run(renewal.xo.delete(old))
    forget_old(renewal.file)
    return FINE, ["The old token is deleted, in XO and here."]


def _check_later(facts: TokenFacts, valid_for: timedelta) -> None:
    """Raises UsageError for a renewal that would bring the end nearer."""
    if facts.expires_at is not None and clock.now() + valid_for < facts.expires_at:
        left = format_duration((facts.expires_at - clock.now()).total_seconds())
        asked = format_duration(valid_for.total_seconds())
        raise UsageError(
            f"the token is valid for {left} still, and {asked} would make that less; ask for more, or wait"
        )


def _valid_for(text: str | None, policy: Policy) -> timedelta:
    """``--valid-for``, else the policy's. Raises UsageError."""
    if text is None:
        return policy.xo.renew_for
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--valid-for {text!r}: expected {error}") from None
    if found < _SHORTEST:
        raise UsageError(f"--valid-for {text!r}: expected at least 2 d")
    return found
