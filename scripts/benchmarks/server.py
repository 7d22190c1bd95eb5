"""A PostgreSQL for a measurement: on a disk and durable, as an office runs it; it goes with its folder at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.support.postgres import DURABLE, PREFIX, Server, server_programs

S = TypeVar("S", bound=Server)
TRIES, PAUSE_S = 50, 0.1
_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
ROOMY = {
    "shared_buffers": f"{_MEMORY // 4 >> 20}MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
}
"""What README.md asks of an office's server beside durability: the package's own settings are for a small machine."""


@contextmanager
def durable_server(kind: type[S], settings: Mapping[str, str] | None = None) -> Iterator[S]:
    """A server that fsyncs, and its folder: both gone however the block ends, or the start itself was broken off.

    `settings` are more of the server's own, by name.
    """
    programs = server_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is needed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # on a disk: fsync is part of what is measured
    try:
        server = kind(programs, folder, durability={**DURABLE, **(settings or {})})
        try:
            yield server
        finally:
            server.stop()
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder in which a program that was just stopped may still be writing its last."""
    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(PAUSE_S)
