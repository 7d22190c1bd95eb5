"""Hides how the workers on an SQLite database know what another one has in hand: a locked file a job, beside it.

The kernel lets go of a lock when its process ends, however it ends (flock(2)): nobody has to show that they are alive,
and nobody waits for the dead. Processes on one SQLite database share a machine: its WAL asks for that as well.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from uec.domain.errors import StoreUnavailable


@contextmanager
def in_hand(database: Path, job: str) -> Iterator[bool]:
    """Have a job in hand as long as this lasts; gives false when somebody else has it.

    Raises `StoreUnavailable` when no file can be made beside the database.
    """
    with _opened(Path(f"{database}.jobs"), f"{quote(job, safe='')}.lock") as file:
        yield _locked(file)


def _opened(folder: Path, name: str) -> BinaryIO:
    try:
        folder.mkdir(exist_ok=True)
        return (folder / name).open("ab")
    except OSError as error:
        raise StoreUnavailable(
            f"No file can be made in {folder}, where workers lock what they do: free some space, or mend its rights."
        ) from error


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
