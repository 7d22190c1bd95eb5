"""A private PostgreSQL that crashes and comes back on the same port with the same data."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import PREFIX, Server, server_programs


class FrailServer(Server):
    """A server to be stopped under whoever uses it. What was committed stays: its process dies, not the machine."""

    def crash(self) -> None:
        """Stop it the hard way: every connection breaks, nothing is written out, it recovers from its log later."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)

    def come_back(self) -> None:
        """Start it again and wait until it answers."""
        command = list(self._process.args)  # type: ignore[arg-type]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, cwd=self.folder)
        self._wait()


@contextmanager
def frail_server() -> Iterator[FrailServer]:
    """A server of its own, apart from the one that tests share."""
    programs = server_programs()
    assert programs is not None, "no PostgreSQL server programs on this machine: apt-get install postgresql"
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=memory if os.access(memory, os.W_OK) else None))
    server = FrailServer(programs, folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
