"""Hides how schedulers agree on the one that triggers: a lock in the database, that only the living keep.

PostgreSQL has an advisory lock, SQLite a locked file beside it. One that hangs or was stopped keeps no lock: it has to
show itself every second, or PostgreSQL ends its connection, and on SQLite the standby puts its file aside.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Protocol

from sqlalchemy import Connection, Engine, text

from uec.domain.errors import UecError
from uec.store.outage import Outage

LOCK_NUMBER = 0x7565637363686564
RETRY_S = 1.0
SILENT_S = 15
"""A scheduler that holds the lock and was not heard of for so long has lost it."""
_log = logging.getLogger(__name__)
outage = Outage(_log)


class Lock(Protocol):
    """Proof of being the only one."""

    def still_held(self) -> bool:
        """Show that this process is alive; whether it is still the only one. To be asked every second."""
        ...


class ServerLock:
    """A lock of a database connection."""

    def __init__(self, connection: Connection) -> None:
        """It is held as long as the connection lives."""
        self._connection = connection

    def still_held(self) -> bool:
        """Whether the connection is alive: the server ends one that asks nothing for `SILENT_S`."""
        try:
            self._connection.execute(text("SELECT 1"))
        except UecError:
            return False
        return True


class FileLock:
    """A lock of a file, whose time says when its holder was last heard of."""

    def __init__(self, path: Path) -> None:
        """Nothing is locked yet."""
        self._path, self._file = path, path.open("ab")
        self._heard, self._since = 0, time.monotonic()

    def close(self) -> None:
        """Let it go."""
        self._file.close()

    def take(self) -> bool:
        """Take the lock; false while somebody holds it who was heard of lately."""
        if not self._is_the_file():
            self._reopen()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._put_aside_if_silent()
            return False
        return self.still_held()

    def still_held(self) -> bool:
        """Whether nobody has put the file aside."""
        os.utime(self._file.fileno())
        return self._is_the_file()

    def _put_aside_if_silent(self) -> None:
        # By this process's own clock, which nobody sets.
        heard, now = os.fstat(self._file.fileno()).st_mtime_ns, time.monotonic()
        if heard != self._heard:
            self._heard, self._since = heard, now
        elif now - self._since > SILENT_S and self._is_the_file():
            _log.warning("the scheduler that triggers was not heard of for %s s: taking over", SILENT_S)
            self._path.unlink(missing_ok=True)

    def _is_the_file(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        self._file.close()
        self._file = self._path.open("ab")


@contextmanager
def only_one(engine: Engine, stop: Event) -> Iterator[Lock | None]:
    """Wait for the lock and hold it; None when `stop` was set first."""
    held = _advisory_lock if engine.dialect.name == "postgresql" else _file_lock
    with held(engine, stop) as lock:
        if lock:
            _log.info("this scheduler is the one that triggers")
        yield lock


@contextmanager
def _advisory_lock(engine: Engine, stop: Event) -> Iterator[Lock | None]:
    attempt = outage.attempt()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # A machine that vanished from the network gives its lock up as well, and not after the two hours of TCP.
        for name, seconds in (("tcp_keepalives_idle", 5), ("tcp_keepalives_interval", 5), ("tcp_keepalives_count", 2)):
            connection.execute(text(f"SET {name} = {seconds}"))
        outage.over(attempt)
        take = text("SELECT pg_try_advisory_lock(:number)").bindparams(number=LOCK_NUMBER)
        while not connection.scalar(take):
            if stop.wait(RETRY_S):
                yield None
                return
        try:
            # Who has it must be heard of.
            connection.execute(text(f"SET idle_session_timeout = '{SILENT_S}s'"))
            yield ServerLock(connection)
        finally:
            # The lock belongs to the connection: back in the pool it would hold on to it.
            connection.invalidate()


@contextmanager
def _file_lock(engine: Engine, stop: Event) -> Iterator[Lock | None]:
    lock = FileLock(Path(f"{engine.url.database}.scheduler"))
    try:
        while not lock.take():
            if stop.wait(RETRY_S):
                yield None
                return
        yield lock
    finally:
        lock.close()
