"""``remote.test``: XO writes 10 MiB to a backup repository, reads them back and deletes them (failure-modes.md 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.simulator.calls import CallError, Work
from guard.simulator.engine import mount_error
from guard.simulator.log_tasks import failing
from guard.simulator.repository import NO_SPACE, RepositoryFullError, Shelf
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import FOREVER

if TYPE_CHECKING:
    from guard.simulator.live import Live

SIZE = 10 * 1024**2
KEPT_BENCHMARKS = 50
ERRNO = {"EACCES": -13, "EDQUOT": -122, "EIO": -5, "ENOSPC": -28, "EPERM": -1, "EROFS": -30, "ESTALE": -116}


class Probes:
    """Tests of repositories. ``rates``: bytes/s of writing and of reading, by repository id."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.default_rates = 100.0 * 1024**2, 120.0 * 1024**2
        self.rates: dict[str, tuple[float, float]] = {}

    def test(self, record: XoObject) -> Work:
        """The answer: success with both rates, or step, file and error. Raises CallError where nothing could be tried.

        XO writes the outcome into the record: a benchmark, or the error. The file stays where nothing can be deleted.
        """
        shelf = self._live.shelf(record["id"])
        self._check_way(record, shelf)
        name = f"{self._live.tasks.moment()}.test"
        trouble = self._live.planted.next_trouble(record["id"])
        writing, reading = self.rates.get(record["id"], self.default_rates)
        if trouble is not None and trouble.hangs:
            yield FOREVER
        yield SIZE / writing
        error = None if trouble is None else {"errno": ERRNO[trouble.code], "code": trouble.code, "syscall": "write"}
        room = self._live.world.repository_info.get(record["id"], {}).get("available", SIZE)
        try:
            shelf.take(SIZE if error is None else 0)
        except RepositoryFullError:
            error = {key: value for key, value in NO_SPACE.items() if key not in {"message", "name"}}
            shelf.free(room)
        if error is not None:
            shelf.note_failed_test(error)
            return {"success": False, "step": "write", "file": name, "error": error}
        yield SIZE / reading
        if shelf.is_immutable():
            shelf.files.append(name)
        else:
            shelf.free(SIZE)
        benchmark = {"readRate": reading, "timestamp": self._live.tasks.moment(), "writeRate": writing}
        record["benchmarks"] = [*record.get("benchmarks", [])[1 - KEPT_BENCHMARKS :], benchmark]
        record.pop("error", None)
        return {"success": True, "writeRate": writing, "readRate": reading}

    def _check_way(self, record: XoObject, shelf: Shelf) -> None:
        """XO mounts the repository first, or asks the proxy that it belongs to. Raises CallError."""
        if not record["enabled"]:
            raise CallError(failing("Error", "remote is disabled"))
        if "proxy" in record and "version" not in self._live.world.proxies.get(record["proxy"], {}):
            raise CallError(failing("TypeError", "fetch failed"))
        if (error := shelf.error) is not None:
            raise CallError(mount_error(error))
