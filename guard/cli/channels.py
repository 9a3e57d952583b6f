"""The channels a policy names, opened: policy sections on one side, guard.notify on the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path

from guard.cli import clock
from guard.http import Poster, tls_context
from guard.notify.apprise import AppriseTarget, read_targets
from guard.notify.healthchecks import Healthchecks
from guard.notify.mail import PORTS, Mail, Mailbox
from guard.notify.route import Route, for_people
from guard.notify.secret import read_login, read_secret
from guard.notify.webhook import Webhook
from guard.policy.notify_schema import NotifySection


def configured(notify: NotifySection, env: Mapping[str, str], zone: tzinfo) -> dict[str, Callable[[], Sequence[Route]]]:
    """Section -> what opens its channel (of [notify.apprise]: its channels), which raises PolicyError for a secret or a CA
    that cannot be used. ``zone``: of times in messages.
    """
    found: dict[str, Callable[[], Sequence[Route]]] = {}
    if notify.webhook.url is not None:
        found["webhook"] = lambda: [_webhook(notify, env)]
    if notify.mail.host is not None:
        found["mail"] = lambda: [_mail(notify, env, zone)]
    checks = notify.healthchecks
    if checks.url is not None or checks.loop_url is not None or checks.schedules:
        found["healthchecks"] = lambda: [_healthchecks(notify, env)]
    if notify.apprise.urls_file is not None:
        found["apprise"] = lambda: _apprise(notify, env)
    return found


def _webhook(notify: NotifySection, env: Mapping[str, str]) -> Route:
    options, token = notify.webhook, None
    if options.token_file is not None:
        option = "[notify.webhook] token_file"
        token = read_secret(options.token_file, env, credential="webhook-token", option=option)
    channel = Webhook(options.url or "", _poster("notify.webhook", options.ca_file, notify), token)
    return Route(channel, for_people(page=options.page, digest=options.digest))


def _mail(notify: NotifySection, env: Mapping[str, str], zone: tzinfo) -> Route:
    options, login = notify.mail, None
    if options.login_file is not None:
        login = read_login(options.login_file, env, credential="mail-login", option="[notify.mail] login_file")
    mailbox = Mailbox(
        host=options.host or "",
        port=options.port or PORTS[options.security],
        security=options.security,
        sender=options.sender or "",
        recipients=options.recipients,
    )
    tls = tls_context(Path(options.ca_file) if options.ca_file else None, verify=True, section="notify.mail")
    limit = notify.time_limit.total_seconds()
    channel = Mail(mailbox, tls=tls, timeout_s=limit, clock=clock.now, zone=zone, login=login)
    return Route(channel, for_people(page=options.page, digest=options.digest))


def _healthchecks(notify: NotifySection, env: Mapping[str, str]) -> Route:
    options, ping_key = notify.healthchecks, None
    if options.ping_key_file is not None:
        option = "[notify.healthchecks] ping_key_file"
        ping_key = read_secret(options.ping_key_file, env, credential="healthchecks-ping-key", option=option)
    channel = Healthchecks(
        _poster("notify.healthchecks", options.ca_file, notify),
        url=options.url or "",
        loop_url=options.loop_url or "",
        schedules=options.schedules,
        ping_key=ping_key,
    )
    return Route(channel, channel.wants)


def _apprise(notify: NotifySection, env: Mapping[str, str]) -> list[Route]:
    options = notify.apprise
    wants = for_people(page=options.page, digest=options.digest)
    limit = notify.time_limit.total_seconds()
    targets = read_targets(options.urls_file or "", env, credential="apprise-urls")
    return [Route(AppriseTarget(one, timeout_s=limit), wants) for one in targets]


def _poster(section: str, ca_file: str | None, notify: NotifySection) -> Poster:
    tls = tls_context(Path(ca_file) if ca_file else None, verify=True, section=section)
    return Poster(section, tls=tls, timeout_s=notify.time_limit.total_seconds())
