"""The machine's smart card service as a child process, for a machine without systemd: started if none answers.

Debian's `pcscd` and `vsmartcard-vpcd`, which gives two virtual readers whose cards are TCP clients of `PORTS`.
"""

import contextlib
import fcntl
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from card_io.errors import CardError
from card_io.pcsc import list_readers
from card_io.reader_errors import ReaderError

READERS = ("Virtual PCD 00 00", "Virtual PCD 00 01")
PORTS = (35963, 35964)
START_TIMEOUT_S = 15.0
LOCK = "uec-virtual-readers.lock"


class ServiceUnavailable(CardError):
    """The smart card service, or its virtual readers, cannot be had on this machine; the sentence says why."""

    code = "pcscd.unavailable"


class Pcscd:
    """The running service; `ours` is true when this object started it, and only then `stop` ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @property
    def ours(self) -> bool:
        """Whether the service is a child of this object."""
        return self._process is not None

    def ensure(self) -> None:
        """Return with the virtual readers there; `ServiceUnavailable` when that cannot be."""
        if _ready():
            return
        if self._process is None or self._process.poll() is not None:
            self._start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _ready():
            if self._process is not None and self._process.poll() is not None:
                raise ServiceUnavailable(f"pcscd ended with code {self._process.returncode}: {self._said()}")
            if time.monotonic() > deadline:
                raise ServiceUnavailable(
                    "pcscd runs without the virtual readers; run `apt-get install vsmartcard-vpcd` and restart it"
                    f" ({self._said()})"
                )
            time.sleep(0.05)

    def _start(self) -> None:
        program = shutil.which("pcscd") or shutil.which("pcscd", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise ServiceUnavailable("there is no pcscd; run `apt-get install pcscd vsmartcard-vpcd`")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the service
        self._process = subprocess.Popen(
            [program, "--foreground"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            process_group=0,  # Ctrl-C is for those who use it: cards are put away before the service goes
        )

    def _said(self) -> str:
        if self._log is None:
            return "it was running before"
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace").strip()[-600:]

    def restart(self) -> None:
        """End the service and start it again; `ServiceUnavailable` for one that is not ours."""
        if not self.ours:
            raise ServiceUnavailable("pcscd was running before, so it is not ours to restart; stop it first")
        self.stop()
        self.ensure()

    def stop(self) -> None:
        """End the service if it is ours."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None


@contextlib.contextmanager
def virtual_readers(timeout_s: float) -> Iterator[None]:
    """Hold the virtual readers alone: every program of ours that puts cards into them asks for this lock first.

    Waits up to `timeout_s`; `ServiceUnavailable` when another program keeps them longer.
    """
    path = Path(tempfile.gettempdir()) / LOCK
    with path.open("a+") as handle:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServiceUnavailable(
                        f"another program holds the virtual readers ({path}); wait for it or end it"
                    ) from None
                time.sleep(0.05)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def _ready() -> bool:
    try:
        names = list_readers()
    except ReaderError:
        return False
    return all(name in names for name in READERS)
