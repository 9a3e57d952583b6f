"""guard explain."""

from __future__ import annotations

import difflib
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import msgspec

from guard.cli.files import read_bounded
from guard.errors import CaptureError, UsageError
from guard.estate.crowded import MOST_VALUES, is_crowded
from guard.estate.xo_records import BackupLog
from guard.outcomes.outcome import outcome
from guard.policy.codes import EVERY_CODE
from guard.views.causes import causes_document, causes_text
from guard.views.explain import RUNBOOK, codes_text, explain_text
from guard.views.text import json_line

LARGEST_BYTES = 64 * 1024**2  # all the logs XO keeps of a large site fit
_DEEPEST = 64  # levels of JSON; XO's logs have about twelve
_STATUSES = ("pending", "success", "failure", "skipped", "interrupted")  # a list may stand there, and be compared
_RIGHT = "expected a backup log as XO shows it (backupNg.getLogs, or /rest/v0/backup-logs?fields=*), or a list of them"


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    del stderr, env
    if arguments.log is not None:
        _explain_log(arguments, stdout)
        return 0
    if arguments.json:
        raise UsageError("--json goes with --log FILE")
    if arguments.code is None:
        stdout.write(codes_text(EVERY_CODE))
        return 0
    code = EVERY_CODE.get(arguments.code.upper())
    if code is None:
        near = difflib.get_close_matches(arguments.code.upper(), EVERY_CODE, n=1)
        raise UsageError(
            f"{arguments.code} is no code of guard" + (f"; did you mean {near[0]}?" if near else "; see guard explain")
        )
    installed = Path(sys.prefix) / "share/doc/guard/runbook.md"  # where the wheel puts it
    stdout.write(explain_text(code, str(installed) if installed.is_file() else RUNBOOK))
    return 0


def _explain_log(arguments: Namespace, stdout: TextIO) -> None:
    if arguments.code is not None:
        raise UsageError(f"explain {arguments.code} --log {arguments.log}: expected a code or a log, not both")
    outcomes = [outcome(one) for one in read_logs(arguments.log)]
    if arguments.json:
        stdout.write(json_line(causes_document(outcomes)))
    else:
        stdout.write(causes_text(outcomes, EVERY_CODE))


def read_logs(path: str) -> list[BackupLog]:
    """The logs in a file, or on stdin for ``-``. Raises CaptureError naming the file and what would be right."""
    name = "stdin" if path == "-" else path
    content = _content(path, name)
    if is_crowded(content):
        raise CaptureError(f"{name}: holds more than {MOST_VALUES} values; save fewer logs into one file")
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CaptureError(f"{name}: is not JSON ({error}); {_RIGHT}") from error
    except RecursionError as error:
        raise CaptureError(f"{name}: is nested too deeply; {_RIGHT}") from error
    if _is_deep(document):
        raise CaptureError(f"{name}: is nested too deeply; {_RIGHT}")
    rows = document.get("restBackupLogs", [document]) if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise CaptureError(f"{name}: holds {_what(rows)}, not backup logs; {_RIGHT}")
    logs = []
    for number, row in enumerate(rows, 1):
        where = f"{name}: log {number} of {len(rows)}" if len(rows) > 1 else name
        wrong = _wrong(row)
        if wrong:
            raise CaptureError(f"{where}: {wrong}; {_RIGHT}")
        try:
            logs.append(msgspec.convert(row, BackupLog))
        except msgspec.ValidationError as error:
            raise CaptureError(f"{where}: is not a backup log ({error}); {_RIGHT}") from error
    return logs


def _content(path: str, name: str) -> bytes:
    try:
        content = sys.stdin.buffer.read(LARGEST_BYTES + 1) if path == "-" else read_bounded(path, LARGEST_BYTES)
    except OSError as error:
        raise CaptureError(f"{name}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise CaptureError(f"{name}: {error}; save fewer logs into one file") from error
    if len(content) > LARGEST_BYTES:
        raise CaptureError(f"{name}: is larger than {LARGEST_BYTES // 1024**2} MiB; save fewer logs into one file")
    if not content.strip():
        raise CaptureError(f"{name}: is empty; {_RIGHT}")
    return content.removeprefix(b"\xef\xbb\xbf")


def _is_deep(document: object) -> bool:
    """Whether walking a document to its end could exhaust the stack."""
    level = [document]
    for _ in range(_DEEPEST):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _wrong(row: object) -> str:
    """What keeps a JSON value from being a backup log, or ''."""
    if isinstance(row, str):
        return "is only the address of a log; ask XO for the fields too"
    if not isinstance(row, dict):
        return f"holds {_what(row)}, not a backup log"
    if "properties" in row:
        return "is a task of XO, not a backup log"
    if row.get("status") not in _STATUSES or "id" not in row:
        return "has not the id and the status of a backup log"
    return ""


def _what(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "a single value"
