"""Scenes for the choice of remedies: an estate, the policy's word, what was done before; and the remedies wanted in it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import msgspec
from guard.assess import make_plan
from guard.finding import Scope, ScopeKind
from guard.lifecycle.remedy import Remedy, RemedyKind, Result
from guard.policy.load import load
from guard.remedies.scene import scene_of
from msgspec import UNSET
from tests.builders import (
    LAST_NIGHT,
    NOW,
    make_base_copy,
    make_estate,
    make_log,
    make_transfer,
    make_vdi,
    make_vm_task,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
VIEW = timedelta(hours=4, minutes=30)
"""So far a round looks ahead by default."""


def policy(remedies="", *, gate="enforce", more=""):
    return load(
        f'[xo]\nurl = "http://x"\n[defaults]\ngate = "{gate}"\n[remedies]\n{remedies}\n{more}', file="guard.toml"
    )


def scene(estate=None, *, now=NOW, rules=None, within=VIEW, **more):
    """What a round sees that reads XO at ``now``. ``more``: past, waiting, come."""
    rules = rules or policy()
    estate = estate or make_estate()
    fresh = {name: msgspec.structs.replace(part, read_at=now) for name, part in estate.parts.items()}
    plan = make_plan(dataclasses.replace(estate, parts=fresh), rules, now=now, start=now, within=within)
    return scene_of(plan, rules, **more)


def done(kind, target, at, result=Result.DONE, **more):
    return Remedy(
        kind=RemedyKind(kind), scope=Scope(ScopeKind.SR, target, target), at=at, reason="r", result=result, **more
    )


def chain(length=4, *, disk="disk", sr="sr"):
    """A disk over so many base copies; all but the last of them count as un-coalesced."""
    copies = [
        make_base_copy(f"{disk}-{one}", sr=sr, parent=f"{disk}-{one - 1}" if one else UNSET) for one in range(length)
    ]
    return {"vdis": [make_vdi(disk, sr=sr, parent=f"{disk}-{length - 1}")], "vdi_unmanaged": copies}


def saved(vm="vm", start=LAST_NIGHT, **more):
    """A run that saved a VM."""
    return make_log(make_vm_task(vm, make_transfer(5, start=start)), start=start, **more)
