"""A process beside the measurement: it says when it is ready, and ends when its line is closed, whoever dies first."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

SPAWN = multiprocessing.get_context("spawn")
READY_S, END_S = 60.0, 20.0

Work = Callable[..., None]
"""What it does: called with how to say that it is ready, what says that it is to end, and its own arguments."""


class Beside:
    """One process; no lock is shared with it, which a killed one would keep."""

    def __init__(self, work: Work, *given: Any) -> None:
        """Start it."""
        self._line, far = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_run, args=(work, far, given))
        self._process.start()
        far.close()

    @property
    def pid(self) -> int:
        """The number that the system knows it by."""
        assert self._process.pid is not None, "it was started when it was made"
        return self._process.pid

    def wait(self) -> None:
        """Return when it is ready; `LookupError` when it never was."""
        with contextlib.suppress(EOFError, OSError):
            if self._line.poll(READY_S):
                self._line.recv()
                return
        raise LookupError("a process beside the measurement did not begin: see what it said")

    def close(self) -> None:
        """Have it end, or end it."""
        self._line.close()
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _run(work: Work, line: Connection[Any, Any], given: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the measurement closes the line in its order
    stop = threading.Event()

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            line.recv()
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    work(lambda: line.send("ready"), stop, *given)
