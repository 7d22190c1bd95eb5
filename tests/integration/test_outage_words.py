"""PostgreSQL goes and comes back under hub, worker and scheduler: a line each way, and no process has to be started."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.outage import FrailServer, frail_server
from uec.jobs import JOBS
from uec.processes import free_port
from uec.store.outage import BACK

WAIT_S = 120.0
GONE = "The database cannot be reached or opened"
READY: dict[str, str] = {"hub": "hub runs", "worker": "worker runs", "scheduler": "the one that triggers"}


class Process:
    """One process of the office over a database of its own."""

    def __init__(self, kind: str, url: str, folder: Path) -> None:
        folder.mkdir()
        settings, self._log = folder / "uec.toml", folder / "log"
        settings.write_text(f'database_url = "{url}"\nstate_dir = "{folder}"\nhub_listen = "127.0.0.1:{free_port()}"\n')
        command = [sys.executable, "-m", "uec", "--settings", str(settings), kind]
        with self._log.open("wb") as out:
            self.running = subprocess.Popen(command, stdout=out, stderr=out)

    @property
    def said(self) -> str:
        return self._log.read_text()

    @property
    def warnings(self) -> list[str]:
        """Lines that ask for somebody's attention, without their times."""
        lines = [line for line in self.said.splitlines() if " WARNING " in line or " ERROR " in line]
        return [line.partition(": ")[2] for line in lines]

    def wait(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not holds():
            assert self.running.poll() is None, f"it ended by itself:\n{self.said}"
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def told(self, words: str, times: int) -> None:
        """Wait until it has said so for the so-manieth time."""
        self.wait(lambda: sum(words in line for line in self.warnings) >= times)


@contextmanager
def office_process(kind: str, server: FrailServer, folder: Path) -> Iterator[Process]:
    url = server.dsn(server.migrated())
    process = Process(kind, url, folder / kind)
    try:
        process.wait(lambda: READY[kind] in process.said)
        if kind == "scheduler":
            process.wait(lambda: jobs_written(url) == len(JOBS))
        yield process
    finally:
        process.running.kill()
        process.running.wait()


def jobs_written(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(DISTINCT job) FROM scheduled_run").fetchone()
    return int(row[0]) if row else 0


@pytest.fixture(scope="module")
def server() -> Iterator[FrailServer]:
    with frail_server() as made:
        yield made


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("kind", READY)
def test_an_outage_is_a_line_each_way_and_a_stop_in_it_is_clean(server: FrailServer, tmp_path: Path, kind: str) -> None:
    with office_process(kind, server, tmp_path) as process:
        server.crash()
        try:
            process.told(GONE, 1)
        finally:
            server.come_back()
        process.told(BACK, 1)
        server.crash()
        try:
            process.told(GONE, 2)
            process.running.send_signal(signal.SIGTERM)
            assert process.running.wait(WAIT_S) == 0, process.said
        finally:
            server.come_back()
        assert "Traceback" not in process.said, process.said
        gone, back, again = process.warnings
        assert GONE in gone and BACK in back and GONE in again
