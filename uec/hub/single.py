"""Exactly one hub a database, whatever machine or state folder another one is started from.

SQLite: a locked file beside the database, which the system frees when the process dies. PostgreSQL: an advisory lock of
a connection of its own, taken again when the server was restarted; a hub that finds it in other hands then ends.
"""

import contextlib
import fcntl
import threading
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, text

from uec.domain.errors import StoreUnavailable, UecError

LOCK_NUMBER = 0x7565632D687562
DYING_S = 3.0
"""How long a hub that was just killed may still seem to hold the lock."""
LOOK_S = 0.1
STANDBY_LOOK_S = 0.3


class HubRunning(UecError):
    """Another hub serves this database. Facts: `lock`."""

    code = "uec.hub_running"


class Sole(Protocol):
    """The right to be the one hub."""

    def check(self) -> None:
        """Raise `HubRunning` when another one has it by now, `StoreUnavailable` while that cannot be asked."""


class Standby(StrEnum):
    """What to do when another hub serves the database: say so, or wait to take its place."""

    REFUSE = "refuse"
    WAIT = "wait"


@contextlib.contextmanager
def only_hub(
    engine: Engine, *, standby: Standby = Standby.REFUSE, stop: threading.Event | None = None
) -> Iterator[Sole]:
    """Be the one hub of this database within the block; raises `HubRunning`, once `stop` is set at the latest.

    With `Standby.WAIT` the block begins when the other one has ended: the lock dies with its process or connection.
    """
    while True:
        with contextlib.ExitStack() as stack:
            try:
                sole = stack.enter_context(_held(engine))
            except (HubRunning, StoreUnavailable):
                if standby is Standby.REFUSE or stop is None or stop.wait(STANDBY_LOOK_S):
                    raise
                continue
            yield sole
            return


@contextlib.contextmanager
def _held(engine: Engine) -> Iterator[Sole]:
    if engine.dialect.name == "postgresql":
        lock = _ServerLock(engine)
        try:
            lock.take(DYING_S)
            yield lock
        finally:
            lock.let_go()
    else:
        with _file_lock(Path(f"{engine.url.database}.hub")) as held:
            yield held


class _FileLock:
    """A locked file cannot be lost."""

    def check(self) -> None:
        """Nothing to look at."""


@contextlib.contextmanager
def _file_lock(path: Path) -> Iterator[_FileLock]:
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _running(str(path)) from error
        yield _FileLock()


class _ServerLock:
    """An advisory lock of the server; it belongs to one connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def take(self, patience_s: float) -> None:
        """Take the lock, waiting a little for a hub that is just dying."""
        wanted = text("SELECT pg_try_advisory_lock(:number)").bindparams(number=LOCK_NUMBER)
        deadline = time.monotonic() + patience_s
        with contextlib.ExitStack() as stack:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            stack.callback(connection.close)
            while not connection.scalar(wanted):
                if time.monotonic() > deadline:
                    raise _running(self._engine.url.render_as_string(hide_password=True))
                time.sleep(LOOK_S)
            self._connection = connection
            stack.pop_all()

    def check(self) -> None:
        """See whether the connection stands; take the lock anew when it does not."""
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
                return
            except StoreUnavailable:
                self.let_go()
        self.take(DYING_S)

    def let_go(self) -> None:
        """Give the lock back; back in the pool the connection would hold on to it."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def _running(lock: str) -> HubRunning:
    return HubRunning(f"Another hub is running for this database ({lock}): stop it first.", lock=lock)
