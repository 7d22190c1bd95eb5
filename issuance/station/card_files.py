"""A card in a file as a card in a reader: one that is swapped, or taken out and put back, is noticed however quickly.

What lies in the file is told by the file's inode and times (POSIX stat): a rename changes them, and so does every write
of the card itself. Those are known to the reader, since all commands go through it: any other change is somebody's
hand.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from card_io.reader_errors import CardRemoved
from card_io.virtual.card import VirtualCard

Version = tuple[int, int, int]


def version_of(path: Path) -> Version | None:
    """What changes when the file is written or moved; None when it is not there."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


class CardFile:
    """One reader's place for a card. One thread looks, others send commands."""

    def __init__(self, path: Path) -> None:
        """Nothing is known of what lies there."""
        self._path = path
        self._known: Version | None = None
        self._busy = self._commands = 0
        self._guard = threading.Lock()
        self.insertion = 0

    def look(self) -> bool:
        """Whether a card lies there; `insertion` has counted on when it is another one, or was out in between.

        While a command runs the file is the card's own affair: what happened to it meanwhile shows at the next look.
        """
        with self._guard:
            commands, busy = self._commands, self._busy
        found = version_of(self._path)
        with self._guard:
            if found is not None and self._known is not None and (busy or commands != self._commands):
                return True
            if found is not None and found != self._known:
                self.insertion += 1
            self._known = found
            return found is not None

    def load(self) -> VirtualCard:
        """The card that lies there now; it tells this place of all it does. Raises `CardError` for what is no card.

        One that came since the last look counts here: once it has power, what it writes itself hides the swap.
        """
        card = _Watched.load(self._path)
        card.place = self
        with self._guard:
            self._commands += 1  # a look under way may have found the card that lay there before
            found = version_of(self._path)
            if found is not None and found != self._known:
                self.insertion += 1
            self._known = found
        return card

    @contextmanager
    def command(self, card: VirtualCard) -> Iterator[None]:
        """Around each command: raises `CardRemoved` when another card lies there by now, or none."""
        with self._guard:
            self._busy, self._commands = self._busy + 1, self._commands + 1
        try:
            if card.elsewhere:
                raise CardRemoved(self._path.stem)
            yield
        finally:
            with self._guard:
                self._busy -= 1
                if not card.elsewhere:
                    self._known = version_of(self._path)


class _Watched(VirtualCard):
    """A card whose place hears of every command."""

    place: CardFile

    def power_on(self) -> bytes:
        with self.place.command(self):
            return super().power_on()

    def process(self, command: bytes) -> bytes:
        with self.place.command(self):
            return super().process(command)
