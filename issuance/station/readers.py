"""The readers of a station: what is in them, and a slot to play bundles to.

`PcscReaders` are those of the machine, through a monitor that survives unplugged readers and a restarted service.
`VirtualReaders` are card files in a folder, one reader each: a file that comes is a card inserted, one that goes is a
card removed; every change on the card is written back before it answers. A file `NAME.pad` beside it makes the reader
one with keys of its own: each line is what the holder types next, or `timeout` or `cancelled`.
"""

import contextlib
import threading
from pathlib import Path
from typing import Protocol

from card_io.connection import Connection
from card_io.monitor import Happening, ReaderMonitor
from card_io.pcsc import open_reader, pin_pad_abilities
from card_io.reader_errors import NoCard, NoReader, ReaderError
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.pinpad import Ended, Make, PadConnection, abilities
from issuance.production.relay import OpenedSlot, Slot
from issuance.station.card_files import CardFile
from issuance.station.errors import BadReaders
from issuance.station.wire import Reader

PCSC = "pcsc"
VIRTUAL = "virtual:"
CARD_SUFFIX = ".card"
PAD_SUFFIX = ".pad"


class ReaderSet(Protocol):
    """Readers that come and go."""

    def look(self, timeout_s: float) -> tuple[Reader, ...]:
        """The readers now; waits up to `timeout_s` for a change since the last look. One thread looks."""

    def slot(self, reader: str) -> Slot:
        """A slot for that reader; opening it raises `CardError` when reader or card are not there."""

    def close(self) -> None:
        """Let everything go."""


class PcscReaders:
    """The PC/SC readers of this machine."""

    def __init__(self) -> None:
        """Opens nothing; the service may come later."""
        self._monitor = ReaderMonitor()
        self._insertions: dict[str, int] = {}
        self._pads: dict[str, tuple[str, ...]] = {}

    def look(self, timeout_s: float) -> tuple[Reader, ...]:
        """Readers by name; a card that was swapped between two looks counts as inserted anew."""
        for event in self._monitor.poll(timeout_s):
            if event.happening is Happening.CARD_INSERTED:
                self._insertions[event.reader] = self._insertions.get(event.reader, 0) + 1
        self._ask_pads()
        return tuple(
            Reader(name, state.present, self._insertions.get(name, 0), self._pads.get(name, ()))
            for name, state in sorted(self._monitor.slots.items())
        )

    def _ask_pads(self) -> None:
        """Whether readers that have come have keys: before anybody hears of them, so that no work is disturbed.

        One that another program has just then is asked again at the next look.
        """
        there = self._monitor.slots.keys()
        self._pads = {name: pad for name, pad in self._pads.items() if name in there}
        for name in there - self._pads.keys():
            with contextlib.suppress(ReaderError):  # the service ends just now: the next look finds out
                if (pad := pin_pad_abilities(name)) is not None:
                    self._pads[name] = pad

    def slot(self, reader: str) -> Slot:
        """Exclusive, powered off when it is closed."""
        return OpenedSlot(lambda: open_reader(reader))

    def close(self) -> None:
        """Leave the service."""
        self._monitor.close()


class VirtualReaders:
    """Card files of a folder as readers of this process."""

    def __init__(self, folder: Path) -> None:
        """`folder` may be empty, and fill later."""
        self._folder = folder
        self._known: tuple[Reader, ...] | None = None
        self._places: dict[str, CardFile] = {}
        self._changed = threading.Event()

    def look(self, timeout_s: float) -> tuple[Reader, ...]:
        """One reader a file that is or was there."""
        now = self._readers()
        if now == self._known:
            self._changed.wait(timeout_s)
            now = self._readers()
        self._known = now
        return now

    def _readers(self) -> tuple[Reader, ...]:
        for path in self._folder.glob(f"*{CARD_SUFFIX}"):
            if path.stem not in self._places:
                self._places[path.stem] = CardFile(path)
        pads = {path.stem for path in self._folder.glob(f"*{PAD_SUFFIX}")}
        able = abilities(Make())
        return tuple(
            Reader(name, place.look(), place.insertion, able if name in pads else ())
            for name, place in sorted(self._places.items())
        )

    def slot(self, reader: str) -> Slot:
        """The card in that file, powered up from what it last wrote."""
        return OpenedSlot(lambda: self._open(reader))

    def _open(self, reader: str) -> Connection:
        if reader not in self._places:
            raise NoReader(reader, tuple(sorted(self._places)))
        path = self._folder / f"{reader}{CARD_SUFFIX}"
        if not path.exists():
            raise NoCard(reader)
        keys = path.with_suffix(PAD_SUFFIX)
        card = self._places[reader].load()
        return PadConnection(card, lambda prompt: _next_typed(keys)) if keys.exists() else InProcessConnection(card)

    def close(self) -> None:
        """Wake whoever looks."""
        self._changed.set()


def _next_typed(keys: Path) -> str | Ended:
    """What the holder does next: the first line of the file, which is taken off; nobody there is a holder too slow."""
    first, _, rest = keys.read_text(encoding="ascii").partition("\n")
    keys.write_text(rest, encoding="ascii")
    typed = first.strip() or Ended.TIMEOUT.value
    return Ended(typed) if typed in set(Ended) else typed


def open_readers(setting: str) -> ReaderSet:
    """The readers that the setting names; `BadReaders` when it is not understood."""
    if setting == PCSC:
        return PcscReaders()
    if setting.startswith(VIRTUAL) and len(setting) > len(VIRTUAL):
        return VirtualReaders(Path(setting.removeprefix(VIRTUAL)))
    raise BadReaders(setting)
