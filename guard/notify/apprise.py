"""Every other channel, by Apprise: each of its URLs is a target of its own. An optional extra, loaded where it is used.

Apprise blocks, and its services have time limits of their own at best. So every delivery has a daemon thread: one that
hangs keeps neither the other channels nor the daemon's stop waiting. One target per URL means one row of the outbox per
URL: what one did not take is tried again without telling the others twice.

An Apprise URL is a secret as a whole. Of it the scheme and the line are told, of what a service answered the HTTP status.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import logging
import re
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from guard.errors import NotifyError, PolicyError
from guard.notify.message import Message, Tier, key, lines, one_line
from guard.notify.trouble import APPRISE
from guard.secret import MAX_BYTES, Secret, read_secret_file
from guard.threads import DaemonThreads

if TYPE_CHECKING:
    from apprise import AppriseAsset

EXTRA = "xo-guard[apprise]"
OPTION = "[notify.apprise] urls_file"
MOST_TARGETS = 20  # each is a channel, with a queue and figures of its own
MOST_UNDER_WAY = 3  # threads that one target may keep busy; beyond them nothing more is tried there
MOST_KNOWN = 64  # deliveries that outlived their time limit, and whose end is still of interest
_URL = re.compile(r"([A-Za-z][A-Za-z0-9.+-]*)://\S")
_STATUS = re.compile(r"error=(\d{3})\b")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the file. ``name``: the channel's; the second Slack of a file is ``apprise-slack-2``."""

    name: str
    scheme: str
    line: int
    url: Secret

    @property
    def told(self) -> str:
        """What may be told of it."""
        return f"Apprise's {self.scheme} (line {self.line} of its file)"


def read_targets(file: str, env: Mapping[str, str], *, credential: str = "apprise-urls") -> tuple[Target, ...]:
    """The targets of the file, or of the systemd credential. Raises PolicyError, which repeats no line."""
    path, content = read_secret_file(Path(file), env, credential=credential, option=OPTION)
    if _size(content) >= MAX_BYTES:
        raise PolicyError(f"{path}: {OPTION} is longer than {MAX_BYTES} bytes; expected one URL per line")
    found: list[Target] = []
    problems: list[str] = []
    for line, url in _lines(content):
        scheme = _scheme(url)
        if not scheme:
            problems.append(f"{path}: line {line} of {OPTION} is no Apprise URL; expected scheme://...")
            continue
        same = sum(one.scheme == scheme for one in found)
        name = f"{APPRISE}{scheme}" + (f"-{same + 1}" if same else "")
        found.append(Target(name=name, scheme=scheme, line=line, url=url))
    if not found and not problems:
        problems.append(f"{path}: {OPTION} names a file without a URL; expected one per line")
    elif len(found) > MOST_TARGETS:
        problems.append(f"{path}: {OPTION} holds {len(found)} URLs; expected at most {MOST_TARGETS}")
    if problems:
        raise PolicyError(problems)
    return tuple(found)


def _lines(content: Secret) -> list[tuple[int, Secret]]:
    numbered = enumerate((line.strip() for line in content.reveal().split("\n")), 1)
    return [(number, Secret(line)) for number, line in numbered if line and not line.startswith("#")]


def _scheme(url: Secret) -> str:
    """'' for what is no URL."""
    found = _URL.match(url.reveal())
    return found[1].lower() if found else ""


def _size(content: Secret) -> int:
    return len(content.reveal().encode())


class AppriseTarget:
    """A channel (ports.py). ``timeout_s`` bounds how long a delivery is waited for; it may take its thread longer.

    Raises PolicyError where Apprise is not installed, or does not know the URL.
    """

    def __init__(self, target: Target, *, timeout_s: float) -> None:
        if importlib.util.find_spec("apprise") is None:
            raise PolicyError(f"[notify.apprise] needs Apprise, which is not installed; run: pip install '{EXTRA}'")
        if not _is_known(target.url):
            raise PolicyError(
                f"{OPTION}: line {target.line} ({target.scheme}) is no URL that this Apprise can use; compare it with "
                "Apprise's description of that service"
            )
        self._target, self._timeout_s = target, timeout_s
        self._threads = DaemonThreads(f"guard-{target.name}")
        self._under_way: dict[str, Future[str]] = {}

    @property
    def name(self) -> str:
        return self._target.name

    async def send(self, message: Message) -> None:
        """Raises NotifyError. A delivery that outlived an earlier try's time limit is waited for, not made twice."""
        mark = key(message)
        under_way = self._under_way.pop(mark, None) or self._begin(message)
        try:
            async with asyncio.timeout(self._timeout_s):
                wrong = await asyncio.wrap_future(under_way)
        except (TimeoutError, asyncio.CancelledError) as error:
            self._under_way[mark] = under_way
            if isinstance(error, asyncio.CancelledError):
                raise
            raise NotifyError(f"{self._target.told} did not take it within {self._timeout_s:g} s") from None
        if wrong:
            raise NotifyError(wrong)

    def _begin(self, message: Message) -> Future[str]:
        if sum(not one.done() for one in self._under_way.values()) >= MOST_UNDER_WAY:
            raise NotifyError(f"{self._target.told} still hangs with earlier messages")
        while len(self._under_way) >= MOST_KNOWN:
            del self._under_way[next(iter(self._under_way))]
        return self._threads.submit(_deliver, self._target, message)


def _deliver(target: Target, message: Message) -> str:
    """In a thread: what went wrong, '' for nothing. No error leaves it, since Apprise's own may hold the URL."""
    import apprise

    heard = _hearing()
    heard.status = ""
    try:
        service = apprise.Apprise.instantiate(target.url.reveal(), asset=_asset())
        if service is None:
            return f"{target.told} is no URL that this Apprise can use"
        service.overflow_mode = (
            apprise.OverflowMode.TRUNCATE
        )  # a service cuts what is too long for it, in place of refusing
        sender = apprise.Apprise(asset=_asset())
        sender.add(service)
        taken = sender.notify(
            title=one_line(f"[guard] {message.title}"),
            body=lines(message.text) or one_line(message.title),
            notify_type=apprise.NotifyType.FAILURE if message.tier is Tier.PAGE else apprise.NotifyType.INFO,
            body_format=apprise.NotifyFormat.TEXT,
        )
    except Exception as error:  # noqa: BLE001  a service's own code: anything may come out of it
        return f"{target.told} could not be used ({type(error).__name__})"
    if taken:
        return ""
    return f"{target.told} answered {heard.status}" if heard.status else f"{target.told} did not take it"


def _is_known(url: Secret) -> bool:
    import apprise

    _hearing()
    try:
        return apprise.Apprise.instantiate(url.reveal(), asset=_asset()) is not None
    except Exception:  # noqa: BLE001  a service's own code: anything may come out of it
        return False


def _asset() -> AppriseAsset:
    """Each service in the thread that asks: Apprise's own threads would be waited for at the exit. Nothing is kept on the
    disk, and no plugins but Apprise's own are loaded.
    """
    import apprise

    told: dict[str, Any] = {"app_id": "guard", "app_desc": "guard", "async_mode": False, "secure_logging": True}
    if "service_timeout" in inspect.signature(apprise.AppriseAsset.__init__).parameters:
        told["service_timeout"] = 0  # since Apprise 2, which has a thread for each service with a limit
    return apprise.AppriseAsset(**told)


class _Heard(threading.local):
    """The HTTP status that Apprise's log told last in this thread; ''."""

    status = ""


class _Ear(logging.Filter):
    """Apprise tells in its log alone why it failed, and there with words of URLs: the status is kept, the rest is dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = _Heard()

    def filter(self, record: logging.LogRecord) -> bool:
        found = _STATUS.search(record.getMessage())
        if found is not None:
            self.heard.status = found[1]
        return False


def _hearing() -> _Heard:
    """From now on Apprise is heard here and nowhere else, and its HTTP library, which tells of URLs too, not at all."""
    logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)
    logger = logging.getLogger("apprise")
    ear = next((one for one in logger.filters if isinstance(one, _Ear)), None)
    if ear is None:
        ear = _Ear()
        logger.addFilter(ear)
    return ear.heard
