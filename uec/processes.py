"""The office's processes as children of one: started in order, waited for until they answer, ended together.

Hides how a child is watched: its output goes to a log file of its own, its end is noticed at once, and on Linux the
kernel ends it when the parent is killed (prctl(2), PR_SET_PDEATHSIG), so nothing lives on. Each child has a process
group of its own, so that Ctrl-C in a terminal reaches the parent alone and every child is asked to end exactly once: a
web server that hears it twice, from the terminal and from its parent, can wait for itself for ever.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import errno
import gc
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from uec.domain.errors import UecError

PR_SET_PDEATHSIG = 1
STOP_TIMEOUT_S = 8.0
OBJECTS_BETWEEN_COLLECTIONS = 50_000
START_TIMEOUT_S = 120.0
"""A process that has ended is noticed at once: this is for one that is slow, on a machine with much else to do."""
_PORTS = range(20_000, 32_768)
_given: set[int] = set()


class ProcessFailed(UecError):
    """A process of the office ended, or did not answer in time; `name` and `log` say where to look."""

    code = "process_failed"

    def __init__(self, name: str, reason: str, log: Path) -> None:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:] if log.exists() else []
        said = f" It said: {' / '.join(last)}" if last else ""
        super().__init__(f"The process '{name}' {reason}. Its log is {log}.{said}")
        self.name = name
        self.log = log


@dataclass(frozen=True)
class Child:
    """One running process, and the file that its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


def die_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent ends in any way; nothing where there is no Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def stop_event() -> threading.Event:
    """An event that SIGTERM and SIGINT set; for the main thread.

    A handler runs inside the main thread, wherever that is just then: also where it holds the event's own lock, which
    it would then wait for itself. So the handler leaves the setting to another thread.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _thread.start_new_thread(stop.set, ()))
    return stop


def log_to_stderr() -> None:
    """Write what happens to standard error, one line each; warnings of libraries too."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("apscheduler", "httpx", "httpcore", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """Let Python look for circles of garbage seldom, and never among what is loaded already.

    Cards and parts make thousands of rows that live for a moment and are in no circle; looking through them and through
    all the code, every 700 objects, is up to a third of what a process of the office does.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class ProcessGroup:
    """Starts processes one by one and ends them all, newest first, when the block is left."""

    def __init__(self, log_folder: Path) -> None:
        log_folder.mkdir(parents=True, exist_ok=True)
        self.log_folder = log_folder
        self.children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        ready: Callable[[], bool] | None = None,
        timeout_s: float = START_TIMEOUT_S,
    ) -> Child:
        """Start `command` and wait until `ready()` holds; `ProcessFailed` when it ends first or takes too long."""
        log = self.log_folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                # One C call, no lock taken: safe where the parent has threads too.
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
                process_group=0 if sys.platform != "win32" else None,
            )
        child = Child(name, process, log)
        self.children.append(child)
        if ready is not None:
            self._wait(child, ready, timeout_s)
        return child

    def _wait(self, child: Child, ready: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not ready():
            if child.process.poll() is not None:
                raise ProcessFailed(child.name, f"ended with code {child.process.returncode}", child.log)
            if time.monotonic() > deadline:
                raise ProcessFailed(child.name, f"did not answer within {timeout_s:.0f} s", child.log)
            time.sleep(0.05)

    def check(self) -> None:
        """Raise `ProcessFailed` for the first process that has ended by itself."""
        for child in self.children:
            if child.process.poll() is not None:
                raise ProcessFailed(child.name, f"ended with code {child.process.returncode}", child.log)

    def stop(self) -> None:
        """Ask every process to end, newest first; kill what does not within a few seconds."""
        for child in reversed(self.children):
            if child.process.poll() is None:
                child.process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for child in reversed(self.children):
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self.children.clear()


def listens(host: str, port: int) -> bool:
    """Whether something accepts TCP connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def listens_unix(path: Path) -> bool:
    """Whether something accepts connections on that Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.5)
        return path.exists() and probe.connect_ex(str(path)) == 0


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses now, and that this process has not been given before.

    Who asks has a process listen there a second later. Among the ports that the system gives to outgoing connections
    (on Linux from 32768) it would sometimes be somebody else's by then; these it gives to nobody.
    """
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            if port not in _given:
                probe.bind(("127.0.0.1", port))
                _given.add(port)
                return port
    raise OSError(errno.EADDRINUSE, f"every port from {_PORTS[0]} to {_PORTS[-1]} is in use")
