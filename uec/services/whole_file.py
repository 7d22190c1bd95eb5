"""Hides how a file appears whole or not at all: written beside its place, made durable, then moved there at once."""

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TextIO

from uec.domain.errors import DiskFull, InvalidFile

_FULL = (errno.ENOSPC, errno.EDQUOT)


class WholeFile:
    """A text file (UTF-8, lines end in LF) that is seen at its place only after `publish`."""

    def __init__(self, path: Path) -> None:
        """Open the file beside its place; raise `DiskFull` when that cannot be done, `InvalidFile` for a device."""
        self.path = path
        with self._explained():
            if path.exists() and not path.is_file():
                # Moving a file there would take the place of /dev/null itself.
                raise InvalidFile(f"{path} is a device or folder; name an ordinary file.", path=path, line=None)
            # A name nobody else has: neither another run's nor a file that the user happens to keep there.
            self._part = path.with_name(f".{path.name[:60]}.{token_hex(6)}.part")
            self.out: TextIO = self._part.open("x", encoding="utf-8", newline="\n")

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
        """Move the sealed file to its place; raise `DiskFull`, with the name it is kept under, when that is refused."""
        try:
            self._part.replace(self.path)
        except OSError as error:
            raise DiskFull(
                f"The file could not be moved to {self.path} ({error.strerror}); it lies whole in {self._part}.",
                path=self._part,
            ) from error

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
            advice = "free some space" if error.errno in _FULL else "name another folder"
            raise DiskFull(
                f"The file {self.path} cannot be written ({error.strerror}); {advice} and run it again.",
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


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C come too late: what belongs together is finished. Of use in the main thread only, as Ctrl-C is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
