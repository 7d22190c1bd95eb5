"""A benchmark that is stopped takes along its server, its processes and its folders."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.postgres import PREFIX

WAIT_S = 120.0
ROOT = Path(__file__).parents[2]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for the benchmark's own folders, that the database's user may enter."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="uec-bench-", dir=memory if os.access(memory, os.W_OK) else None))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _folder_made(temporary: Path) -> bool:
    return any(temporary.glob(f"{PREFIX}*/data/PG_VERSION"))


def _server_runs(temporary: Path) -> bool:
    return any(temporary.glob(f"{PREFIX}*/data/postmaster.pid"))


def _vault_serves(temporary: Path) -> bool:
    return any(temporary.glob("uec-*/*.sock"))


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize(
    ("name", "number", "moment"),
    [
        ("journal", signal.SIGTERM, _folder_made),
        ("journal", signal.SIGINT, _server_runs),
        ("preparation", signal.SIGTERM, _vault_serves),
    ],
    ids=["SIGTERM while the cluster is made", "SIGINT while it serves", "SIGTERM to all of its processes"],
)
def test_nothing_is_left_behind(
    temporary: Path, name: str, number: signal.Signals, moment: Callable[[Path], bool]
) -> None:
    command = [sys.executable, "-m", "scripts.benchmarks.run", name, "--quick"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            deadline = time.monotonic() + WAIT_S
            while not moment(temporary):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.01)
            os.killpg(process.pid, number)  # as a terminal does, and `timeout`
            _, errors = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
    assert process.returncode == 128 + number, errors.decode()
    assert b"Traceback" not in errors
    assert list(temporary.iterdir()) == []
