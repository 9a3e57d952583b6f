"""guard config check | show."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from guard.cli import clock, source
from guard.decision.accept import ended
from guard.errors import UsageError
from guard.policy.lines import find_lines
from guard.policy.load import load
from guard.policy.schema import Policy
from guard.secret import file_trouble
from guard.views.policy import policy_text, schedule_policy_text
from guard.views.text import clean


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    if (arguments.job or arguments.tag) and not arguments.schedule:
        raise UsageError("--job and --tag go with --schedule")
    text = source.read_policy_text(arguments.config)
    policy = load(text, file=arguments.config)
    if arguments.what == "check":
        stderr.write(f"guard: {arguments.config} is a valid policy\n")
        for number, entry in enumerate(policy.accepts, start=1):
            if entry in ended(policy.accepts, clock.now()):
                told = f"accept[{number}] ({entry.code} for {entry.scope}) ended on {entry.until} and does nothing any more"
                stderr.write(f"guard: warning: {told}\n")
        for option, file, credential in _secret_files(policy):
            trouble = file_trouble(Path(file), env, credential=credential)
            if trouble:
                stderr.write(f"guard: warning: {option} = {clean(file)}: {clean(trouble)}\n")
        return 0
    lines = find_lines(text)
    if arguments.schedule:
        told = schedule_policy_text(
            policy,
            arguments.schedule,
            arguments.job or "",
            file=arguments.config,
            lines=lines,
            tags=arguments.tag or (),
        )
    else:
        told = policy_text(policy, file=arguments.config, lines=lines)
    stdout.write(told)
    return 0


def _secret_files(policy: Policy) -> Iterator[tuple[str, str, str]]:
    """(option, path, systemd credential that comes before it) of each secret that the policy names a file for."""
    notify = policy.notify
    named = [
        ("[xo] token_file", policy.xo.token_file, "xo-token"),
        ("[notify.webhook] token_file", notify.webhook.token_file, "webhook-token"),
        ("[notify.mail] login_file", notify.mail.login_file, "mail-login"),
        ("[notify.healthchecks] ping_key_file", notify.healthchecks.ping_key_file, "healthchecks-ping-key"),
        ("[notify.apprise] urls_file", notify.apprise.urls_file, "apprise-urls"),
        *((f"[[pool]] {pool.name}: password_file", pool.password_file, f"pool-{pool.name}") for pool in policy.pools),
    ]
    for option, file, credential in named:
        if file is not None:
            yield option, file, credential
