"""Hides how a file appears whole or not at all: written beside its place, made durable, then moved there at once."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from uec.domain.errors import DiskFull


class WholeFile:
    """A text file (UTF-8, lines end in LF) that is seen at its place only after `publish`."""

    def __init__(self, path: Path) -> None:
        """Open the file beside its place; raise `DiskFull` when that cannot be done."""
        self.path = path
        self._part = path.with_name(path.name + ".part")
        with self._explained():
            self.out: TextIO = self._part.open("w", encoding="utf-8", newline="\n")

    def write(self, text: str) -> None:
        """Add text; raise `DiskFull` when the disk refuses."""
        with self._explained():
            self.out.write(text)

    def seal(self) -> None:
        """Make the content durable, still out of sight; raise `DiskFull` when the disk refuses."""
        with self._explained():
            self.out.flush()
            os.fsync(self.out.fileno())
            self.out.close()

    def publish(self) -> None:
        """Move the sealed file to its place."""
        with self._explained():
            self._part.replace(self.path)

    def discard(self) -> None:
        """Leave no trace; what stood at the place before stays."""
        with contextlib.suppress(OSError):
            self.out.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DiskFull(
                f"The file {self.path} cannot be written ({error.strerror}); free some space or name another folder.",
                path=self.path,
            ) from error


@contextmanager
def whole_file(path: Path) -> Iterator[WholeFile]:
    """Give a file to write; at the end of the block it stands at its place, after an error nothing does."""
    file = WholeFile(path)
    try:
        yield file
        file.seal()
        file.publish()
    except BaseException:
        file.discard()
        raise
