"""Where in a backup log something failed, and with which error. Pure reading; what it means is causes.py.

Rules of XO's logs (failure-modes.md 1 and 2, observed-on-real-xo.md):

* ``result`` of the log is a job-level error; a VM's error is the ``result`` of its ``backup VM`` task, repeated in the
  sub-task it happened in. That sub-task is the place, even where an outer one says success.
* A failed sub-task with a successful sibling of the same name and id was an attempt that a retry made good. After a warning
  with ``isRetry`` the last attempt is the one that counts.
* ``all targets have failed`` stands for the errors of its targets: in ``errors``, or only in their own sub-tasks.
* A target lost before the transfer leaves nothing but a warning of the VM, which may end in success all the same.
* What is pending has failed in nothing yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

import msgspec
from msgspec import UNSET

from guard.estate.xo_records import BackupLog, LogTask
from guard.finding import Scope, ScopeKind

ENDED_BADLY = frozenset({"failure", "skipped", "interrupted"})
MOST_LEVELS = 32  # XO's own trees have six; a file made to exhaust the stack is not walked to its end


class Place(StrEnum):
    """What XO was at when it failed."""

    JOB = "job"
    VM = "vm"
    SNAPSHOT = "snapshot"
    TRANSFER = "transfer"
    ADAPTER = "adapter"  # opening a backup repository
    REPOSITORY = "repository"  # lock, clean and merge on one
    SR = "sr"  # a target SR
    HEALTH_CHECK = "health check"
    POOL = "pool"
    RESTORE = "restore"


class LogError(msgspec.Struct, frozen=True, kw_only=True):
    """One error as XO logged it (failure-modes.md 2).

    ``code``: XAPI's or Node's, else the one its message starts with, ``XO_<n>`` for XO's own numbers, or ''. ``text``: the
    whole message, or all there is. ``call``: the XAPI method that failed, or ''.
    """

    code: str = ""
    name: str = ""
    message: str = ""
    text: str = ""
    call: str = ""
    params: tuple[str, ...] = ()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One error with its place. ``scope``: the VM, else the repository, SR or pool of a task of its own, else the job.

    ``target``: the repository or SR of the sub-task. ``begun``: False for a VM whose task never got to a first step.
    ``proxied``: the job runs on a proxy.
    """

    error: LogError
    place: Place
    scope: Scope
    target: Scope | None = None
    begun: bool = True
    proxied: bool = False


_XAPI_CODE = re.compile(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\(")
_NODE_CODE = re.compile(r"(?:connect |read |write |getaddrinfo )?(E[A-Z_]{3,})\b")
_ALL_TARGETS = "all targets have failed"
_RETRY = "Retry the VM backup due to an error"
_WRITER = re.compile(
    r"the writer (?P<writer>\S*) has failed the step \S+ with error (?P<error>.*?)"
    r"(?:\. It won't be used anymore in this job execution\.)?",
    re.DOTALL,
)
_PLACES = {
    "backup VM": Place.VM,
    "snapshot": Place.SNAPSHOT,
    "export": Place.TRANSFER,
    "transfer": Place.TRANSFER,
    "target snapshot": Place.SR,
    "health check": Place.HEALTH_CHECK,
    "clean-vm": Place.REPOSITORY,
    "merge": Place.REPOSITORY,
    "get remote adapter": Place.ADAPTER,
    "get SR record": Place.SR,
    "missing pool": Place.POOL,
}
_KINDS = {
    "VM": ScopeKind.VM,
    "remote": ScopeKind.REPOSITORY,
    "SR": ScopeKind.SR,
    "pool": ScopeKind.POOL,
    "xo": ScopeKind.XO,
}
_PLACE_OF_KIND = {
    ScopeKind.VM: Place.VM,
    ScopeKind.REPOSITORY: Place.REPOSITORY,
    ScopeKind.SR: Place.SR,
    ScopeKind.POOL: Place.POOL,
}
_STAYS = frozenset({Place.HEALTH_CHECK, Place.RESTORE})  # their own transfers are no transfer of a backup


def failures(log: BackupLog) -> list[Failure]:
    """Every error of a run that still stands, the job's own first, then task by task."""
    restore = log.message == "restore"
    where = Failure(
        error=LogError(),
        place=Place.RESTORE if restore else Place.JOB,
        scope=_restored_to(log) if restore else job_scope(log),
        proxied=bool(log.proxy_id),
    )
    inner = [one for task in _standing(log.tasks or ()) for one in _of_task(task, where, 0)]
    own = list(_of_job(log.result, where)) if log.status in ENDED_BADLY else []
    return _merged(own, inner)


def replaced(log: BackupLog) -> list[Failure]:
    """The errors of attempts at a VM after which XO tried it again, whatever came of that: ``failures`` leaves them out."""
    where = Failure(error=LogError(), place=Place.JOB, scope=job_scope(log), proxied=bool(log.proxy_id))
    found: list[Failure] = []
    for task in log.tasks or ():
        retried = _retried(task)
        if retried:
            own = _inside(task, where, 0)
            inner = [one for child in task.tasks if child.status in ENDED_BADLY for one in _of_task(child, own, 1)]
            told = {one.error.text for one in inner}
            bare = sorted(text for text in retried if text and text not in told)
            found += [*inner, *(msgspec.structs.replace(own, error=read_error(text)) for text in bare)]
    return found


def job_scope(log: BackupLog) -> Scope:
    """The job of a run; its name may be any JSON value, as XO stores it."""
    raw = log.raw_job_name
    name = raw if isinstance(raw, str) else "" if raw is UNSET or raw is None else _json(raw)
    return Scope(ScopeKind.JOB, log.job_id or "", name)


def task_scope(task: LogTask) -> Scope | None:
    """The VM, repository, SR or pool a task is about; None where it is about nothing of its own."""
    data = task.data
    kind = _KINDS.get(_text(data.get("type"))) if isinstance(data, dict) else None
    if kind is None:
        return None
    pool = data.get("pool")
    name = _text(data.get("name_label")) or (_text(pool.get("name_label")) if isinstance(pool, dict) else "")
    return Scope(kind, _text(data.get("id")), name)


def is_retry(warning: object) -> bool:
    """Whether a warning of a VM's task says that XO will try that VM once more."""
    if not isinstance(warning, dict):
        return False
    data = warning.get("data")
    return warning.get("message") == _RETRY or (isinstance(data, dict) and data.get("isRetry") is True)


def read_error(result: object) -> LogError:
    """One error object, or a bare text."""
    if not isinstance(result, dict):
        text = result if isinstance(result, str) else _json(result)
        return LogError(code=_code_in(text), message=text, text=text)
    message, call, params = _text(result.get("message")), result.get("call"), result.get("params")
    name = _text(result.get("name"))
    return LogError(
        code=_own_code(result, name) or _code_in(message),
        name=name,
        message=message,
        text=message or _text(result.get("code")) or _json(result),
        call=_text(call.get("method")) if isinstance(call, dict) else "",
        params=tuple(one for one in params if isinstance(one, str)) if isinstance(params, list) else (),
    )


def _own_code(result: dict[str, object], name: str) -> str:
    code, cause = result.get("code"), result.get("cause")
    if isinstance(code, str):
        return code
    if type(code) is int and name == "XoError":  # xo-common's numbers; elsewhere a number may be anything
        return f"XO_{code}"
    return _text(cause.get("code")) if isinstance(cause, dict) else ""  # "fetch failed" tells why only there


def _code_in(message: str) -> str:
    """The code a message starts with: XapiError is ``CODE(param, ...)``, Node's are ``CODE: ...`` or ``connect CODE``."""
    found = _XAPI_CODE.match(message) or _NODE_CODE.match(message)
    return found[1] if found else ""


def _errors(result: object, level: int = 0) -> Iterator[LogError]:
    """An error, or the inner ones of an AggregateError that has no code of its own."""
    inner = result.get("errors") if isinstance(result, dict) and not isinstance(result.get("code"), str) else None
    if not isinstance(inner, list) or not inner or level >= MOST_LEVELS:
        yield read_error(result)
        return
    for one in inner:
        yield from _errors(one, level + 1)


def _of_job(result: object, where: Failure) -> Iterator[Failure]:
    """Job-level errors. "couldn't instantiate any remote" carries ``errors`` by repository id: one failure for each."""
    if result is UNSET or result is None:
        return
    by_id = result.get("errors") if isinstance(result, dict) else None
    if not isinstance(by_id, dict) or not by_id:
        for error in _errors(result):
            yield msgspec.structs.replace(where, error=error)
        return
    outer = read_error(result)
    for id_, inner in by_id.items():
        error, place = outer, where.place
        if isinstance(inner, dict) and _text(inner.get("message")):  # XO often drops it when it writes the log
            error, place = read_error(inner), Place.ADAPTER
            error = msgspec.structs.replace(error, text=f"{outer.text}: {error.text}")
        scope = Scope(ScopeKind.REPOSITORY, id_, "")
        yield msgspec.structs.replace(where, error=error, place=place, scope=scope)


def _of_task(task: LogTask, above: Failure, level: int) -> list[Failure]:
    if task.status == "pending" or level >= MOST_LEVELS:
        return []
    where = _inside(task, above, level)
    retried = _retried(task)
    inner = list(_warned(task, where))
    for child in _standing(task.tasks, last_only=bool(retried)):
        inner += _of_task(child, where, level + 1)
    bad = task.status in ENDED_BADLY
    own: list[Failure] = []
    if bad and task.result is not UNSET and task.result is not None:
        own = [msgspec.structs.replace(where, error=error) for error in _errors(task.result)]
    if own or not bad:  # else the sub-tasks are all there is to tell
        final = {one.error.text for one in own}
        inner = [one for one in inner if one.error.text not in retried or one.error.text in final]
    found = _merged(own, inner)
    if bad and not found and level == 0:
        found = [msgspec.structs.replace(where, error=LogError(text=task.status))]
    return found


def _inside(task: LogTask, above: Failure, level: int) -> Failure:
    """Where the errors of a task belong."""
    subject = task_scope(task)
    place = above.place
    if place not in _STAYS:
        place = _PLACES.get(task.message or "") or (_PLACE_OF_KIND.get(subject.kind) if subject else None) or place
    scope, target = above.scope, above.target
    if subject is not None and level == 0:
        scope = subject
    elif subject is not None and subject.kind in (ScopeKind.REPOSITORY, ScopeKind.SR):
        target = subject
    begun = place is not Place.VM or bool(task.tasks)
    return msgspec.structs.replace(above, place=place, scope=scope, target=target, begun=begun)


def _standing(tasks: Sequence[LogTask], *, last_only: bool = False) -> list[LogTask]:
    """Without the failed attempts that a sibling of the same name and id made good, or that a later one replaced."""
    done = {name_and_id(one) for one in tasks if one.status == "success"}
    kept = [one for one in tasks if one.status == "success" or name_and_id(one) not in done]
    last = {name_and_id(one): one for one in kept}
    return [one for one in kept if not last_only or one.status == "success" or one is last[name_and_id(one)]]


def name_and_id(task: LogTask) -> tuple[str, str]:
    """By what XO takes two tasks beside each other for attempts at the same thing."""
    return task.message or "", _text(task.data.get("id")) if isinstance(task.data, dict) else ""


def _retried(task: LogTask) -> set[str]:
    """The texts of the errors after which XO tried this VM again."""
    found = set()
    for warning in task.warnings or ():
        if is_retry(warning):
            data = warning.get("data")
            found.add(_text(data.get("error")) if isinstance(data, dict) else "")
    return found


def _warned(task: LogTask, where: Failure) -> Iterator[Failure]:
    """Targets lost before their sub-task began, in the attempt that counts. The warning does not tell which target."""
    warnings = list(task.warnings or ())
    since = max((index + 1 for index, one in enumerate(warnings) if is_retry(one)), default=0)
    for warning in warnings[since:]:
        found = _WRITER.fullmatch(_text(warning.get("message"))) if isinstance(warning, dict) else None
        if found:
            place = Place.REPOSITORY if "Remote" in found["writer"] else Place.SR
            yield msgspec.structs.replace(where, error=read_error(found["error"]), place=place, begun=True)


def _merged(own: Iterable[Failure], inner: Sequence[Failure]) -> list[Failure]:
    """A task's own errors, each at the place of the sub-task that has it too, then what only sub-tasks tell."""
    at_text: dict[str, list[int]] = {}
    for index in reversed(range(len(inner))):
        at_text.setdefault(inner[index].error.text, []).append(index)
    placed: set[int] = set()
    found: list[Failure] = []
    for one in own:
        same = at_text.get(one.error.text)
        if same:
            placed.add(same[-1])
            found.append(msgspec.structs.replace(inner[same.pop()], error=one.error))
        elif not (one.error.message.startswith(_ALL_TARGETS) and len(placed) < len(inner)):
            found.append(one)
    return found + [one for index, one in enumerate(inner) if index not in placed]


def _restored_to(log: BackupLog) -> Scope:
    sr = _text(log.data.get("srId")) if isinstance(log.data, dict) else ""
    return Scope(ScopeKind.SR, sr, "") if sr else job_scope(log)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
