"""A private PostgreSQL for a test run: a temporary folder, a free port, no fsync; a fresh copy for each test.

It is the server of the machine's packages (Debian: /usr/lib/postgresql/*/bin). As it refuses to run as root, a root
run hands it over to the user `postgres`.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from uec.processes import free_port

PREFIX = "uec-postgres-"
QUICK_ROOM_BYTES = 2 << 30
LEFT_BEHIND_S = 3600
START_S = 120
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Tests need no data after a power cut."""
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
"""As an office runs it; for measurements."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the server, so that the quick loop can leave it out."""
    for item in items:
        if {"postgres_server", "postgres_url"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.postgres)


def server_programs() -> Path | None:
    """Return the folder of the newest server programs, or None when the machine has none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    if folders:
        return folders[-1]
    found = shutil.which("initdb")
    return Path(found).parent if found else None


class Server:
    """A running private server; databases are copied from a template that is migrated once."""

    def __init__(self, programs: Path, folder: Path, *, durability: Mapping[str, str] = CARELESS) -> None:
        """Make the cluster in `folder` and start it; `durability` are settings of the server."""
        self.folder = folder
        self.port = free_port()
        self._copies = 0
        self._templates: set[str] = set()
        # Root must not run the server; give the folder and the process to the package's own user.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            owner = pwd.getpwnam(self._user)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data = folder / "data"
        subprocess.run(
            [
                *self._as_user(),
                programs / "initdb",
                "-D",
                data,
                "-U",
                "uec",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        options = {**durability, "max_connections": "50"}
        self._log = (folder / "server.log").open("wb")
        self._command = [
            *self._as_user(), programs / "postgres", "-D", data, "-p", str(self.port), "-h", "127.0.0.1", "-k", "",
            *(argument for key, value in options.items() for argument in ("-c", f"{key}={value}")),
        ]  # fmt: skip
        try:
            self.up()
        except BaseException:  # whoever breaks the start off has nothing to stop it by
            self.stop()
            raise

    def up(self) -> None:
        """Start the server (again), with the data that are there."""
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log, cwd=self.folder)
        self._wait()

    def _as_user(self) -> list[str]:
        # A test run that is killed takes its server along.
        switch = [f"--reuid={self._user}", f"--regid={self._user}", "--clear-groups"] if self._user else []
        return ["setpriv", "--pdeathsig", "INT", *switch]

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "server.log").read_text()) from None
                time.sleep(0.05)

    def dsn(self, name: str) -> str:
        """Return the address of a database of the server."""
        return f"postgresql://uec@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str) -> None:
        """Run one statement outside of any test database."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def empty(self) -> str:
        """Create an empty database and return its name."""
        self._copies += 1
        name = f"copy_{self._copies}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def migrated(self) -> str:
        """Create a database with all tables and return its name."""
        from uec.store.migrate import upgrade

        if "migrated" not in self._templates:
            self.execute("CREATE DATABASE migrated TEMPLATE template0")
            upgrade(self.dsn("migrated"))
            self._templates.add("migrated")
        self._copies += 1
        name = f"copy_{self._copies}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
        return name

    def drop(self, name: str) -> None:
        """Drop a database together with whoever is still connected."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def down(self) -> None:
        """Stop the server at once, whoever is connected; its data stay."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Stop the server for good."""
        self.down()
        self._log.close()


def _quick_folder() -> Path | None:
    """Memory, where there is enough: a database is 300 files, and each test makes and drops one."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or not os.access(memory, os.W_OK):
        return None
    for left in memory.glob(f"{PREFIX}*"):  # by a run that was killed; another user's is none of ours
        with contextlib.suppress(OSError):
            if left.stat().st_mtime < time.time() - LEFT_BEHIND_S and not (left / "data" / "postmaster.pid").exists():
                shutil.rmtree(left, ignore_errors=True)
    return memory if shutil.disk_usage(memory).free > QUICK_ROOM_BYTES else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A private server for the session (one for each xdist worker)."""
    programs = server_programs()
    if programs is None:
        pytest.fail("no PostgreSQL server programs on this machine: apt-get install postgresql")
    # Not pytest's own folder: the user `postgres` cannot enter it.
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_quick_folder()))
    server = Server(programs, folder)
    try:
        yield server
    finally:
        server.stop()
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
