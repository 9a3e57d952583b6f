"""The policy's [notify] sections as typed structs. A secret is never in them, only the file that holds it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class NotifyPart(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the sections."""


class WebhookSection(NotifyPart, frozen=True, kw_only=True):
    """Messages as JSON (guard.message/1), POSTed. Off until url is set."""

    url: Annotated[str | None, Meta(description="Where to POST, such as https://hooks.example.org/guard.")] = None
    token_file: Annotated[
        str | None,
        Meta(
            description="File that holds a bearer token, mode 600. A systemd credential named webhook-token comes first."
        ),
    ] = None
    ca_file: Annotated[
        str | None,
        Meta(description="PEM file of the server's CA, or of its own certificate. Default: the system's CAs."),
    ] = None
    page: Annotated[bool, Meta(description="Send what a person must act on, at once.")] = True
    digest: Annotated[bool, Meta(description="Send the nightly digest.")] = True


class MailSection(NotifyPart, frozen=True, kw_only=True):
    """Messages as plain text mail. Off until host is set."""

    host: Annotated[str | None, Meta(description="The SMTP server.")] = None
    port: Annotated[int, Meta(ge=0, le=65535, description="0: 587 with starttls, 465 with tls, 25 with none.")] = 0
    security: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(description="TLS after STARTTLS, from the first byte, or never. There is no way back to plain text."),
    ] = "starttls"
    login_file: Annotated[
        str | None,
        Meta(
            description="File of two lines, the user name and the password, mode 600. A systemd credential named "
            "mail-login comes first. Default: no login."
        ),
    ] = None
    ca_file: Annotated[
        str | None,
        Meta(description="PEM file of the server's CA, or of its own certificate. Default: the system's CAs."),
    ] = None
    sender: Annotated[str | None, Meta(description="Address mails come from, such as guard@example.org.")] = None
    recipients: Annotated[tuple[str, ...], Meta(description='Addresses mails go to: ["backup@example.org"].')] = ()
    page: Annotated[bool, Meta(description="Send what a person must act on, at once.")] = True
    digest: Annotated[bool, Meta(description="Send the nightly digest.")] = True


class HealthchecksSection(NotifyPart, frozen=True, kw_only=True):
    """Pings to a monitor in the way of healthchecks: start, success, fail, log. Off until one of its urls is set."""

    url: Annotated[
        str | None,
        Meta(
            description="One check per schedule, such as https://hc.example.org/ping/{ping_key}/{schedule_id}; "
            "{schedule_id} is required."
        ),
    ] = None
    loop_url: Annotated[str | None, Meta(description="The check of guard itself: pinged as long as its loop runs.")] = (
        None
    )
    schedules: Annotated[
        Mapping[str, str], Meta(description='Schedules with a check of their own: { "<schedule\'s id>" = "<url>" }.')
    ] = {}
    ping_key_file: Annotated[
        str | None,
        Meta(
            description="File that holds what {ping_key} stands for in these urls, mode 600. A systemd credential named "
            "healthchecks-ping-key comes first."
        ),
    ] = None
    ca_file: Annotated[
        str | None,
        Meta(description="PEM file of the server's CA, or of its own certificate. Default: the system's CAs."),
    ] = None


class AppriseSection(NotifyPart, frozen=True, kw_only=True):
    """Messages by Apprise, to every service it knows; needs xo-guard[apprise]. Off until urls_file is set."""

    urls_file: Annotated[
        str | None,
        Meta(
            description="File of Apprise URLs, one per line, # for comments, mode 600. A systemd credential named "
            "apprise-urls comes first."
        ),
    ] = None
    page: Annotated[bool, Meta(description="Send what a person must act on, at once.")] = True
    digest: Annotated[bool, Meta(description="Send the nightly digest.")] = True


class NotifySection(NotifyPart, frozen=True, kw_only=True):
    """Who is told, and when. Each channel has a section of its own below."""

    digest_at: Annotated[str, Meta(description="When what is nice to know is sent as one message, as HH:MM.")] = "07:00"
    zone: Annotated[
        str | None, Meta(description="Zone of digest_at and of times in messages. Default: [xo] zone, else UTC.")
    ] = None
    quiet_digest: Annotated[
        bool, Meta(description="Send the digest every night, as a sign of life, also when all went well.")
    ] = True
    retry_first: Annotated[
        timedelta,
        Meta(description="A message that was not taken is tried again after this time, then twice it, and so on."),
    ] = timedelta(minutes=1)
    retry_longest: Annotated[timedelta, Meta(description="The longest time between two tries.")] = timedelta(hours=1)
    give_up_after: Annotated[
        timedelta, Meta(description="A message so old is dropped, which is told through the other channels.")
    ] = timedelta(hours=24)
    time_limit: Annotated[timedelta, Meta(description="Total time one message may take on one channel.")] = timedelta(
        seconds=10
    )
    webhook: WebhookSection = WebhookSection()
    mail: MailSection = MailSection()
    healthchecks: HealthchecksSection = HealthchecksSection()
    apprise: AppriseSection = AppriseSection()


NOTIFY_SECTIONS = (NotifySection, WebhookSection, MailSection, HealthchecksSection, AppriseSection)
