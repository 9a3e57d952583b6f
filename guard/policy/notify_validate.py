"""What one value of [notify] cannot tell alone: addresses, zones, and keys that need or contradict each other."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import PurePosixPath
from urllib.parse import SplitResult, urlsplit
from zoneinfo import available_timezones

from guard.policy.notify_schema import AppriseSection, HealthchecksSection, MailSection, NotifySection, WebhookSection
from guard.units import format_duration

_Report = Callable[[str, object, str], None]
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_HOST = re.compile(r"[A-Za-z0-9_.:-]+")
_PLAIN = re.compile(r"[\x21-\x7e]+")
_LONGEST = timedelta(hours=24)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
HIDDEN = "***"


def check_notify(notify: NotifySection, report: _Report) -> None:
    """Calls ``report(key path, value, what is wrong and what would be right)`` for every problem."""
    if not _CLOCK.fullmatch(notify.digest_at):
        report("notify.digest_at", notify.digest_at, 'expected a time of day such as "07:00"')
    if notify.zone is not None and notify.zone not in available_timezones():
        report("notify.zone", notify.zone, "unknown zone; expected a name such as Europe/Paris")
    _check_times(notify, report)
    _check_webhook(notify.webhook, report)
    _check_mail(notify.mail, report)
    _check_healthchecks(notify.healthchecks, report)
    _check_apprise(notify.apprise, report)


def _check_times(notify: NotifySection, report: _Report) -> None:
    def wrong(key: str, what: str) -> None:
        report(f"notify.{key}", format_duration(getattr(notify, key).total_seconds()), what)

    for key in ("retry_first", "retry_longest", "give_up_after", "time_limit"):
        if getattr(notify, key) <= timedelta(0):
            wrong(key, "expected more than nothing")
    if notify.retry_first > notify.retry_longest:
        wrong("retry_first", "expected at most retry_longest")
    if notify.retry_longest > notify.give_up_after:
        wrong("retry_longest", "expected at most give_up_after")
    if notify.give_up_after > _LONGEST:
        wrong("give_up_after", 'expected at most "24 h"')
    if notify.time_limit > timedelta(minutes=2):
        wrong("time_limit", 'expected at most "2 min"')


def _check_webhook(webhook: WebhookSection, report: _Report) -> None:
    section = "notify.webhook"
    _check_files(section, webhook, ("token_file", "ca_file"), report)
    if webhook.url is None:
        _check_off(section, "url", ("token_file", "ca_file"), webhook, report)
        return
    _check_url(f"{section}.url", webhook.url, report)
    if webhook.token_file is not None and _is_open(webhook.url):
        report(f"{section}.url", _shown(webhook.url), "would send the token unencrypted; expected https")


def _check_mail(mail: MailSection, report: _Report) -> None:
    section = "notify.mail"
    _check_files(section, mail, ("login_file", "ca_file"), report)
    for key, addresses in (("sender", (mail.sender,) if mail.sender else ()), ("recipients", mail.recipients)):
        for address in addresses:
            if not _ADDRESS.fullmatch(address) or len(address) > 254:
                report(f"{section}.{key}", address, "expected a bare address such as backup@example.org")
    if mail.host is None:
        _check_off(section, "host", ("port", "login_file", "ca_file", "sender", "recipients"), mail, report)
        return
    if not _HOST.fullmatch(mail.host):
        report(f"{section}.host", mail.host, "expected a host name or an address, without a port")
    if mail.sender is None:
        report(f"{section}.sender", "", "is required with host; expected an address such as guard@example.org")
    if not mail.recipients:
        report(f"{section}.recipients", [], 'is required with host; expected addresses: ["backup@example.org"]')
    if mail.security == "none" and mail.login_file is not None and mail.host not in _LOOPBACK:
        report(f"{section}.security", mail.security, "would send the password unencrypted; expected starttls or tls")
    if mail.security == "none" and mail.ca_file is not None:
        report(
            f"{section}.ca_file", mail.ca_file, 'contradicts security = "none"; expected starttls, tls, or no ca_file'
        )


def _check_healthchecks(checks: HealthchecksSection, report: _Report) -> None:
    section = "notify.healthchecks"
    _check_files(section, checks, ("ping_key_file", "ca_file"), report)
    urls = {f"schedules.{schedule}": url for schedule, url in checks.schedules.items()}
    urls |= {key: url for key in ("url", "loop_url") if (url := getattr(checks, key)) is not None}
    if not urls:
        _check_off(section, "url, loop_url or schedules", ("ping_key_file", "ca_file"), checks, report)
    for key, url in urls.items():
        path = f"{section}.{key}"
        _check_url(path, url, report)
        if "?" in url or "#" in url:
            report(path, _shown(url), "expected an address without ? and #, to which /start or /fail can be added")
        if key == "url" and "{schedule_id}" not in url:
            report(path, _shown(url), "is for every schedule; expected {schedule_id} in it, or loop_url or schedules")
        if key == "loop_url" and "{schedule_id}" in url:
            report(path, _shown(url), "is guard's own check; expected no {schedule_id} in it")
        if "{ping_key}" in url and _is_open(url):
            report(path, _shown(url), "would send the ping key unencrypted; expected https")
        if "{ping_key}" in url and checks.ping_key_file is None:
            report(path, _shown(url), "holds {ping_key}; expected ping_key_file to be set too")


def _check_apprise(apprise: AppriseSection, report: _Report) -> None:
    file = apprise.urls_file
    if file is not None and not PurePosixPath(file).is_absolute():  # it may be what the file should hold
        report("notify.apprise.urls_file", HIDDEN, "expected the absolute path of a file that holds the URLs")


def _check_files(section: str, values: object, keys: tuple[str, ...], report: _Report) -> None:
    for key in keys:
        path = getattr(values, key)
        if path is not None and not PurePosixPath(path).is_absolute():
            report(f"{section}.{key}", path, "expected an absolute path")


def _check_off(section: str, needed: str, keys: tuple[str, ...], values: object, report: _Report) -> None:
    """A section that is half filled in is not on: better told than found out when a page does not come."""
    for key in keys:
        if getattr(values, key):
            report(
                f"{section}.{key}", getattr(values, key), f"does nothing without {needed}; expected that to be set too"
            )


def _check_url(path: str, url: str, report: _Report) -> None:
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or not _PLAIN.fullmatch(url):
        report(path, _shown(url), "expected an address such as https://hooks.example.org/guard")
    elif "@" in parts.netloc:
        report(path, _shown(url), "holds credentials; expected them in the file that this section names for its secret")


def _split(url: str) -> SplitResult | None:
    """The parts of an address; None when it has a host or a port that cannot be."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that cannot be
        (parts.hostname or "").encode("idna")
    except ValueError:
        return None
    return parts


def _is_open(url: str) -> bool:
    """Whether what is sent there can be read on the way."""
    parts = _split(url)
    return parts is not None and parts.scheme == "http" and parts.hostname not in _LOOPBACK


def _shown(url: str) -> str:
    """Scheme and host: what comes after may be what makes the address work, and so does what comes before an @."""
    scheme, _, rest = url.partition("://")
    host, slash, _ = rest.partition("/")
    return (
        f"{scheme}://{HIDDEN if '@' in url else host}{'/...' if slash else ''}"
        if rest and "@" not in scheme
        else HIDDEN
    )
